"""Commands that plugins bring along stand beside ours, and a broken one hurts nobody else."""

import re
import sys

import pytest


def test_a_plugins_command_runs(mdacore):
    assert (0, "Hello Bob\n", "") == mdacore("fake-greet", "--name", "Bob")


def test_help_says_where_it_is_from_without_importing_it(mdacore):
    _, output, _ = mdacore("--help")

    assert re.search(r"fake-greet +From fake-relay\.", output)
    assert "fake_commands" not in sys.modules


@pytest.mark.parametrize(
    ("name", "reason"), [("fake-broken", "has no attribute 'nothing'"), ("fake-odd", "is not a click command")]
)
def test_one_that_cannot_be_loaded_says_so_and_ours_go_on(mdacore, name, reason):
    status, _, errors = mdacore(name)

    assert 1 == status
    assert reason in errors
    assert 0 == mdacore("--help")[0]
    assert 0 == mdacore("version")[0]
