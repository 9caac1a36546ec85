"""How many messages a second a server accepts, how long the final reply takes, and what a message costs in CPU time.

Targets alternate A B C A B C, each from an empty data folder.
Compare ratios inside one run, never the numbers of two runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from math import ceil

from mdabench import command, load, machine, slowsync
from mdabench.cases import CASES, Case
from mdabench.command import Measurement
from mdabench.load import Outcome
from mdabench.report import Column
from mdabench.results import Measured
from mdabench.rounds import Pace, Plan, Ready, ready
from mdabench.server import Failed, Server, Target, running
from mdabench.targets import TARGETS

COLUMNS = (
    Column(measure="rate", title="messages/s", has_range=True),
    Column(measure="p50_ms", title="p50 ms"),
    Column(measure="p99_ms", title="p99 ms", has_range=True),
    Column(measure="cpu_us", title="CPU µs/message"),
    Column(measure="machine_cpu_us", title="machine µs/message"),
)
WARM_UP_S = 0.3
MAX_MESSAGES = 500_000  # so that no rate that was misread fills a disk
DRAIN_LIMIT_S = 60.0
GENERATOR_LIMIT = 0.8  # of one core; above it, the generator may be what is measured


def measure_life(alive: Ready[Target], case: Case, plan: Plan[Target, Case]) -> Measured:
    """A target's whole life, with syncs as slow as the case wants them. Raises Failed."""
    with running(alive.target, alive.data, environment=slowsync.environment(case.sync_delay_ms)) as server:
        return measure(server, case, plan)


def measure(server: Server, case: Case, plan: Pace) -> Measured:
    """Learn the rate, let the machine rest, load the server, and wait until it has finished what it accepted."""
    messages = warm_up(server, case, plan)
    is_at_rest = machine.wait_for_rest(machine.machine_cpu_s, limit_s=plan.rest_s)
    own_s, all_s = server.cpu_s(), machine.machine_cpu_s()
    outcome = send(server, case, plan, messages)
    is_drained = machine.wait_for_rest(server.cpu_s, limit_s=DRAIN_LIMIT_S)
    server.must_run()
    own_s, all_s = server.cpu_s() - own_s, machine.machine_cpu_s() - all_s - outcome.cpu_s
    remarks = tuple(doubts(outcome, is_at_rest=is_at_rest, is_drained=is_drained))
    return Measured(values=values(outcome, own_s=own_s, all_s=all_s), remarks=remarks)


def prepare() -> None:
    """What is compiled. Raises Unavailable."""
    load.build()
    slowsync.build()


def warm_up(server: Server, case: Case, plan: Pace) -> int:
    """How many messages take about as long as planned, learned from short runs. Raises Failed."""
    messages = 5 * max(case.sessions, 20)
    while True:
        outcome = send(server, case, plan, messages)
        if outcome.seconds >= WARM_UP_S or messages == MAX_MESSAGES:
            return min(MAX_MESSAGES, max(case.sessions, ceil(outcome.rate * plan.seconds)))
        messages = min(MAX_MESSAGES, 2 * max(messages, ceil(outcome.rate * WARM_UP_S)))


def send(server: Server, case: Case, plan: Pace, messages: int) -> Outcome:
    """Load it, for a bounded time. Raises Failed at any error: a rate beside errors is worth nothing."""
    outcome = load.run(server.port, case, messages=messages, limit_s=10 + 5 * plan.seconds)
    if outcome.errors:
        server.must_run()
        raise Failed(f"{outcome.errors} errors, the first: {outcome.first_error}")
    return outcome


def values(outcome: Outcome, *, own_s: float, all_s: float) -> dict[str, float]:
    """What goes into a row; the CPU times include the deliveries behind the replies."""
    return {
        "rate": outcome.rate,
        "p50_ms": outcome.p50_ms,
        "p99_ms": outcome.p99_ms,
        "max_ms": outcome.max_ms,
        "cpu_us": own_s / outcome.messages * 1e6,
        "machine_cpu_us": all_s / outcome.messages * 1e6,
        "messages": outcome.messages,
        "seconds": outcome.seconds,
        "connections": outcome.connections,
        "generator_cpu_s": outcome.cpu_s,
    }


def doubts(outcome: Outcome, *, is_at_rest: bool, is_drained: bool) -> Iterator[str]:
    """What a reader of the numbers has to know."""
    if not is_at_rest:
        yield "the machine was not at rest before it"
    if not is_drained:
        yield f"still busy {DRAIN_LIMIT_S:g} s after the last reply"
    if outcome.cpu_s > GENERATOR_LIMIT * outcome.seconds:
        yield "the generator was near its own limit"


ACCEPT = Measurement(
    name="accept",
    about=__doc__,
    targets=TARGETS,
    cases=CASES,
    usual=["2k-20s"],
    seconds=3.0,
    keeps="on disk at the final reply",
    columns=COLUMNS,
    peers=("postfix", "slimta", "bare"),
    live=ready,
    measure=measure_life,
    prepare=prepare,
    is_scattered=False,  # a server's queue lies where it has always been, among the files that it deleted
)

if __name__ == "__main__":
    sys.exit(command.run(ACCEPT))
