"""A run of one measurement: the targets in turn, round by round, each life of a target on an empty data folder."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Plan(Generic[TargetT, CaseT]):
    """What to run. Targets alternate A B C A B C, and each meets all cases in one life."""

    targets: Sequence[TargetT]
    cases: Sequence[CaseT]
    rounds: int
    seconds: float  # about how long one measurement loads a target; 0 where the case says how much there is to do
    rest_s: float  # how long to wait, at most, for the machine to come to rest
    data: Path  # a folder on the disk to measure
    is_scattered: bool = True  # each target gets another part of it


Live = Callable[[TargetT, Path], AbstractContextManager[AliveT]]
"""A target's life on an empty folder; the value is what `Measure` gets. More of it may lie beside. Raises Failed."""

Measure = Callable[[AliveT, CaseT, Plan[TargetT, CaseT]], Measured]
"""One case. Raises Failed."""


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
            for target in plan.targets:
                data = machine.place(Path(folder), f"{target.name}-{round_}")
                for row in _one_life(target, data, plan, round_, live, measure):
                    results.add(row)
                    print(f"round {round_} of {plan.rounds}: {row}", file=sys.stderr)
    return results


def _one_life(
    target: TargetT,
    data: Path,
    plan: Plan[TargetT, CaseT],
    round_: int,
    live: Live[TargetT, AliveT],
    measure: Measure[AliveT, CaseT, TargetT],
) -> list[Row]:
    def row_of(alive: AliveT, case: CaseT) -> Row:
        try:
            measured = measure(alive, case, plan)
        except Failed as problem:
            return Row(case=case.name, target=target.name, round=round_, failure=str(problem))
        values, remarks = measured.values, measured.remarks
        return Row(case=case.name, target=target.name, round=round_, values=values, remarks=remarks)

    try:
        with live(target, data) as alive:
            return [row_of(alive, case) for case in plan.cases]
    except Failed as problem:
        return [Row(case=case.name, target=target.name, round=round_, failure=str(problem)) for case in plan.cases]
