"""The command line that all measurements share: options, what can run here, the tables, the verdicts, the status."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from required import REQUIRED, judge

from mdabench import machine, rounds
from mdabench.load import Unavailable
from mdabench.report import Column, table
from mdabench.results import Results
from mdabench.rounds import AliveT, CaseT, Live, Measure, Plan


class Comparable(Protocol):
    """A target as the command line knows it: `mdabench.server.Target` has all this."""

    name: str
    keeps: str

    def need(self) -> None:
        """Raise Unavailable, with what to install, if it cannot run here."""

    def version(self) -> str:
        """Name and number of what is measured."""


TargetT = TypeVar("TargetT", bound=Comparable)


@dataclass(frozen=True, kw_only=True)
class Measurement(Generic[TargetT, CaseT, AliveT]):
    """One script: what it compares, in which cases, and how.

    Attributes:
        name: the script's, and that of its rows.
        about: the help text.
        targets: what makes each, by its name, in the order of a round.
        cases: by their names; `usual` are those that run unless others are asked for.
        seconds: about how long a measurement loads a target; 0 where the cases say how much there is to do.
        keeps: what a target's `keeps` says, in words.
        columns: of the tables; `rate` is divided by that of each of the `peers`.
        prepare: what all targets need. Raises Unavailable.
        is_scattered: each target gets another part of the disk, untouched by what others, or it itself, have deleted.
    """

    name: str
    about: str
    targets: Mapping[str, Callable[[], TargetT]]
    cases: Mapping[str, CaseT]
    usual: Sequence[str]
    seconds: float
    keeps: str
    columns: Sequence[Column]
    peers: Sequence[str]
    live: Live[TargetT, AliveT]
    measure: Measure[AliveT, CaseT, TargetT]
    prepare: Callable[[], object] = lambda: None
    is_scattered: bool = True


def run(measurement: Measurement[TargetT, CaseT, AliveT]) -> int:
    """0 if everything was measured and, with --check, is as required; 1 if not; 2 if it could not begin."""
    options = _parse(measurement)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped then, too
    try:
        measurement.prepare()
        plan = Plan(
            is_scattered=measurement.is_scattered,
            targets=_available(measurement.targets[name] for name in options.targets),
            cases=[
                measurement.cases[name] for name in (measurement.cases if "all" in options.cases else options.cases)
            ],
            rounds=options.rounds,
            seconds=options.seconds,
            rest_s=options.rest,
            data=machine.durable(options.data),
        )
    except Unavailable as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    results = rounds.run(plan, measurement.name, measurement.live, measurement.measure)
    _report(results, plan, measurement)
    is_good = not results.has_failure()
    if options.check:
        is_good &= _check(results, {case.name for case in plan.cases}, set(options.targets))
    return 0 if is_good else 1


def _parse(measurement: Measurement[TargetT, CaseT, AliveT]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=measurement.about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names, usual, seconds = list(measurement.targets), list(measurement.usual), measurement.seconds
    add("--rounds", type=int, default=3, help="how often each target is measured (default: 3)")
    if seconds:
        add(
            "--seconds",
            type=float,
            default=seconds,
            help=f"about how long one measurement takes (default: {seconds:g})",
        )
    add("--targets", nargs="+", choices=names, default=names, help="default: all")
    add("--cases", nargs="+", choices=[*measurement.cases, "all"], default=usual, help=f"default: {' '.join(usual)}")
    add("--data", type=Path, default=machine.DISK, help=f"a folder on the disk to measure (default: {machine.DISK})")
    add("--rest", type=float, default=10.0, help="seconds to wait, at most, for the machine to come to rest")
    add("--check", action="store_true", help="compare with required.py, and exit 1 if a ratio is not reached")
    parser.set_defaults(seconds=seconds)
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 0 or (seconds and not options.seconds):
        parser.error("--rounds and --seconds must be positive")
    return options


def _available(makers: Iterable[Callable[[], TargetT]]) -> list[TargetT]:
    """The targets that can run here; the others are named with what they need, which is fatal with CI=true."""
    found = []
    for make in makers:
        target = make()
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


def _report(results: Results, plan: Plan[TargetT, CaseT], measurement: Measurement[TargetT, CaseT, AliveT]) -> None:
    """The tables, on standard output."""
    each = f" of {plan.seconds:g} s" if plan.seconds else ""
    print(f"{plan.rounds} rounds{each}; {machine.described(plan.data)}")
    for target in plan.targets:
        print(f"- {target.name}: {target.version()}; {measurement.keeps}: {target.keeps}")
    for case in plan.cases:
        print(f"\n### {case.name}: {case}\n")
        print(table(results, case.name, columns=measurement.columns, compared="rate", peers=measurement.peers))


def _check(results: Results, cases: set[str], targets: set[str]) -> bool:
    """Print a verdict on each requirement that concerns what was asked for; True if there are some and all are met."""
    verdicts = judge(results, (one for one in REQUIRED if one.case in cases and one.targets <= targets))
    print("", *(verdict.text for verdict in verdicts), sep="\n")
    if not verdicts:
        print("NOTHING TO CHECK: no requirement concerns these cases and targets")
    return bool(verdicts) and all(verdict.is_met for verdict in verdicts)
