"""A run of one measurement: round by round, case by case, the targets in turn, each life on an empty data folder."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from mdabench import machine
from mdabench.load import BENCH
from mdabench.results import Measured, Results, Row
from mdabench.server import Failed

RESULTS = BENCH / "results"  # ignored by git


class Named(Protocol):
    """What has a name in the results: a target, a case."""

    @property
    def name(self) -> str: ...


TargetT = TypeVar("TargetT", bound=Named)
CaseT = TypeVar("CaseT", bound=Named)
AliveT = TypeVar("AliveT")


class Pace(Protocol):
    """How long things take: all that measuring one server needs of a plan, which see."""

    @property
    def seconds(self) -> float: ...

    @property
    def rest_s(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Plan(Generic[TargetT, CaseT]):
    """What to run. Targets alternate A B C A B C in each case, so that what is divided was measured within a minute."""

    targets: Sequence[TargetT]
    cases: Sequence[CaseT]
    rounds: int
    seconds: float  # about how long one measurement loads a target; 0 where the case says how much there is to do
    rest_s: float  # how long to wait, at most, for the machine to come to rest
    data: Path  # a folder on the disk to measure
    is_scattered: bool = True  # each target gets another part of it


Live = Callable[[TargetT, Path], AbstractContextManager[AliveT]]
"""A target's life on an empty folder, for one case; the value is what `Measure` gets. More of it may lie beside. Raises
Failed.
"""

Measure = Callable[[AliveT, CaseT, Plan[TargetT, CaseT]], Measured]
"""The measurement in this life. Raises Failed."""


@dataclass(frozen=True, kw_only=True)
class Ready(Generic[TargetT]):
    """A target that is not started yet, and its empty folder."""

    target: TargetT
    data: Path


def ready(target: TargetT, data: Path) -> AbstractContextManager[Ready[TargetT]]:
    """The life of what is started by its measurement."""
    return nullcontext(Ready(target=target, data=data))


def run(
    plan: Plan[TargetT, CaseT], name: str, live: Live[TargetT, AliveT], measure: Measure[AliveT, CaseT, TargetT]
) -> Results:
    """All rounds; a target that fails is noted, and the others go on. Rows also go to ``results/<name>-*.jsonl``."""
    RESULTS.mkdir(exist_ok=True)
    results = Results(RESULTS / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
    with tempfile.TemporaryDirectory(dir=plan.data, prefix="mdabench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # a target may give up root's rights
        if plan.is_scattered:
            machine.scatter(Path(folder))
        for round_ in range(1, plan.rounds + 1):
            for case, target in product(plan.cases, plan.targets):
                data = machine.place(Path(folder), f"{target.name}-{round_}")
                measured = partial(_one_life, target, case, data, plan, live, measure)
                row = _row(target, case, round_, measured)
                results.add(row)
                print(f"round {round_} of {plan.rounds}: {row}", file=sys.stderr)
    return results


def _one_life(
    target: TargetT,
    case: CaseT,
    data: Path,
    plan: Plan[TargetT, CaseT],
    live: Live[TargetT, AliveT],
    measure: Measure[AliveT, CaseT, TargetT],
) -> Measured:
    with live(target, data) as alive:
        return measure(alive, case, plan)


def _row(target: Named, case: Named, round_: int, measured: Callable[[], Measured]) -> Row:
    try:
        got = measured()
    except Failed as problem:
        return Row(case=case.name, target=target.name, round=round_, failure=str(problem))
    return Row(case=case.name, target=target.name, round=round_, values=got.values, remarks=got.remarks)
