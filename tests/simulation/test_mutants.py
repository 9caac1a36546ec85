"""The simulation can fail: each of these bugs is found within two hundred seeds."""

from __future__ import annotations

import pytest
from mutants import MUTANTS, Mutant
from queuesim import simulate_seed

SEEDS = range(200)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_bug_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)

    found = next((report for report in map(simulate_seed, SEEDS) if report.problems), None)

    assert found is not None, f"{mutant.__name__} survived {len(SEEDS)} seeds"
    print(f"{mutant.__name__}: seed {found.plan.seed}: {found.problems[0]}")  # noqa: T201 - the table, with `pytest -rP`
