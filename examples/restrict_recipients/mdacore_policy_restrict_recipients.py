"""A validator in ten lines, `check`: it refuses recipients that are not on a list, when the client names them."""

from collections.abc import Iterable

import attrs

from mdacore import (
    Context,
    Health,
    PolicyParts,
    Provider,
    RcptCommand,
    Reply,
    Session,
    Validators,
    hookimpl,
    mailbox_key,
    printable,
)


@attrs.frozen(kw_only=True)
class RestrictConfig:
    """``[policies.<name>] kind = "restrict_recipients"``."""

    addresses: tuple[str, ...] = attrs.field(metadata={"help": "Who gets mail; @example.com is everybody there."})


class RestrictRecipients:
    """A closed list of recipients."""

    def __init__(self, config: RestrictConfig, context: Context) -> None:
        self._allowed = {mailbox_key(address) for address in config.addresses}
        self._log = context.log

    def parts(self) -> PolicyParts:
        """It speaks at RCPT and nowhere else."""
        return PolicyParts(validators=Validators(rcpt=self.check))

    def check(self, session: Session, command: RcptCommand, /) -> Reply | None:
        """None is no opinion; a reply refuses. Domains compare in any case, local parts exactly (RFC 5321 §2.4)."""
        local_part, domain = mailbox_key(command.address)
        if self._allowed & {(local_part, domain), ("", domain)}:
            return None
        self._log.info("recipient.refused", rcpt=printable(command.address), client=session.client.ip)
        return Reply(code=550, enhanced="5.1.1", text="No such recipient here")

    def start(self) -> None: ...

    def drain(self, grace_s: float) -> bool:
        return True

    def stop(self) -> None: ...

    def health(self) -> Health:
        return Health()


@hookimpl
def mdacore_policies() -> Iterable[Provider[RestrictConfig, Context, RestrictRecipients]]:
    """One kind; whom it lets in only a configuration can say."""
    yield Provider(kind="restrict_recipients", config=RestrictConfig, build=RestrictRecipients, api=1, default=True)
