"""What a million deferred messages in the queue cost: in accepted messages a second, at the start, and in memory.

The same service starts on an empty store and on a full one, in turn. Compare ratios inside one run, never the numbers
of two runs.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import accept
from mdabench import cases, command, load, machine, memory, stores
from mdabench.command import Measurement
from mdabench.report import Column
from mdabench.results import Measured
from mdabench.rounds import Plan, Ready, ready
from mdabench.server import Failed, Server, running
from mdabench.targets import Mdacore

COLUMNS = (
    Column(measure="rate", title="messages/s", has_range=True),
    Column(measure="p99_ms", title="p99 ms", has_range=True),
    Column(measure="cpu_us", title="CPU µs/message"),
    Column(measure="start_s", title="s to the first 250", has_range=True),
    Column(measure="settled_s", title="s until it rests"),
    Column(measure="memory_mb", title="memory MB"),
    Column(measure="bytes_a_message", title="bytes a queued message"),
)
LOAD = cases.CASES["2k-20s"]
FIRST = cases.Case(name="first", sessions=1)
READ_AT_REST_BYTES = 1_000_000
SETTLED_S = 3.0
SETTLE_LIMIT_S = 300.0  # storage_shelve reads its whole database after a start
CONFIG = """\
plugins = ["edge_smtp", "storage_shelve", "relay_blackhole"]
[edges.mx]
kind = "smtp"
listen = ["127.0.0.1:{port}"]
domains = ["example.test"]
max_messages = 1000000
[queues.main]
storage = "spool"
relay = "local"
[relays.local]
kind = "blackhole"
[storages.spool]
kind = "shelve"
path = "{store}"
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """How many messages wait in a full queue."""

    name: str
    messages: int
    size_bytes: int = 2048

    def __str__(self) -> str:
        """What it is, in words."""
        return f"{self.messages} deferred messages of {self.size_bytes} bytes in the full queue; load: {LOAD}"


CASES = {
    case.name: case for case in (Case(name="backlog", messages=1_000_000), Case(name="backlog-20k", messages=20_000))
}


class Empty(Mdacore):
    """The service on a new store."""

    name = "empty"

    def version(self) -> str:
        return f"{super().version()}, mdacore-storage-shelve {metadata.version('mdacore-storage-shelve')}"

    def fill(self, store: Path, case: Case) -> None:
        """Make the store, before the start. Raises Failed."""

    def prepare(self, data: Path, port: int) -> None:
        (data / "mda.toml").write_text(CONFIG.format(port=port, store=data / "spool"))

    def command(self, data: Path, port: int) -> list[str]:  # noqa: ARG002 - the port is in the file
        words = [sys.executable, "-m", "mdacore", "run", "--config", str(data / "mda.toml")]
        return [*words, "--state", str(data / "state")]


class Full(Empty):
    """The service on a copy of a store with so many messages, none of them due."""

    name = "full"

    def fill(self, store: Path, case: Case) -> None:
        stores.copy(stores.filled("shelve", messages=case.messages, size_bytes=case.size_bytes), store)


def measure(alive: Ready[Empty], case: Case, plan: Plan[Empty, Case]) -> Measured:
    """Start, first 250, rest, load, memory. Raises Failed."""
    store = alive.data / "spool"
    alive.target.fill(store, case)
    is_at_rest = machine.wait_for_rest(machine.machine_cpu_s, limit_s=plan.rest_s)
    begin = time.monotonic()
    try:
        with running(alive.target, alive.data) as server:
            start_s = first_accepted(server) - begin
            settled_at = settled(server)
            accepted = accept.measure(server, LOAD, plan)
            held_bytes = memory.held_bytes(server)
    finally:
        shutil.rmtree(store, ignore_errors=True)  # the next life needs the room
    remarks = [*accepted.remarks]
    remarks += [] if is_at_rest else ["the machine was not at rest before the start"]
    remarks += [f"still busy {SETTLE_LIMIT_S:g} s after the start"] if settled_at is None else []
    own = {
        "start_s": start_s,
        "settled_s": (settled_at or time.monotonic()) - begin,
        "memory_mb": held_bytes / 2**20,
        "bytes_a_message": held_bytes / case.messages,
    }
    return Measured(values={**accepted.values, **own}, remarks=tuple(remarks))


def first_accepted(server: Server) -> float:
    """When the first message was accepted, by the monotonic clock. Raises Failed."""
    outcome = load.run(server.port, FIRST, messages=1, limit_s=10.0)
    if outcome.errors:
        server.must_run()
        raise Failed(f"the first message: {outcome.first_error}")
    return time.monotonic()


def settled(server: Server) -> float | None:
    """When it was last seen to compute or to read from the disk, by the monotonic clock; None if it still does.

    The disk may keep it waiting for a while, so a short rest means nothing.
    """
    end = time.monotonic() + SETTLE_LIMIT_S
    while (begin := time.monotonic()) < end:
        cpu_s, read_bytes = server.cpu_s(), server.read_bytes()
        time.sleep(SETTLED_S)
        is_idle = server.cpu_s() - cpu_s < machine.REST_SHARE * SETTLED_S
        if is_idle and server.read_bytes() - read_bytes < READ_AT_REST_BYTES:
            return begin
    return None


TARGETS: dict[str, Callable[[], Empty]] = {"full": Full, "empty": Empty}
BACKLOG = Measurement(
    name="backlog",
    about=__doc__,
    targets=TARGETS,
    cases=CASES,
    usual=["backlog"],
    seconds=3.0,
    keeps="on disk at the final reply",
    columns=COLUMNS,
    peers=("empty",),
    live=ready,
    measure=measure,
    prepare=load.build,
)

if __name__ == "__main__":
    sys.exit(command.run(BACKLOG))
