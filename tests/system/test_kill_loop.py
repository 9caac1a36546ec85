"""The kill loop in small: the command that `docs/testing-durability.md` describes, for as long as CI has time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

KILL_LOOP = Path(__file__).parent / "killloop"
KILLS = os.environ.get("MDACORE_KILLS", "500")
LIMIT_S = os.environ.get("MDACORE_KILL_LIMIT_S", "240")
"""On a slow machine fewer kills are enough; the drain comes on top."""


def kill_loop(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(KILL_LOOP), "--folder", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.takes_minutes
def test_nothing_accepted_is_lost_whenever_the_process_is_killed(tmp_path: Path) -> None:
    """I0 and I2 with real processes: each accepted recipient has mail, or its sender a notice."""
    ended = kill_loop(tmp_path, "--kills", KILLS, "--limit-s", LIMIT_S)

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    done = re.search(r"(\d+) kills .*'accepted': (\d+)", ended.stdout)
    assert done is not None
    assert int(done[1]) >= 5
    assert int(done[2]) >= 10


def test_a_relay_that_loses_mail_is_noticed(tmp_path: Path) -> None:
    """The loop can fail, and says which recipient is missing and how to repeat it."""
    ended = kill_loop(tmp_path, "--kills", "2", "--services", "1", "--loses", "--seed", "7")

    assert 1 == ended.returncode, ended.stdout + ended.stderr
    assert re.search(r"accepted \S+@recorded\.test: LOST", ended.stdout)
    assert "repeat: python tests/system/killloop --kills 2 --services 1 --clients 3 --seed 7" in ended.stdout
