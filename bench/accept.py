"""How many messages a second a server accepts, how long the final reply takes, and what a message costs in CPU time.

Targets alternate A B C A B C, each from an empty data folder.
Compare ratios inside one run, never the numbers of two runs.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path

from mdabench import load, machine, rounds
from mdabench.cases import CASES, Case
from mdabench.load import Outcome, Unavailable
from mdabench.report import Column, table
from mdabench.results import Measured, Results
from mdabench.rounds import Plan
from mdabench.server import Failed, Server, Target
from mdabench.targets import TARGETS
from required import REQUIRED, judge

PEERS = ("postfix", "bare")
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


def main() -> int:
    """0 if everything was measured and, with --check, is as required; 1 if not; 2 if it could not begin."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then, too
    try:
        load.build()
        plan = Plan(
            targets=available(options.targets),
            cases=[CASES[name] for name in (CASES if "all" in options.cases else options.cases)],
            rounds=options.rounds,
            seconds=options.seconds,
            rest_s=options.rest,
            data=machine.durable(options.data),
        )
    except Unavailable as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    results = rounds.run(plan, "accept", measure)
    report(results, plan)
    is_good = not results.has_failure()
    if options.check:
        is_good &= check(results, plan, options.targets)
    return 0 if is_good else 1


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="how often each target is measured (default: 3)")
    add("--seconds", type=float, default=3.0, help="about how long one measurement loads a target (default: 3)")
    add("--targets", nargs="+", choices=TARGETS, default=list(TARGETS), help="default: all")
    add("--cases", nargs="+", choices=[*CASES, "all"], default=["2k-20s"], help="default: 2k-20s")
    add("--data", type=Path, default=machine.DISK, help=f"a folder on the disk to measure (default: {machine.DISK})")
    add("--rest", type=float, default=10.0, help="seconds to wait, at most, for the machine to come to rest")
    add("--check", action="store_true", help="compare with required.py, and exit 1 if a ratio is not reached")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    return options


def available(names: Sequence[str]) -> list[Target]:
    """The targets that can run here; the others are named with what they need, which is fatal with CI=true."""
    found = []
    for target in (TARGETS[name]() for name in names):
        try:
            target.need()
        except Unavailable as problem:
            if os.environ.get("CI") == "true":
                raise
            print(f"bench: {target.name} is left out: {problem}", file=sys.stderr)
        else:
            found.append(target)
    if not found:
        raise Unavailable("there is nothing left to measure")
    return found


def measure(server: Server, case: Case, plan: Plan) -> Measured:
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


def warm_up(server: Server, case: Case, plan: Plan) -> int:
    """How many messages take about as long as planned, learned from short runs. Raises Failed."""
    messages = 5 * max(case.sessions, 20)
    while True:
        outcome = send(server, case, plan, messages)
        if outcome.seconds >= WARM_UP_S or messages == MAX_MESSAGES:
            return min(MAX_MESSAGES, max(case.sessions, ceil(outcome.rate * plan.seconds)))
        messages = min(MAX_MESSAGES, 2 * max(messages, ceil(outcome.rate * WARM_UP_S)))


def send(server: Server, case: Case, plan: Plan, messages: int) -> Outcome:
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


def report(results: Results, plan: Plan) -> None:
    """The tables, on standard output."""
    print(f"{plan.rounds} rounds of {plan.seconds:g} s; {machine.described(plan.data)}")
    for target in plan.targets:
        print(f"- {target.name}: {target.version()}; on disk at the final reply: {target.keeps}")
    for case in plan.cases:
        print(f"\n### {case.name}: {case}\n")
        print(table(results, case.name, columns=COLUMNS, compared="rate", peers=PEERS))


def check(results: Results, plan: Plan, targets: Sequence[str]) -> bool:
    """Print a verdict on each requirement that concerns what was asked for; True if there are some and all are met."""
    cases = {case.name for case in plan.cases}
    verdicts = judge(results, (one for one in REQUIRED if one.case in cases and {one.target, one.peer} <= set(targets)))
    print("", *(verdict.text for verdict in verdicts), sep="\n")
    if not verdicts:
        print("NOTHING TO CHECK: no requirement concerns these cases and targets")
    return bool(verdicts) and all(verdict.is_met for verdict in verdicts)


if __name__ == "__main__":
    sys.exit(main())
