"""How many deliveries a second `relay_lda` makes, next to a plain loop of posix_spawn of the same command line.

Both run the same program with the same arguments, environment and standard input, as many at once. Targets alternate
A B A B, each with mailboxes of its own. Compare ratios inside one run, never the numbers of two runs.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from mdabench import command, dovecot, machine, maildirs, worker
from mdabench.command import Measurement
from mdabench.dovecot import Dovecot
from mdabench.load import Unavailable
from mdabench.mail import MAILBOXES, SENDER, address, message
from mdabench.report import Column
from mdabench.results import Measured
from mdabench.rounds import Plan
from mdabench.server import Failed

COLUMNS = (
    Column(measure="rate", title="deliveries/s", has_range=True),
    Column(measure="own_cpu_us", title="own CPU µs/delivery"),
    Column(measure="children_cpu_us", title="program's CPU µs/delivery"),
    Column(measure="held_mb", title="memory MB"),
)
CONCURRENCY = 20  # what a relay has unless it is told otherwise
SIZE_BYTES = 2048
BALLAST_BYTES = 800_000_000
LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """Which program runs, and what mdacore's process holds in memory meanwhile."""

    name: str
    program: str = "dovecot-lda"
    ballast_bytes: int = 0

    def __str__(self) -> str:
        """What it is, in words."""
        held = f", while mdacore's process holds {self.ballast_bytes / 1e6:g} MB" if self.ballast_bytes else ""
        return f"{self.program}, {CONCURRENCY} at once, {SIZE_BYTES} bytes a message{held}"


CASES = {
    case.name: case
    for case in (
        Case(name="lda"),
        Case(name="lda-800mb", ballast_bytes=BALLAST_BYTES),
        Case(name="true", program="/bin/true"),
    )
}


class Side:
    """One of the two that are compared."""

    name: str
    keeps: str

    def need(self) -> None:
        """Raise Unavailable, with what to install, if it cannot run here."""
        dovecot.need()

    def version(self) -> str:
        """Name and number of what is measured."""
        raise NotImplementedError

    def work(self, served: Dovecot, case: Case, data: Path) -> tuple[str, dict[str, Any]]:
        """The worker's name, and what it is to do."""
        raise NotImplementedError


class Mdacore(Side):
    """`relay_lda` in a process of its own, without a queue."""

    name = "mdacore"
    keeps = "relay_lda: attempts, each with its checks, its message in memory, its deadline and the program's output"

    def need(self) -> None:
        super().need()
        if util.find_spec("mdacore_relay_lda") is None:
            raise Unavailable("mdacore is not installed for this Python: start the measurement with bench/run")

    def version(self) -> str:
        return f"mdacore-relay-lda {metadata.version('mdacore-relay-lda')}, dovecot {dovecot.version()}"

    def work(self, served: Dovecot, case: Case, data: Path) -> tuple[str, dict[str, Any]]:
        if case.program == "dovecot-lda":
            kind, config = "dovecot_lda", {"path": served.lda, "extra_args": ["-c", str(served.config)]}
        else:
            kind, config = "pipe", {"command": [case.program]}
        want = {"kind": kind, "config": config, "state": str(data / "state"), "message": message(SIZE_BYTES).decode()}
        mailboxes = [address(number) for number in range(MAILBOXES)]
        return "relay", {**want, "mailboxes": mailboxes, "deliveries": 0, "ballast_bytes": case.ballast_bytes}


class Loop(Side):
    """`workers/spawn_loop.py`, which does nothing but start the program and wait for its end."""

    name = "loop"
    keeps = "posix_spawn with a file as standard input, and waitpid"

    def version(self) -> str:
        return f"Python {sys.version.split()[0]}, dovecot {dovecot.version()}"

    def work(self, served: Dovecot, case: Case, data: Path) -> tuple[str, dict[str, Any]]:
        return "spawn_loop", {"commands": [self._command(served, case, data, number) for number in range(MAILBOXES)]}

    def _command(self, served: Dovecot, case: Case, data: Path, number: int) -> dict[str, object]:
        rcpt = address(number)
        stdin = data / f"message-{number}"
        fields = f"Return-Path: <{SENDER}>\nDelivered-To: {rcpt}\n".encode()
        stdin.write_bytes(fields + message(SIZE_BYTES).replace(b"\r\n", b"\n"))
        argv = [case.program]
        if case.program == "dovecot-lda":
            argv = [served.lda, "-f", SENDER, "-a", rcpt, "-d", rcpt, "-e", "-c", str(served.config)]
        return {"argv": argv, "environment": environment(rcpt), "stdin": str(stdin)}


def environment(rcpt: str) -> Mapping[str, str]:
    """What `relay_lda` gives to a program."""
    account = pwd.getpwuid(os.geteuid())
    local, _, domain = rcpt.partition("@")
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": account.pw_dir,
        "LOGNAME": account.pw_name,
        "USER": account.pw_name,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "SENDER": SENDER,
        "RECIPIENT": rcpt,
        "ORIGINAL_RECIPIENT": rcpt,
        "LOCAL": local,
        "DOMAIN": domain,
        "EXTENSION": "",
        "QUEUE_ID": "q000000001",
    }


@dataclass(frozen=True, kw_only=True)
class Alive:
    """A target with a Dovecot of its own."""

    target: Side
    served: Dovecot
    data: Path


@contextlib.contextmanager
def live(target: Side, data: Path) -> Iterator[Alive]:
    """Dovecot on the folder, until the end of the block. Raises Failed."""
    with dovecot.running(data) as served:
        yield Alive(target=target, served=served, data=data)


def measure(alive: Alive, case: Case, plan: Plan[Side, Case]) -> Measured:
    """Let the worker work, and see whether all is in the mailboxes."""
    is_at_rest = machine.wait_for_rest(machine.machine_cpu_s, limit_s=plan.rest_s)
    before = maildirs.count(alive.served.mail)
    name, want = alive.target.work(alive.served, case, alive.data)
    want |= {"concurrency": CONCURRENCY, "seconds": plan.seconds}
    got = worker.run(name, want, data=alive.data, limit_s=LIMIT_S + plan.seconds)
    made = got["deliveries"]
    arrived = maildirs.count(alive.served.mail) - before
    if case.program == "dovecot-lda" and arrived != made + got["warm_up"]:
        raise Failed(f"{made + got['warm_up']:g} deliveries were made, and {arrived} messages are in the mailboxes")
    values = {
        "rate": made / got["seconds"],
        "own_cpu_us": got["own_cpu_s"] / made * 1e6,
        "children_cpu_us": got["children_cpu_s"] / made * 1e6,
        "held_mb": got["held_mb"],
        "deliveries": made,
        "seconds": got["seconds"],
    }
    return Measured(values=values, remarks=() if is_at_rest else ("the machine was not at rest before it",))


LDA = Measurement(
    name="lda",
    about=__doc__,
    targets={"mdacore": Mdacore, "loop": Loop},
    cases=CASES,
    usual=["lda", "lda-800mb", "true"],
    seconds=4.0,
    keeps="what runs",
    columns=COLUMNS,
    peers=("loop",),
    live=live,
    measure=measure,
)

if __name__ == "__main__":
    sys.exit(command.run(LDA))
