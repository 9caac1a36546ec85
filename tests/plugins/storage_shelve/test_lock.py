"""One owner per store, and no owner after its death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from mdacore import StorageError
from mdacore_storage_shelve.lock import StoreLock

HOLD = """
import sys
from pathlib import Path
from mdacore_storage_shelve.lock import StoreLock
lock = StoreLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert b"held\n" == process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


class TestAcquire:
    def test_case_070_a_second_owner_is_told_the_pid_of_the_first(self, tmp_path, holder):
        with pytest.raises(StorageError, match=f"in use by process {holder.pid}$"):
            StoreLock(tmp_path / "lock").acquire()

    def test_case_070_a_second_owner_in_the_same_process_is_refused_too(self, tmp_path):
        first = StoreLock(tmp_path / "lock")
        first.acquire()

        with pytest.raises(StorageError, match=str(os.getpid())):
            StoreLock(tmp_path / "lock").acquire()

        first.release()

    def test_case_070_a_dead_owners_lock_is_taken_over(self, tmp_path, holder):
        holder.kill()
        holder.wait()
        lock = StoreLock(tmp_path / "lock")

        lock.acquire()

        assert f"{os.getpid()}\n" == (tmp_path / "lock").read_text()
        lock.release()

    def test_case_070_a_child_of_a_dead_owner_does_not_keep_its_lock(self, tmp_path):
        """A descriptor that a child inherits would hold the lock for as long as the child lives."""
        script = (
            "import subprocess, sys\nfrom pathlib import Path\n"
            "from mdacore_storage_shelve.lock import StoreLock\n"
            "lock = StoreLock(Path(sys.argv[1])); lock.acquire()\n"
            "print(subprocess.Popen(['sleep', '60'], close_fds=False).pid, flush=True)\n"
            "import os; os._exit(0)\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "lock")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
            child = int(owner.stdout.readline())
            owner.wait()
        lock = StoreLock(tmp_path / "lock")

        lock.acquire()

        os.kill(child, signal.SIGKILL)
        lock.release()

    def test_case_070_a_pid_in_the_file_without_its_lock_means_nothing(self, tmp_path):
        """Case 70: the pid may have been given to somebody else."""
        (tmp_path / "lock").write_text(f"{os.getppid()}\n")
        lock = StoreLock(tmp_path / "lock")

        lock.acquire()

        lock.release()

    def test_the_file_is_the_owners_alone(self, tmp_path):
        lock = StoreLock(tmp_path / "lock")
        lock.acquire()

        assert 0o600 == (tmp_path / "lock").stat().st_mode & 0o777
        lock.release()

    def test_a_link_is_not_followed(self, tmp_path):
        (tmp_path / "target").write_text("precious")
        (tmp_path / "lock").symlink_to(tmp_path / "target")

        with pytest.raises(OSError):
            StoreLock(tmp_path / "lock").acquire()

        assert "precious" == (tmp_path / "target").read_text()


class TestRelease:
    def test_afterwards_the_next_owner_gets_it_and_a_second_release_is_nothing(self, tmp_path):
        first, second = StoreLock(tmp_path / "lock"), StoreLock(tmp_path / "lock")
        first.acquire()

        first.release()
        first.release()

        second.acquire()
        second.release()
