"""A run of one measurement: the targets in turn, round by round, each life of a target on an empty data folder."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mdabench.cases import Case
from mdabench.load import BENCH
from mdabench.results import Measured, Results, Row
from mdabench.server import Failed, Server, Target, running

RESULTS = BENCH / "results"  # ignored by git


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run. Targets alternate A B C A B C, and each meets all cases in one life."""

    targets: Sequence[Target]
    cases: Sequence[Case]
    rounds: int
    seconds: float  # about how long one measurement loads a target
    rest_s: float  # how long to wait, at most, for the machine to come to rest
    data: Path  # a folder on the disk to measure


Measure = Callable[[Server, Case, Plan], Measured]  # raises Failed


def run(plan: Plan, name: str, measure: Measure) -> Results:
    """All rounds; a target that fails is noted, and the others go on. Rows also go to ``results/<name>-*.jsonl``."""
    RESULTS.mkdir(exist_ok=True)
    results = Results(RESULTS / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
    with tempfile.TemporaryDirectory(dir=plan.data, prefix="mdabench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # a target may give up root's rights
        for round_ in range(1, plan.rounds + 1):
            for target in plan.targets:
                data = Path(folder, f"{target.name}-{round_}")
                data.mkdir(mode=0o755)
                for row in _one_life(target, data, plan, round_, measure):
                    results.add(row)
                    print(f"round {round_} of {plan.rounds}: {row}", file=sys.stderr)
    return results


def _one_life(target: Target, data: Path, plan: Plan, round_: int, measure: Measure) -> list[Row]:
    try:
        with running(target, data) as server:
            return [_one_case(server, case, plan, round_, measure) for case in plan.cases]
    except Failed as problem:
        return [Row(case=case.name, target=target.name, round=round_, failure=str(problem)) for case in plan.cases]


def _one_case(server: Server, case: Case, plan: Plan, round_: int, measure: Measure) -> Row:
    name = server.target.name
    try:
        measured = measure(server, case, plan)
    except Failed as problem:
        return Row(case=case.name, target=name, round=round_, failure=str(problem))
    return Row(case=case.name, target=name, round=round_, values=measured.values, remarks=measured.remarks)
