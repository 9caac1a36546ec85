"""The proof can fail: each of these bugs is found by what runs in CI, fuzz target's mutants and property test."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ...fuzz import smtp_protocol as target
from .protocol_mutants import MUTANTS, Mutant
from .protocol_proof import observe
from .reference import Scenario, expected
from .talk import scenarios

INPUTS = 12_000
EXAMPLES = 2000


class _FoundError(Exception):
    """Ends the search."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_bug_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)

    with pytest.raises(_FoundError) as found:
        search()

    print(f"{mutant.__name__}: {found.value}")  # noqa: T201 - the table, with `pytest -rP`


def search() -> None:
    for octets in target.inputs(INPUTS, Random(0)):
        judge(target.scenario_of(octets))
    search_with_hypothesis()


@settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
)  # fmt: skip
@given(scenarios())
def search_with_hypothesis(scenario: Scenario) -> None:
    judge(scenario)


def judge(scenario: Scenario) -> None:
    """As the tests do, with what is raised counted as a finding."""
    try:
        problem = expected(scenario).difference(observe(scenario, is_nosy=True))
    except Exception as error:  # noqa: BLE001 - whatever a mutant does
        problem = repr(error)
    if problem:
        raise _FoundError(f"{problem[:150]} after {b''.join(scenario.pieces)[-60:]!r}")
