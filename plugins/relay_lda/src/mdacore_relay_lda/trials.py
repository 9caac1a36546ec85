"""Trials: a delivery program put through what can happen to it, each with what mdacore makes of that.

The program itself runs for the addresses that are given. How else it may end cannot be asked of it, so stand-ins end
in its place: small scripts that do what a program in that trouble does. Nothing is patched: what judges here is what
judges in a relay. How it is shown is not in here.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import attrs

from mdacore import Content, Context, Envelope, MemoryBody, QueueId, Recipient, Seconds
from mdacore.runtime import SystemClock
from mdacore_relay_lda import kinds
from mdacore_relay_lda.config import PipeConfig
from mdacore_relay_lda.delivery import Delivery

FULL = "over quota"
HANG = "hangs"
STANDINS: Mapping[str, str] = MappingProxyType(
    {
        FULL: "echo 'Quota exceeded (mailbox for user is full)' >&2; exit 77",
        "temporary failure": "echo 'try again later'; exit 75",
        "wrong arguments": "echo 'usage: ...' >&2; exit 64",
        "not executable": "exec /nonexistent/program",
        "killed by a signal": "kill -KILL $$",
        HANG: "trap '' TERM; sleep 600",
        "huge output": "head -c 10000000 /dev/zero | tr '\\0' x; exit 75",
        "output is not UTF-8": r"printf '5.7.1 \377\376 \033[31mred\033[0m\n'; exit 1",
    }
)
"""What a stand-in's shell runs, by case."""

FULL_STANDINS: Mapping[str, str] = MappingProxyType({"maildrop": "echo 'maildrop: maildir over quota.' >&2; exit 75"})
"""What it runs for a full mailbox in the place of a program with a way of its own, by the program's name."""

STANDIN_TIMEOUT_S = Seconds(10.0)
HANG_TIMEOUT_S = Seconds(0.2)
STANDIN_GRACE_S = Seconds(0.2)


@attrs.frozen(kw_only=True)
class Addresses:
    """Whom the program is tried for.

    Attributes:
        sender: of the test messages; ``""`` = the null sender.
        known: gets a test message.
        unknown: is not there.
        full: has no room left; ``""`` = a stand-in shows what would be.
    """

    sender: str
    known: str
    unknown: str
    full: str = ""


@attrs.frozen(kw_only=True)
class Trial:
    """One case and what came of it; `is_standin`: not by the program itself."""

    name: str
    delivery: Delivery
    is_standin: bool = False


class Silence:
    """An EventLog that keeps quiet: the trials say it all."""

    def debug(self, event: str, **fields: object) -> None: ...

    def info(self, event: str, **fields: object) -> None: ...

    def warning(self, event: str, **fields: object) -> None: ...

    def error(self, event: str, **fields: object) -> None: ...


def run_trials(config: PipeConfig, addresses: Addresses) -> Iterator[Trial]:
    """Each case as it ends: the program's own first, the one for the known address before all. Main thread only."""
    with tempfile.TemporaryDirectory() as folder:
        context = _context(Path(folder))
        own = {"test message": addresses.known, "unknown user": addresses.unknown, FULL: addresses.full}
        for name, address in own.items():
            if address:
                yield Trial(name=name, delivery=_deliver(config, context, addresses.sender, address))
        full = FULL_STANDINS.get(Path(config.command[0]).name, STANDINS[FULL])
        for name, script in {**STANDINS, FULL: full}.items():
            if not own.get(name):
                limit_s = HANG_TIMEOUT_S if name == HANG else STANDIN_TIMEOUT_S
                standin = _stand_in(config, script, limit_s)
                delivery = _deliver(standin, context, addresses.sender, addresses.known, known_as=config.command[0])
                yield Trial(name=name, delivery=delivery, is_standin=True)


def _stand_in(config: PipeConfig, script: str, limit_s: Seconds) -> PipeConfig:
    return attrs.evolve(config, command=("/bin/sh", "-c", script), timeout_s=limit_s, kill_grace_s=STANDIN_GRACE_S)


def _deliver(config: PipeConfig, context: Context, sender: str, address: str, *, known_as: str = "") -> Delivery:
    deliverer = kinds.pipe_deliverer(config, context, known_as=known_as or config.command[0])
    recipient = Recipient(number=0, address=address)
    content = _test_message(context, sender, address)
    envelope = Envelope(sender=sender, recipients=(recipient,), content=content, received_at=time.time())
    deliverer.start()
    try:
        return deliverer.deliver(envelope, envelope.recipients, QueueId("lda-check-0"), 2 * config.timeout_s)
    finally:
        deliverer.stop()


def _test_message(context: Context, sender: str, address: str) -> Content:
    lines = (
        f"From: <{sender or 'postmaster@' + context.hostname}>",
        f"To: <{address}>",
        "Subject: mdacore lda-check",
        f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime())}",
        f"Message-ID: <{time.time_ns()}.lda-check@{context.hostname}>",
        "",
        "A test message: somebody tries out a delivery program.",
    )
    return Content(MemoryBody("".join(f"{line}\r\n" for line in lines).encode()))


def _context(folder: Path) -> Context:
    return Context(
        instance="lda-check", state_path=folder, hostname=socket.gethostname(), clock=SystemClock(), log=Silence()
    )
