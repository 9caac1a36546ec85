"""A service assembled in a script: SMTP in, maildirs out, and a rule of our own for recipients.

Run it with ``python examples/embedded.py STATE_FOLDER [PORT]``; it prints where it listens, and ends with Ctrl-C.
"""

from gevent import monkey

monkey.patch_all()  # before anything else is imported

import sys

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
)
from mdacore.assembly import Assembly
from mdacore.service import serve


@attrs.frozen(kw_only=True)
class Allowed:
    """The keys of ``[policies.staff]``."""

    names: tuple[str, ...] = attrs.field(default=(), metadata={"help": "Local parts that exist."})


class OnlyStaff:
    """Refuses recipients that are not on the list."""

    def __init__(self, config: Allowed, context: Context) -> None:
        self._names = config.names

    def parts(self) -> PolicyParts:
        return PolicyParts(validators=Validators(rcpt=self.check))

    def check(self, session: Session, command: RcptCommand, /) -> Reply | None:
        name = command.address.partition("@")[0]
        return None if name in self._names else Reply(code=550, enhanced="5.1.1", text="No such user here")

    def start(self) -> None: ...

    def drain(self, grace_s: float) -> bool:
        return True

    def stop(self) -> None: ...

    def health(self) -> Health:
        return Health()


class StaffPlugin:
    """A plugin is a module with hooks, or an object like this one."""

    @hookimpl
    def mdacore_policies(self):
        return [Provider(kind="staff", config=Allowed, build=OnlyStaff, api=1)]


def main(state: str, port: int) -> int:
    assembly = Assembly.from_mapping(
        {
            "edges": {
                "mx": {
                    "kind": "smtp",
                    "listen": [f"127.0.0.1:{port}"],
                    "domains": ["example.test"],
                    "validators": ["staff"],
                }
            },
            "queues": {"main": {"storage": "spool", "policies": ["headers"], "relay": "local"}},
            "policies": {"staff": {"kind": "staff", "names": ["alice", "bob"]}, "headers": {"kind": "headers"}},
            "storages": {"spool": {"kind": "shelve"}},
            "relays": {"local": {"kind": "maildir"}},
        },
        plugins=["edge_smtp", "storage_shelve", "policy_headers", "relay_maildir", StaffPlugin()],
        state=state,
    )
    return serve(assembly)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2525))
