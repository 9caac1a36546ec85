"""What `edge_smtp` takes and holds by itself: messages a second, memory, and patience with slow clients.

Behind it is a handoff that only counts: no queue, no storage, no relay. Targets alternate A B C A B C. Compare ratios
inside one run, never the numbers of two runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

import accept
from mdabench import cases, command, crowd, environments, load, machine, memory
from mdabench.cases import Case
from mdabench.command import Measurement
from mdabench.load import BENCH, Outcome, Unavailable
from mdabench.report import Column
from mdabench.results import Measured
from mdabench.rounds import Plan
from mdabench.server import Failed, Server, Target, running
from mdabench.targets import Bare

COLUMNS = (
    *accept.COLUMNS,
    Column(measure="connection_kb", title="KB/connection", has_range=True),
    Column(measure="peak_mb", title="peak MB over the base", has_range=True),
    Column(measure="alone_p99_ms", title="p99 ms alone", has_range=True),
    Column(measure="crowded_p99_ms", title="p99 ms in the crowd", has_range=True),
    Column(measure="slowdown", title="p99, crowd / alone", has_range=True),
    Column(measure="base_mb", title="base MB"),
)
WARM_UP_MESSAGES = 200
LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Idle(Case):
    """Connections that have said EHLO and wait."""

    connections: int = 5000

    def __str__(self) -> str:
        """What it is, in words."""
        return f"{self.connections} connections that have said EHLO and wait"


@dataclass(frozen=True, kw_only=True)
class Large(Case):
    """One large message from each session."""

    def __str__(self) -> str:
        """What it is, in words."""
        return f"one message of {self.size_bytes / 1e6:g} MB from each of {self.sessions} clients at once"


@dataclass(frozen=True, kw_only=True)
class Trickle(Case):
    """A client that does as it should, among others that are slow."""

    others: int = 1000
    interval_s: float = 10.0

    def __str__(self) -> str:
        """What it is, in words."""
        return f"one client, alone and then while {self.others} others send an octet every {self.interval_s:g} s"


CASES: Mapping[str, Case] = {
    case.name: case
    for case in (
        *(cases.CASES[name] for name in ("2k-20s", "2k-20s-pipelined", "2k-20s-single", "50k-20s")),
        Idle(name="idle"),
        Large(name="large", size_bytes=25_000_000),
        Trickle(name="trickle", sessions=1),
    )
}


class Edge(Target):
    """`workers/edge_smtp.py`."""

    name = "edge"
    keeps = "a number"

    def need(self) -> None:
        if util.find_spec("mdacore_edge_smtp") is None:
            raise Unavailable("mdacore is not installed for this Python: start the measurement with bench/run")

    def version(self) -> str:
        return f"mdacore-edge-smtp {metadata.version('mdacore-edge-smtp')}"

    def prepare(self, data: Path, port: int) -> None:  # noqa: ARG002 - it gets the port by its command
        (data / "spool").mkdir()

    def command(self, data: Path, port: int) -> list[str]:
        return [sys.executable, str(BENCH / "workers" / "edge_smtp.py"), str(port), str(data / "spool")]


class Aiosmtpd(Target):
    """`workers/aiosmtpd_null.py`, in an environment of its own."""

    name = "aiosmtpd"
    keeps = "nothing"

    def need(self) -> None:
        environments.python_of(self.name)

    def version(self) -> str:
        pinned = (BENCH / "requirements" / "aiosmtpd.txt").read_text().splitlines()
        return next(line for line in pinned if line.startswith("aiosmtpd")).replace("==", " ")

    def command(self, data: Path, port: int) -> list[str]:  # noqa: ARG002 - it keeps nothing
        python = environments.python_of(self.name)
        return [str(python), str(BENCH / "workers" / "aiosmtpd_null.py"), str(port)]


def prepare() -> None:
    """The generator, and as many open files as the largest case needs. Raises Unavailable."""
    load.build()
    crowd.need_descriptors(max(case.connections for case in CASES.values() if isinstance(case, Idle)))


def measure(server: Server, case: Case, plan: Plan[Target, Case]) -> Measured:
    """One case, whatever its kind. Raises Failed."""
    return MEASURES.get(type(case), accept.measure)(server, case, plan)


def measure_idle(server: Server, case: Case, plan: Plan[Target, Case]) -> Measured:
    """What many silent connections add to the memory."""
    assert isinstance(case, Idle)
    base_bytes = base(server, plan)
    with crowd.connected(server.port, case.connections) as clients:
        machine.wait_for_rest(server.cpu_s, limit_s=plan.rest_s)
        held_bytes = memory.held_bytes(server)
        crowd.must_be_silent(clients)
    added_bytes = held_bytes - base_bytes
    return Measured(values={"connection_kb": added_bytes / case.connections / 1024, "base_mb": base_bytes / 2**20})


def measure_large(server: Server, case: Case, plan: Plan[Target, Case]) -> Measured:
    """The most memory held while all clients send."""
    base_bytes = base(server, plan)
    memory.forget_peak(server)
    outcome = deliver(server, case, case.sessions)
    values = {
        "peak_mb": (memory.peak_bytes(server) - base_bytes) / 2**20,
        "base_mb": base_bytes / 2**20,
        "rate": outcome.rate,
    }
    return Measured(values=values)


def measure_trickle(server: Server, case: Case, plan: Plan[Target, Case]) -> Measured:
    """How late the latest replies to a quick client are, without the slow ones and with them."""
    assert isinstance(case, Trickle)
    messages = accept.warm_up(server, case, plan)
    is_at_rest = machine.wait_for_rest(machine.machine_cpu_s, limit_s=plan.rest_s)
    alone = accept.send(server, case, plan, messages)
    with crowd.connected(server.port, case.others) as others, crowd.trickling(others, interval_s=case.interval_s):
        machine.wait_for_rest(server.cpu_s, limit_s=plan.rest_s)
        crowded = accept.send(server, case, plan, messages)
    values = {
        "alone_p99_ms": alone.reply_p99_ms,
        "crowded_p99_ms": crowded.reply_p99_ms,
        "slowdown": crowded.reply_p99_ms / alone.reply_p99_ms,
    }
    return Measured(values=values, remarks=() if is_at_rest else ("the machine was not at rest before it",))


def base(server: Server, plan: Plan[Target, Case]) -> int:
    """The memory of a server that has worked a little and is at rest, in octets."""
    deliver(server, cases.CASES["2k-20s"], WARM_UP_MESSAGES)
    machine.wait_for_rest(server.cpu_s, limit_s=plan.rest_s)
    return memory.held_bytes(server)


def deliver(server: Server, case: Case, messages: int) -> Outcome:
    """So many messages. Raises Failed at any error."""
    outcome = load.run(server.port, case, messages=messages, limit_s=LIMIT_S)
    if outcome.errors:
        server.must_run()
        raise Failed(f"{outcome.errors} errors, the first: {outcome.first_error}")
    return outcome


MEASURES: Mapping[type[Case], Callable[[Server, Case, Plan[Target, Case]], Measured]] = {
    Idle: measure_idle,
    Large: measure_large,
    Trickle: measure_trickle,
}

EDGE = Measurement(
    name="edge",
    about=__doc__,
    targets={"edge": Edge, "bare": Bare, "aiosmtpd": Aiosmtpd},
    cases=CASES,
    usual=list(CASES),
    seconds=2.0,
    keeps="kept at the final reply",
    columns=COLUMNS,
    peers=("bare", "aiosmtpd"),
    live=running,
    measure=measure,
    prepare=prepare,
)

if __name__ == "__main__":
    sys.exit(command.run(EDGE))
