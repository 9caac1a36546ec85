"""``mdacore lda-check``: run a delivery program through what can happen to it, and show what mdacore makes of each.

The command itself runs twice, for a recipient and for one that should not exist. How else it may end cannot be asked
of it, so stand-ins end in its place: small scripts that do what a program in that trouble does. Nothing is patched.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import click

from mdacore import (
    Content,
    Context,
    Envelope,
    MemoryBody,
    QueueId,
    Recipient,
    Seconds,
    split_address,
)
from mdacore.runtime import SystemClock
from mdacore_relay_lda import kinds
from mdacore_relay_lda.config import PipeConfig
from mdacore_relay_lda.delivery import Delivery

STANDINS = {
    "over quota": "echo 'Quota exceeded (mailbox for user is full)' >&2; exit 77",
    "temporary failure": "echo 'try again later'; exit 75",
    "wrong arguments": "echo 'usage: ...' >&2; exit 64",
    "not executable": "exec /nonexistent/program",
    "killed by a signal": "kill -KILL $$",
    "hangs": "trap '' TERM; sleep 600",
    "huge output": "head -c 10000000 /dev/zero | tr '\\0' x; exit 75",
    "output is not UTF-8": r"printf '5.7.1 \377\376 \033[31mred\033[0m\n'; exit 1",
}
"""What a stand-in's shell runs, by case."""

STANDIN_TIMEOUT_S = Seconds(1.0)
_MAX_SHOWN_CHARS = 60


@attrs.frozen(kw_only=True)
class Case:
    """One line of the table."""

    name: str
    delivery: Delivery

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """What happened, how the process ended, what it said, what mdacore makes of it."""
        result = self.delivery.result
        ended, said = (str(result), result.said) if result else ("not started", self.delivery.cause)
        return self.name, ended, said[:_MAX_SHOWN_CHARS] or "-", str(self.delivery.reply)[:_MAX_SHOWN_CHARS]


class Silence:
    """An EventLog that keeps quiet: the table says it all."""

    def debug(self, event: str, **fields: object) -> None: ...

    def info(self, event: str, **fields: object) -> None: ...

    def warning(self, event: str, **fields: object) -> None: ...

    def error(self, event: str, **fields: object) -> None: ...


@click.command(name="lda-check")
@click.option("--recipient", required=True, help="An address that exists; it gets a test message.")
@click.option("--unknown", default="", help="An address that does not exist; by default a name in the same domain.")
@click.option("--sender", default="", help="The sender of the test message; by default the null sender.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0.1), default=30.0, help="Seconds for each process.")
@click.option("--postfix", is_flag=True, help='Judge as with exit_table = "postfix".')
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def lda_check(
    recipient: str, unknown: str, sender: str, timeout_s: float, *, postfix: bool, command: tuple[str, ...]
) -> None:
    """Try a delivery program: mdacore lda-check --recipient bob@example.org -- /usr/bin/prog -d {recipient}

    COMMAND is what `command` in a relay of the kind `pipe` would be. It is run for --recipient, who gets a test
    message, and for an address that should not exist. Everything else that can happen is shown with stand-ins.
    Ends with 1 if the test message was not delivered.
    """
    try:
        config = PipeConfig(
            command=command, timeout_s=Seconds(timeout_s), exit_table="postfix" if postfix else "sysexits"
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    unknown = unknown or "no-such-user-here@" + split_address(recipient)[1]
    with tempfile.TemporaryDirectory() as folder:
        cases = list(_cases(config, _context(Path(folder)), sender, (recipient, unknown)))
    _show([case.cells for case in cases])
    if not cases[0].delivery.reply.is_success:
        raise SystemExit(1)


def _cases(config: PipeConfig, context: Context, sender: str, addresses: tuple[str, str]) -> Iterator[Case]:
    known, unknown = addresses
    program = config.command[0]
    yield Case(name="test message", delivery=_deliver(config, context, sender, known, known_as=program))
    yield Case(name="unknown user", delivery=_deliver(config, context, sender, unknown, known_as=program))
    for name, script in STANDINS.items():
        standin = attrs.evolve(
            config,
            command=("/bin/sh", "-c", script),
            timeout_s=min(config.timeout_s, STANDIN_TIMEOUT_S),
            kill_grace_s=Seconds(0.2),
        )
        yield Case(name=f"{name} *", delivery=_deliver(standin, context, sender, known, known_as=program))


def _deliver(config: PipeConfig, context: Context, sender: str, address: str, *, known_as: str) -> Delivery:
    deliverer = kinds.pipe_deliverer(config, context, known_as=known_as)
    recipient = Recipient(number=0, address=address)
    envelope = Envelope(
        sender=sender, recipients=(recipient,), content=_test_message(context, sender, address), received_at=time.time()
    )
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


def _show(rows: list[tuple[str, str, str, str]]) -> None:
    table = [("case", "process", "output", "what mdacore makes of it"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo("* a stand-in ended like this in place of the program.")
