"""The reference page of the kit: every public name stands in it, and every example in it runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mdacore import testing
from mdacore.testing import pytest_plugin

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/testing.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def names_in_backticks():
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL))
    return {name for span in spans for name in re.findall(r"\w+", span)}


def test_every_public_name_and_every_fixture_is_documented():
    fixtures = {name for name in vars(pytest_plugin) if name.startswith("mdacore_")}

    assert set() == ({*testing.__all__} | fixtures) - names_in_backticks()


def test_the_names_are_sorted_and_all_there():
    assert sorted(testing.__all__) == testing.__all__
    assert [] == [name for name in testing.__all__ if not hasattr(testing, name)]


def test_another_name_is_none():
    with pytest.raises(AttributeError, match="has no attribute 'MockQueue'"):
        testing.MockQueue  # noqa: B018


def test_every_example_runs(tmp_path):
    """Each block is a test file; one that begins with a file's name is that file."""
    for number, block in enumerate(BLOCKS):
        named = re.match(r"# (\w+\.py)\n", block)
        (tmp_path / (named[1] if named else f"test_example_{number}.py")).write_text(block)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]

    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert len(BLOCKS) >= 10
