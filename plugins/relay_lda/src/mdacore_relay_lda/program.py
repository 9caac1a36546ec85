"""Program: which command a delivery runs, made from an envelope. Pure; nothing is started in here.

Invariants: a Command is complete: what is not in it does not reach the program. No shell ever reads it. A program that
runs as another user is filled in by the same code in the spawn helper, from the same few facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

import mdacore
from mdacore import Account, Client, Content, Envelope, MemoryBody, QueueId, Recipient
from mdacore_relay_lda.template import Template
from mdacore_relay_lda.values import Addressing, environment_of, variables

REPEATED = "{recipient}"
"""The argument that becomes one for each recipient, where one process serves all."""


_MESSAGE_FACTS = 7
_RECIPIENT_FACTS = 2


@attrs.frozen(kw_only=True)
class Command(mdacore.Command):
    """What is executed.

    Attributes:
        facts: what it was filled in from, as `UserProgram` reads it.
    """

    facts: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Program:
    """How a kind of LDA is called.

    Attributes:
        argv: one template an argument, the program's path first.
        environment: the operator's own variables; they win.
        is_per_recipient: one process for each recipient. If not, an argument that is ``{recipient}`` alone becomes one
            argument for each, in the order of the envelope.
        user: whom it runs as, if not as the service's user.
    """

    argv: tuple[Template, ...]
    environment: Mapping[str, Template] = attrs.field(factory=dict)
    addressing: Addressing = attrs.field(factory=Addressing)
    is_per_recipient: bool = True
    user: Template | None = None

    @property
    def path(self) -> str:
        """What is executed, for people."""
        return self.argv[0].text

    def groups(self, envelope: Envelope) -> list[tuple[Recipient, ...]]:
        """Who shares a process. One whose address must not reach a program is by itself, so that it fails alone."""
        if self.is_per_recipient:
            return [(recipient,) for recipient in envelope.recipients]
        unsafe = [recipient for recipient in envelope.recipients if not self.addressing.is_safe(recipient)]
        safe = tuple(recipient for recipient in envelope.recipients if recipient not in unsafe)
        return [*((recipient,) for recipient in unsafe), *([safe] if safe else [])]

    def command(
        self, envelope: Envelope, recipients: Sequence[Recipient], queue_id: QueueId, account: Account
    ) -> Command:
        """The command for these recipients: exactly one if `is_per_recipient`.

        Raises:
            UnsafeValue: something in the envelope must not reach a program.
        """
        values = [self.addressing.values(envelope, recipient, queue_id) for recipient in recipients]
        common = values[0] if self.is_per_recipient else self.addressing.values(envelope, None, queue_id)
        arguments: list[str] = []
        for template in self.argv:
            repeats = not self.is_per_recipient and template.text == REPEATED
            arguments += [self._expand(template, each) for each in (values if repeats else [common])]
        if self.user is not None:
            self.user.expand(common)  # refused here, and not by the helper, if it is unsafe
        environment = environment_of(account) | variables(common)
        environment |= {name: template.expand(common, allows_dash=True) for name, template in self.environment.items()}
        return Command(
            argv=tuple(argument.encode() for argument in arguments),
            environment={name.encode(): value.encode() for name, value in environment.items()},
            facts=facts_of(envelope, recipients, queue_id),
        )

    def _expand(self, template: Template, values: Mapping[str, str]) -> str:
        return template.expand(values, allows_dash=self.addressing.allows_dash)


@attrs.frozen
class UserProgram:
    """A CommandTemplate: the program of a relay with `run_as`. Used in the spawn helper, on facts that anybody may have
    made up.
    """

    program: Program
    user: Template

    def run_as(self, values: Sequence[str]) -> str:
        """The user's name, filled in from the first recipient where it is not fixed."""
        envelope, queue_id = _message(values)
        return self.user.expand(self.program.addressing.values(envelope, envelope.recipients[0], queue_id))

    def command(self, values: Sequence[str], account: Account) -> Command:
        """What the service itself would run for this message."""
        envelope, queue_id = _message(values)
        if self.program.is_per_recipient and len(envelope.recipients) != 1:
            raise ValueError("one process serves one recipient")
        return self.program.command(envelope, envelope.recipients, queue_id, account)


def facts_of(envelope: Envelope, recipients: Sequence[Recipient], queue_id: QueueId) -> tuple[str, ...]:
    """All of an envelope that can be filled in: seven about the message, two about each recipient."""
    client = envelope.client
    message = (envelope.sender, queue_id, client.ip, client.host, client.helo, client.protocol, client.identity)
    return (*message, *(fact for one in recipients for fact in (one.address, one.original_address)))


def _message(facts: Sequence[str]) -> tuple[Envelope, QueueId]:
    """What `facts_of` was made from. Raises ValueError for anything else."""
    message, about_recipients = facts[:_MESSAGE_FACTS], facts[_MESSAGE_FACTS:]
    if not about_recipients or len(about_recipients) % _RECIPIENT_FACTS:
        raise ValueError(f"{len(facts)} facts about a message")
    sender, queue_id, ip, host, helo, protocol, identity = message
    recipients = tuple(
        Recipient(number=number, address=address, original_address=original)
        for number, (address, original) in enumerate(zip(about_recipients[::2], about_recipients[1::2], strict=True))
    )
    client = Client(ip=ip, host=host, helo=helo, protocol=protocol, identity=identity)
    content = Content(MemoryBody(b""))
    return Envelope(sender=sender, recipients=recipients, content=content, client=client, received_at=0.0), QueueId(
        queue_id
    )
