"""Processes from their start to their end: real ones, under limits of fractions of a second."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import gevent
import pytest

from mdacore_relay_lda.program import Command
from mdacore_relay_lda.result import Result
from mdacore_relay_lda.runner import Runner

LONG_S = 60.0
SHORT_S = 0.3
LIMITS_S = (SHORT_S, 3.0, 30.0)
"""What a child needs to get somewhere nobody knows: more and more."""


@pytest.fixture
def runner(launcher, started):
    return started(Runner(launcher, output_max_bytes=4096))


@pytest.fixture
def run(runner, tmp_path):
    """Run a shell script with a message on its standard input."""

    def run(script, *, message=b"", limit_s=LONG_S, grace_s=0.2, environment=None):
        path = tmp_path / "message"
        path.write_bytes(message)
        argv = (b"/bin/sh", b"-c", script.encode(), b"sh", str(tmp_path).encode())
        with path.open("rb") as file:
            command = Command(argv=argv, environment=environment or {b"PATH": b"/usr/bin:/bin"})
            return runner.run(command, file.fileno(), limit_s=limit_s, grace_s=grace_s)

    return run


class TestResults:
    @pytest.mark.parametrize("status", [0, 1, 75, 255])
    def test_the_exit_status(self, run, status):
        assert Result(status=status) == run(f"exit {status}")

    def test_the_signal_that_killed_it(self, run):
        assert Result(signal=signal.SIGKILL) == run("kill -KILL $$")

    def test_standard_output_and_error_in_their_order(self, run):
        assert b"1\n2\n3\n" == run("echo 1; echo 2 >&2; echo 3").output

    def test_the_message_is_its_standard_input(self, run):
        assert b"To: x\n" == run("cat", message=b"To: x\n").output

    def test_what_is_not_executable_is_an_error_of_the_system(self, runner, program, tmp_path):
        for script, number in [("/nonexistent", errno.ENOENT), (str(tmp_path), errno.EACCES)]:
            with pytest.raises(OSError) as caught:
                runner.run(Command(argv=(script.encode(),), environment={}), 0, limit_s=1.0, grace_s=0.1)
            assert number == caught.value.errno

    def test_a_script_without_an_interpreter_is_not_given_to_a_shell(self, runner, program):
        with pytest.raises(OSError) as caught:
            runner.run(Command(argv=(program("true", "").encode(),), environment={}), 0, limit_s=1.0, grace_s=0.1)

        assert errno.ENOEXEC == caught.value.errno


class TestSurroundings:
    """What a child sees of the server: nothing."""

    @pytest.fixture
    def child(self, runner, launcher, wait_until):
        """A child that waits, of a server that was itself started with more descriptors than three."""
        inherited = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(inherited, True)
        launcher.start()
        command = Command(argv=(b"/bin/sleep", b"60"), environment={b"A": b"1"})
        greenlet = gevent.spawn(runner.run, command, inherited, limit_s=LONG_S, grace_s=0.1)
        gevent.idle()
        child = launcher.children[0]
        wait_until(lambda: "State:\tS" in Path(f"/proc/{child.pid}/status").read_text())
        yield child
        greenlet.kill()
        os.close(inherited)

    def test_case_113_it_sees_the_descriptors_0_1_and_2_only(self, child):
        assert [0, 1, 2] == sorted(int(path.name) for path in Path(f"/proc/{child.pid}/fd").iterdir())

    def test_it_leads_a_session_and_a_group_of_its_own(self, child):
        assert (child.pid, child.pid) == (os.getsid(child.pid), os.getpgid(child.pid))

    def test_no_signal_is_blocked_or_ignored(self, child):
        """Python ignores SIGPIPE, and so would its children. 32 and 33 belong to the C library."""
        status = dict(line.split(":\t") for line in Path(f"/proc/{child.pid}/status").read_text().splitlines())

        assert (0, 0) == (int(status["SigBlk"], 16), int(status["SigIgn"], 16) & 0x7FFF_FFFF)

    def test_case_081_the_environment_is_what_it_was_given(self, child):
        assert b"A=1\0" == Path(f"/proc/{child.pid}/environ").read_bytes()


class TestInput:
    def test_case_084_a_child_that_does_not_read_is_a_success(self, run):
        assert Result(status=0) == run("exit 0", message=b"x" * 1_000_000)

    def test_case_084_a_child_may_end_after_half_of_it(self, run):
        assert Result(status=75, output=b"xxxxx") == run("head -c 5; exit 75", message=b"x" * 1_000_000)


class TestOutput:
    def test_case_084_much_output_is_cut_and_the_rest_drained(self, run):
        """The child is never held up: all of it is read."""
        result = run("head -c 100000000 /dev/zero >&2; exit 75")

        assert (75, bytes(4096)) == (result.status, result.output)

    def test_case_084_any_octets_may_be_output(self, run):
        assert b"\xff\xfe\0\x1b[31m" == run(r"printf '\377\376\000\033[31m'").output

    def test_what_was_said_last_is_not_lost(self, run):
        assert b"5.1.1 gone\n" == run("echo 5.1.1 gone; kill -KILL $$").output

    def test_a_child_that_closes_its_output_is_waited_for(self, run):
        assert Result(status=7) == run("exec >&- 2>&-; read line; sleep 0.05; exit 7")


class TestOverdue:
    """Case 83: at the limit the group ends, is reaped, and nothing is left open."""

    @pytest.mark.parametrize(
        "script",
        [
            "sleep 60",
            "exec sleep 60",
            "while :; do :; done",
            "exec >&- 2>&- <&-; sleep 60",
            "trap '' TERM HUP INT; while :; do sleep 60; done",
            "sleep 60 & sleep 60 & wait",
            "kill -STOP $$; sleep 60",
        ],
    )
    def test_case_083_a_child_that_hangs_is_ended_and_reaped(self, run, runner, launcher, is_gone, script):
        began = time.monotonic()

        result = run(script, limit_s=SHORT_S)

        assert result.is_overdue
        assert time.monotonic() - began < 30.0
        assert (True, 0) == (is_gone(launcher.children[0].pid), len(runner))
        with pytest.raises(ProcessLookupError):
            os.kill(launcher.children[0].pid, 0)

    def test_case_083_what_the_child_started_ends_with_it(self, run, tmp_path, wait_until, is_gone):
        """Also what ignores SIGTERM while the child itself heeds it."""
        script = "sh -c \"trap '' TERM; echo \\$\\$ >$1/pid; while :; do sleep 60; done\" & wait"

        result = run_until(lambda _: read(tmp_path / "pid"), run, script)

        pid = int((tmp_path / "pid").read_text())
        assert signal.SIGTERM == result.signal
        wait_until(lambda: is_gone(pid))

    def test_case_083_a_grandchild_that_holds_the_output_is_not_waited_for(self, run, tmp_path):
        result = run("sleep 60 & echo $! >$1/pid; echo done; exit 3")

        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        assert Result(status=3, output=b"done\n") == result

    def test_case_083_one_that_left_the_session_is_not_waited_for(self, run, tmp_path):
        """It cannot be found by its group and is left alone."""
        result = run('setsid sh -c "echo \\$\\$ >$1/pid; exec sleep 60" & while [ ! -s $1/pid ]; do :; done; exit 0')

        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        assert Result(status=0) == result

    def test_case_083_sigterm_comes_first(self, run, tmp_path):
        script = "trap 'echo bye; exit 9' TERM; >$1/begun; while :; do :; done"

        result = run_until(lambda _: (tmp_path / "begun").exists(), run, script, grace_s=60.0)

        assert Result(status=9, is_overdue=True, output=b"bye\n") == result

    def test_case_083_no_descriptor_stays_open(self, run, count_fds):
        run("true")
        before = count_fds()

        run("sleep 60 & wait", limit_s=0.05)

        assert before == count_fds()

    def test_a_child_that_writes_without_end_is_ended_too(self, run):
        result = run_until(lambda result: result.output, run, "yes")

        assert (True, 4096) == (result.is_overdue, len(result.output))


def read(path):
    return path.exists() and path.read_text()


def run_until(has_got_somewhere, run, script, **options):
    """Run it under a limit that is long enough for that."""
    for limit_s in LIMITS_S:
        result = run(script, limit_s=limit_s, **options)
        if has_got_somewhere(result):
            break
    return result


class TestInterrupted:
    """From outside: the group ends and is reaped all the same."""

    @pytest.fixture
    def waiting(self, run, tmp_path, wait_until):
        """A greenlet that runs something without end; it has begun."""

        def waiting(before="", script="sleep 60 & wait"):
            greenlet = gevent.spawn(run, f"{before} >$1/begun; {script}", grace_s=0.2)
            wait_until((tmp_path / "begun").exists)
            return greenlet

        return waiting

    def test_case_083_a_killed_greenlet_leaves_no_child(self, waiting, runner, launcher, is_gone):
        greenlet = waiting()

        greenlet.kill()

        assert (True, 0) == (is_gone(launcher.children[0].pid), len(runner))

    def test_case_083_somebody_elses_timeout_passes_through(self, run, runner, launcher, is_gone):
        with gevent.Timeout(SHORT_S) as timeout, pytest.raises(gevent.Timeout) as caught:
            run("sleep 60 & wait")

        assert timeout is caught.value
        assert (True, 0) == (is_gone(launcher.children[0].pid), len(runner))

    def test_a_second_interruption_does_not_save_the_child(self, waiting, runner, launcher, is_gone, wait_until):
        greenlet = waiting("trap '' TERM;", "while :; do sleep 60; done")

        greenlet.kill(block=False)
        gevent.idle()
        greenlet.kill()

        wait_until(lambda: is_gone(launcher.children[0].pid) and len(runner) == 0)

    def test_stop_kills_what_runs(self, waiting, runner, launcher, is_gone):
        greenlet = waiting("trap '' TERM;", "while :; do sleep 60; done")

        runner.stop()

        assert (True, 0) == (is_gone(launcher.children[0].pid), len(runner))
        assert Result(signal=signal.SIGKILL) == greenlet.get()

    def test_no_descriptor_stays_open(self, run, waiting, count_fds):
        run("true")
        before = count_fds()

        waiting().kill()

        assert before == count_fds()


class TestMany:
    def test_case_086_no_zombie_and_no_descriptor_is_left(self, runner, count_fds, is_gone, launcher):
        """500 children, 20 at once, in a storm of SIGCHLD."""
        null = os.open("/dev/null", os.O_RDONLY)
        command = Command(argv=(b"/bin/true",), environment={})
        runner.run(command, null, limit_s=LONG_S, grace_s=0.1)
        before = count_fds()

        def deliver_many():
            return [runner.run(command, null, limit_s=LONG_S, grace_s=0.1) for _ in range(25)]

        results = [job.get() for job in [gevent.spawn(deliver_many) for _ in range(20)]]

        assert [[Result(status=0)] * 25] * 20 == results
        assert (before, 0) == (count_fds(), len(runner))
        assert [] == defunct_children()
        os.close(null)

    def test_they_run_side_by_side(self, run):
        """Each waits for all the others."""
        script = "mktemp $1/begun.XXXXXX; until [ $(ls $1 | grep -c begun) = 10 ]; do sleep 0.02; done"

        results = [job.get() for job in [gevent.spawn(run, script) for _ in range(10)]]

        assert [0] * 10 == [result.status for result in results]

    def test_the_hub_goes_on_meanwhile(self, run, tmp_path):
        """The child waits for what the hub does."""

        def tick():
            for _ in range(10):
                gevent.sleep(0.01)
            (tmp_path / "ticked").touch()

        ticker = gevent.spawn(tick)

        result = run("for i in $(seq 500); do [ -e $1/ticked ] && exit 0; sleep 0.1; done; exit 1")

        ticker.kill()
        assert Result(status=0) == result

    def test_case_086_a_number_that_was_given_to_somebody_else_is_left_alone(self, run, launcher):
        """A reaped child's number may be another process's, and so may its group."""
        run("true")
        child = launcher.children[0]
        stranger = os.posix_spawn("/bin/sleep", ["sleep", "60"], {}, setsid=True)
        child.pid = stranger

        child.signal_group(signal.SIGKILL)

        os.kill(stranger, signal.SIGUSR1)
        assert signal.SIGUSR1 == os.WTERMSIG(os.waitpid(stranger, 0)[1])


def defunct_children() -> list[int]:
    """The zombies of this process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state == "Z" and int(parent) == os.getpid():
            found.append(int(path.parent.name))
    return found
