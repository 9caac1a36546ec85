"""The order of a run, and what becomes of a life that fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from mdabench import rounds
from mdabench.cases import Case
from mdabench.results import Measured, Results
from mdabench.rounds import Plan, Ready, ready
from mdabench.server import Failed


@dataclass(frozen=True)
class Named:
    """A target that is nothing but a name."""

    name: str


A, B = Named("a"), Named("b")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan[Named, Case]:
    monkeypatch.setattr(rounds, "RESULTS", tmp_path / "results")
    cases = [Case(name="x"), Case(name="y")]
    return Plan(targets=[A, B], cases=cases, rounds=2, seconds=0.0, rest_s=0.0, data=tmp_path)


def order(results: Results) -> Sequence[str]:
    return [f"{row.round}{row.case}{row.target}" for row in results.rows]


class TestRun:
    def test_targets_alternate_in_each_case(self, plan: Plan[Named, Case]) -> None:
        """What is divided by each other was measured one after the other."""
        results = rounds.run(plan, "order", ready, lambda alive, case, plan: Measured(values={}))

        assert ["1xa", "1xb", "1ya", "1yb", "2xa", "2xb", "2ya", "2yb"] == order(results)

    def test_each_life_has_an_empty_folder(self, plan: Plan[Named, Case]) -> None:
        def fill(alive: Ready[Named], case: Case, plan: Plan[Named, Case]) -> Measured:
            found = len(list(alive.data.iterdir()))
            (alive.data / "left over").touch()
            return Measured(values={"found": found})

        results = rounds.run(plan, "empty", ready, fill)

        assert [0.0] * 8 == [row.values["found"] for row in results.rows]

    def test_life_that_fails_is_noted_and_the_others_go_on(self, plan: Plan[Named, Case]) -> None:
        def fail(alive: Ready[Named], case: Case, plan: Plan[Named, Case]) -> Measured:
            if (alive.target, case.name) == (A, "y"):
                raise Failed("it broke")
            return Measured(values={"rate": 1.0})

        results = rounds.run(plan, "fails", ready, fail)

        assert ["1ya", "2ya"] == [f"{row.round}{row.case}{row.target}" for row in results.rows if row.failure]
        assert 6 == sum("rate" in row.values for row in results.rows)
