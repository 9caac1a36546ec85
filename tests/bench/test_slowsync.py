"""The library that makes syncs slow: what it slows, by how much at least, and that each server really has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mdabench import slowsync
from mdabench.cases import Case
from mdabench.load import run
from mdabench.postfix import Postfix
from mdabench.server import Target, running
from mdabench.targets import Bare, Mdacore

pytestmark = pytest.mark.needs("cc")

DELAY_MS = 80.0
TIMED = """
import ctypes, mmap, os, sys, tempfile, time
with tempfile.TemporaryFile() as file:
    file.truncate(4096)
    fd, memory, libc = file.fileno(), mmap.mmap(file.fileno(), 4096), ctypes.CDLL(None)
    begin = time.monotonic()
    {statement}
    print(time.monotonic() - begin)
"""
FAILING = """
    try:
        os.fsync(999)
    except OSError as error:
        assert error.errno == 9, error
    else:
        raise AssertionError("no error")
"""
"""No disk takes part in it."""


def seconds(statement: str, tmp_path: Path, delay_ms: float = DELAY_MS) -> float:
    """How long a process with slow syncs takes for the statement."""
    environment = {**os.environ, **slowsync.environment(delay_ms), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", TIMED.format(statement=statement)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


class TestSyncs:
    @pytest.mark.parametrize("sync", ["os.fsync(fd)", "os.fdatasync(fd)", "memory.flush()", "libc.syncfs(fd)"])
    def test_each_of_them_is_late(self, tmp_path: Path, sync: str) -> None:
        assert DELAY_MS / 1000 <= seconds(sync, tmp_path)

    def test_delay_is_what_was_asked_for(self, tmp_path: Path) -> None:
        """It lies above one second here, where seconds and the rest of them are counted apart."""
        took_s = [seconds(FAILING, tmp_path, delay_ms=1100) for _ in range(3)]

        assert 1.1 <= min(took_s) < 2.0  # a machine that stands still now and then is not what is tested

    def test_failure_keeps_its_cause(self, tmp_path: Path) -> None:
        assert DELAY_MS / 1000 <= seconds(FAILING, tmp_path)

    def test_nothing_is_loaded_where_no_delay_is_wanted(self) -> None:
        assert {} == slowsync.environment(0.0)


class TestTargets:
    """A server that drops the library on its way would look quick, and nobody would know why."""

    @pytest.mark.parametrize(
        "target",
        [
            Mdacore(),
            pytest.param(
                Postfix(),
                marks=[
                    pytest.mark.needs("postfix"),
                    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix has to be started by root"),
                ],
            ),
        ],
        ids=lambda target: target.name,
    )
    def test_no_message_is_accepted_sooner_than_a_sync_takes(self, public_folder: Path, target: Target) -> None:
        assert DELAY_MS <= self.median_ms(target, public_folder)

    def test_server_that_syncs_nothing_is_as_quick_as_ever(self, public_folder: Path) -> None:
        """With syncs so slow that no busy machine comes near it."""
        assert self.median_ms(Bare(), public_folder, delay_ms=5_000.0) < 5_000.0

    def median_ms(self, target: Target, data: Path, delay_ms: float = DELAY_MS) -> float:
        with running(target, data, environment=slowsync.environment(delay_ms)) as server:
            outcome = run(server.port, Case(name="slow", sessions=1), messages=5, limit_s=60.0)
        assert 0 == outcome.errors, outcome.first_error
        return outcome.p50_ms
