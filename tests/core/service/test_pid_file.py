"""PidFile: one process at a time, and nothing else is ever overwritten."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mdacore.service.pid_file import PidFile

HOLD = """
import sys
from pathlib import Path
from mdacore.service.pid_file import PidFile
PidFile(Path(sys.argv[1])).start()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mda.pid"


@pytest.fixture
def held_by_another(path):
    """The file is held by a process, which the test gets."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert "held\n" == process.stdout.readline()
        yield process
        process.kill()


class TestStart:
    def test_it_holds_the_number_of_this_process(self, path):
        PidFile(path).start()

        assert f"{os.getpid()}\n" == path.read_text()

    def test_one_that_is_held_is_refused_with_the_holder_s_number(self, path, held_by_another):
        with pytest.raises(OSError, match=f"mda.pid is held by process {held_by_another.pid}"):
            PidFile(path).start()

        assert f"{held_by_another.pid}\n" == path.read_text()

    def test_one_that_was_left_behind_by_a_kill_is_taken_over(self, path, held_by_another):
        held_by_another.kill()
        held_by_another.wait()

        PidFile(path).start()

        assert f"{os.getpid()}\n" == path.read_text()

    def test_a_shorter_number_leaves_nothing_of_a_longer_one(self, path):
        path.write_text("99999999999999\n")

        PidFile(path).start()

        assert f"{os.getpid()}\n" == path.read_text()

    def test_a_file_that_is_something_else_is_left_alone(self, path):
        path.write_text("root:x:0:0::/root:/bin/sh\n")

        with pytest.raises(OSError, match="not a pid file"):
            PidFile(path).start()

        assert "root:x:0:0::/root:/bin/sh\n" == path.read_text()

    def test_a_link_is_not_followed(self, path, tmp_path):
        (tmp_path / "victim").write_text("1\n")
        path.symlink_to(tmp_path / "victim")

        with pytest.raises(OSError):
            PidFile(path).start()

        assert "1\n" == (tmp_path / "victim").read_text()

    def test_a_second_name_of_another_file_is_refused(self, path, tmp_path):
        (tmp_path / "victim").write_text("1\n")
        path.hardlink_to(tmp_path / "victim")

        with pytest.raises(OSError, match="not a pid file"):
            PidFile(path).start()

    def test_a_pipe_is_refused_and_does_not_block(self, path):
        os.mkfifo(path)

        with pytest.raises(OSError, match="not a pid file"):
            PidFile(path).start()


class TestStop:
    def test_the_file_is_gone_and_can_be_taken_again(self, path):
        first = PidFile(path)
        first.start()

        first.stop()
        first.stop()

        assert not path.exists()
        PidFile(path).start()

    def test_one_that_was_never_started_removes_nothing(self, path):
        path.write_text("1\n")

        PidFile(path).stop()

        assert path.exists()
