"""How many messages a second a storage stores by itself, without an edge and a queue, for so many callers at once.

Targets alternate A B A B, each on a new store. Compare ratios inside one run, never the numbers of two runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util

from mdabench import command, machine, slowsync, worker
from mdabench.command import Measurement
from mdabench.load import Unavailable
from mdabench.mail import MAILBOXES, address, message
from mdabench.report import Column
from mdabench.results import Measured
from mdabench.rounds import Plan, Ready, ready

COLUMNS = (
    Column(measure="rate", title="messages/s", has_range=True),
    Column(measure="p50_ms", title="p50 ms"),
    Column(measure="p99_ms", title="p99 ms", has_range=True),
    Column(measure="cpu_us", title="CPU µs/message"),
)
LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """Who calls."""

    name: str
    callers: int
    settles: bool = False
    sync_delay_ms: float = 0.0
    size_bytes: int = 2048

    def __str__(self) -> str:
        """What it is, in words."""
        what = "written and settled" if self.settles else "written, and left there"
        slow = f", each sync {self.sync_delay_ms:g} ms slower" if self.sync_delay_ms else ""
        return f"messages of {self.size_bytes} bytes {what}, {self.callers} callers at once{slow}"


CASES = {
    case.name: case
    for case in (
        Case(name="write-20", callers=20),
        Case(name="write-100", callers=100),
        Case(name="life-20", callers=20, settles=True),
        Case(name="life-100", callers=100, settles=True),
        Case(name="life-20-slowsync", callers=20, settles=True, sync_delay_ms=5.0),
        Case(name="life-100-slowsync", callers=100, settles=True, sync_delay_ms=5.0),
    )
}


class Side:
    """One kind of storage, in a process of its own."""

    keeps = "the message, synced"

    def __init__(self, kind: str) -> None:
        self.name = kind

    def need(self) -> None:
        """Raise Unavailable, with what to install, if it cannot run here."""
        if util.find_spec(f"mdacore_storage_{self.name}") is None:
            raise Unavailable("mdacore is not installed for this Python: start the measurement with bench/run")

    def version(self) -> str:
        """Name and number of what is measured."""
        distribution = f"mdacore-storage-{self.name}"
        return f"{distribution} {metadata.version(distribution)}"


def measure(alive: Ready[Side], case: Case, plan: Plan[Side, Case]) -> Measured:
    """One worker's life. Raises Failed."""
    is_at_rest = machine.wait_for_rest(machine.machine_cpu_s, limit_s=plan.rest_s)
    want = {
        "kind": alive.target.name,
        "path": str(alive.data / "spool"),
        "message": message(case.size_bytes).decode(),
        "mailboxes": [address(number) for number in range(MAILBOXES)],
        "callers": case.callers,
        "seconds": plan.seconds,
        "settles": case.settles,
    }
    environment = slowsync.environment(case.sync_delay_ms)
    got = worker.run("store", want, data=alive.data, limit_s=LIMIT_S + plan.seconds, environment=environment)
    values = {
        "rate": got["messages"] / got["seconds"],
        "p50_ms": got["p50_ms"],
        "p99_ms": got["p99_ms"],
        "cpu_us": got["cpu_s"] / got["messages"] * 1e6,
        "messages": got["messages"],
        "warm_up": got["warm_up"],
        "seconds": got["seconds"],
    }
    return Measured(values=values, remarks=() if is_at_rest else ("the machine was not at rest before it",))


TARGETS: dict[str, Callable[[], Side]] = {"shelve": lambda: Side("shelve"), "disk": lambda: Side("disk")}
STORAGE = Measurement(
    name="storage",
    about=__doc__,
    targets=TARGETS,
    cases=CASES,
    usual=["write-20", "write-100", "life-20", "life-100"],
    seconds=3.0,
    keeps="on disk when a call returns",
    columns=COLUMNS,
    peers=("disk",),
    live=ready,
    measure=measure,
    prepare=slowsync.build,
)

if __name__ == "__main__":
    sys.exit(command.run(STORAGE))
