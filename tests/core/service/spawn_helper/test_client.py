"""The service's side of the helper, in a process that has really given up root's rights."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
import os, sys, time, signal
import gevent
from gevent.event import AsyncResult
close = monkey.get_original("os", "close")  # gevent's comes a little later
from pathlib import Path
from mdacore import Command, UnknownUser, UserRefused
from mdacore.assembly.config import ServiceKeys
from mdacore.assembly.identity import find_identity
from mdacore.assembly.spawning import SpawnRegistry
from mdacore.service.privileges import become
from mdacore.service.spawn_helper import SpawnHelper

class Script:
    def run_as(self, values):
        return values[0]
    def command(self, values, account):
        argv = ("/bin/sh", "-c", *values[1:])
        return Command(argv=tuple(value.encode() for value in argv), environment={})

class Lines:
    def info(self, event, **fields): print(event, flush=True)
    def error(self, event, **fields): print(event, fields["error"], flush=True)

registry = SpawnRegistry(has_helper=True)
spawner = registry.register(Script())
helper = SpawnHelper(registry, min_uid=1, log=Lines())
helper.start()
become(find_identity(ServiceKeys(user="nobody")))
null_fd = os.open(os.devnull, os.O_RDWR)

def spawn(*values, output_fd=null_fd):
    exited = AsyncResult()
    process = spawner.spawn(values, stdin_fd=null_fd, output_fd=output_fd, on_exit=exited.set)
    return process, exited

def said(*values):
    read_fd, write_fd = os.pipe()
    _, exited = spawn(*values, output_fd=write_fd)
    status = exited.get(timeout=60)
    close(write_fd)
    output = os.read(read_fd, 1000).decode().strip()
    close(read_fd)
    return status, output
"""


@pytest.fixture
def run(root, run_script):
    """Run a scenario; gives what it printed after the helper's start."""

    def scenario(code):
        started, *lines = run_script(PRELUDE + code)
        assert "service.spawn_helper_started" == started
        return lines

    return scenario


class TestSpawn:
    def test_another_user_runs_it_for_a_service_that_is_nobody(self, run):
        lines = run('print(os.getuid()); print(*said("daemon", "id -un"))')

        assert ["65534", "0 daemon"] == lines

    @pytest.mark.parametrize(
        ("values", "error"),
        [
            ('"root", "id"', "UserRefused"),
            ('"no-such-user-here", "id"', "UnknownUser"),
            ('"daemon", "a\\0b"', "UserRefused"),
            ('"daemon", "\\ud800"', "UserRefused"),
            ('"daemon", "x" * 200_000', "OSError"),
        ],
    )
    def test_what_it_will_not_do_is_raised_and_it_goes_on(self, run, values, error):
        lines = run(f"""
try:
    spawn({values})
except Exception as error:
    print(type(error).__name__)
print(*said("daemon", "echo on"))
""")

        assert [error, "0 on"] == lines

    def test_the_descriptors_stay_the_caller_s(self, run):
        (counts,) = run("""
count = lambda: len(os.listdir("/proc/self/fd"))
said("daemon", "exit 0")
before = count()
for _ in range(20):
    _, exited = spawn("daemon", "exit 0")
    exited.get(timeout=60)
print(count() - before, len(helper._jobs))
""")

        assert "0 0" == counts

    def test_many_greenlets_may_ask_at_once(self, run):
        (answers,) = run("""
jobs = [gevent.spawn(said, "daemon", f"echo {number}") for number in range(40)]
gevent.joinall(jobs, timeout=60)
print([job.value for job in jobs] == [(0, str(number)) for number in range(40)])
""")

        assert "True" == answers


class TestEnds:
    def test_a_process_is_ended_by_its_handle(self, run):
        lines = run("""
process, exited = spawn("daemon", "sleep 600")
process.signal_group(signal.SIGTERM)
print(exited.get(timeout=60))
process.signal_group(signal.SIGKILL)
print(*said("daemon", "echo on"))
""")

        assert ["15", "0 on"] == lines

    def test_whoever_is_interrupted_while_it_starts_leaves_nothing(self, run):
        """And is never called."""
        lines = run("""
called = []
read_fd, write_fd = os.pipe()
waiting = gevent.spawn(
    spawner.spawn, ("daemon", "sleep 600"), stdin_fd=null_fd, output_fd=write_fd, on_exit=called.append
)
while not helper._last_job:
    gevent.sleep(0)
waiting.kill()
close(write_fd)
print(os.read(read_fd, 1))  # an end: nobody has the other side any more
print(called, len(helper._jobs))
""")

        assert ["b''", "[] 0"] == lines

    def test_with_stop_the_helper_ends_and_all_that_it_runs(self, run):
        lines = run("""
pid = int(Path(f"/proc/self/task/{os.getpid()}/children").read_text())
_, exited = spawn("daemon", "sleep 600")
helper.stop()
helper.stop()
print(exited.get(timeout=60), Path(f"/proc/{pid}").exists())
try:
    spawn("daemon", "id")
except OSError as error:
    print(error)
""")

        assert ["9 False", "[Errno 32] the spawn helper: the service stops"] == lines


class TestLoss:
    def test_a_helper_that_is_gone_is_ill_health_and_ends_its_jobs(self, run_script, root):
        """What it ran ends with it (its own process; what that started goes on). Only root may kill it."""
        lines = run_script(
            PRELUDE.replace("become(find", "(find")
            + """
read_fd, write_fd = os.pipe()
_, exited = spawn("daemon", "exec sleep 600", output_fd=write_fd)
os.kill(int(Path(f"/proc/self/task/{os.getpid()}/children").read_text()), signal.SIGKILL)
print(exited.get(timeout=60), helper.health().status.value)
try:
    spawn("daemon", "id")
except OSError as error:
    print(error.errno)
close(write_fd)
print(os.read(read_fd, 1))
""")  # fmt: skip

        assert ["service.spawn_helper_started"] == lines[:1]
        assert ["9 failed", "32", "b''"] == [line for line in lines[1:] if not line.startswith("service.")]
        assert any(line.startswith("service.spawn_helper_failed") for line in lines)

    def test_of_a_service_that_is_killed_nothing_is_left(self, root, wait_until):
        code = (
            "from gevent import monkey; monkey.patch_all()\n"
            + PRELUDE
            + 'spawn("daemon", "echo; exec sleep 601")\nprint("running", flush=True)\ngevent.sleep(600)'
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as service:
            try:
                assert ["service.spawn_helper_started\n", "running\n"] == [service.stdout.readline() for _ in range(2)]
                helper = int(Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text())
                child = int(Path(f"/proc/{helper}/task/{helper}/children").read_text())
            finally:
                service.send_signal(signal.SIGKILL)

        wait_until(lambda: not any(is_running(pid) for pid in (helper, child)))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.usefixtures("root")
def test_with_a_thread_it_is_not_forked(run_script):
    (error,) = run_script("""
import gevent
from mdacore.assembly.spawning import SpawnRegistry
from mdacore.service.spawn_helper import SpawnHelper
gevent.get_hub().threadpool.apply(lambda: None)
try:
    SpawnHelper(SpawnRegistry(has_helper=True), min_uid=1, log=None).start()
except PermissionError as error:
    print(error)
""")

    assert error.startswith("1 threads")
