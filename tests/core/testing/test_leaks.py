"""Leak checks name what was left behind, and nothing else."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from mdacore.testing import leaks, no_leaks


def wait_for_ever(event):
    event.wait()


def leaked_by(*actions, **looks):
    """What `no_leaks` says of these actions, in their order; and what they returned."""
    results = []
    with pytest.raises(AssertionError) as caught, no_leaks(**looks):
        results.extend(action() for action in actions)
    return str(caught.value), *results


class TestGreenlets:
    def test_one_that_still_runs_is_named_with_its_function_and_where_it_waits(self):
        message, greenlet = leaked_by(lambda: gevent.spawn(wait_for_ever, Event()))
        greenlet.kill()

        assert message.startswith("leaked: greenlet <Greenlet")
        assert "wait_for_ever" in message
        assert f"{__file__}:" in message

    def test_one_that_has_not_begun_counts(self):
        message, greenlet = leaked_by(lambda: gevent.spawn_later(60, wait_for_ever, Event()))
        greenlet.kill()

        assert "wait_for_ever" in message

    def test_one_that_nobody_holds_is_found(self):
        event = Event()

        with pytest.raises(AssertionError, match="wait_for_ever"), no_leaks():
            gevent.spawn(wait_for_ever, event)
        event.set()
        gevent.idle()

    def test_a_raw_one_counts(self):
        event = Event()

        message, *_ = leaked_by(lambda: gevent.spawn_raw(wait_for_ever, event), lambda: gevent.sleep(0))
        event.set()
        gevent.idle()

        assert "in wait_for_ever" in message

    def test_one_that_ends_by_itself_in_a_moment_is_waited_for(self):
        event = Event()

        with no_leaks():
            gevent.spawn(wait_for_ever, event)
            gevent.sleep(0)
            event.set()

    def test_one_that_was_there_before_is_none(self):
        greenlet = gevent.spawn(wait_for_ever, Event())

        with no_leaks():
            pass

        greenlet.kill()

    def test_the_worker_of_a_thread_pool_is_none(self):
        with no_leaks():
            gevent.get_hub().threadpool.apply(int)


class TestDescriptors:
    def test_one_that_is_open_is_named_with_what_it_is_open_on(self, tmp_path):
        path = tmp_path / "left-open"

        message, descriptor = leaked_by(lambda: os.open(path, os.O_CREAT | os.O_WRONLY))
        os.close(descriptor)

        assert f"leaked: descriptor {descriptor} on {path}" == message

    def test_another_under_the_same_number_counts(self, tmp_path):
        first = os.open(tmp_path / "a", os.O_CREAT)

        message, _, second = leaked_by(lambda: os.close(first), lambda: os.open(tmp_path / "b", os.O_CREAT))
        os.close(second)

        assert (first, f"leaked: descriptor {first} on {tmp_path}/b") == (second, message)

    def test_what_only_garbage_holds_is_closed_first(self, tmp_path):
        class Holder:
            def __init__(self):
                self.me = self
                self.file = os.open(tmp_path, os.O_RDONLY)

            def __del__(self):
                os.close(self.file)

        gc.disable()
        try:
            with no_leaks():
                Holder()
        finally:
            gc.enable()

    def test_what_a_thread_has_in_hand_has_the_time_that_was_said(self, tmp_path, monkeypatch):
        """Nobody can end a thread that waits for a disk: what it holds is released when it is through."""
        monkeypatch.setattr(leaks, "ROUNDS", 1)  # without patience it would be over long before the thread is
        with no_leaks(patience_s=60):
            closing = threading.Timer(1.0, os.close, [os.open(tmp_path, os.O_RDONLY)])
            closing.start()

        closing.join()

    def test_closed_sockets_are_none(self):
        with (
            no_leaks(),
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()),
        ):
            pass


LEAVES_A_ZOMBIE = """
import os, signal
from mdacore.testing import leaks, no_leaks

signal.signal(signal.SIGCHLD, signal.SIG_DFL)
try:
    with no_leaks():
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
except AssertionError as error:
    print(pid, error)
"""


class TestChildren:
    def test_one_that_runs_is_named_with_its_command_line(self):
        message, child = leaked_by(lambda: subprocess.Popen(["sleep", "300"]))
        child.kill()
        child.wait()

        assert f"leaked: child {child.pid}: sleep 300" == message

    def test_one_that_has_ended_but_was_not_waited_for_counts(self):
        """In a process of its own: here gevent may wait for all children, since an earlier test had one watched."""
        ran = subprocess.run([sys.executable, "-c", LEAVES_A_ZOMBIE], capture_output=True, text=True, check=True)

        pid, said = ran.stdout.strip().split(" ", 1)
        assert f"leaked: child {pid}: true, which has ended and was not waited for" == said

    def test_one_that_was_waited_for_is_none(self):
        with no_leaks():
            subprocess.run(["true"], check=True)


class TestBlock:
    def test_all_leaks_are_named_at_once(self):
        message, greenlet, descriptor = leaked_by(
            lambda: gevent.spawn(wait_for_ever, Event()), lambda: os.open("/dev/null", os.O_RDONLY)
        )
        greenlet.kill()
        os.close(descriptor)

        assert re.search(rf"greenlet .*wait_for_ever.*; descriptor {descriptor} on /dev/null", message)

    def test_its_own_error_passes(self):
        def fail():
            spawned.append(gevent.spawn(wait_for_ever, Event()))
            raise ZeroDivisionError

        spawned = []

        with pytest.raises(ZeroDivisionError), no_leaks():
            fail()
        gevent.killall(spawned)

    def test_only_what_is_wanted_is_looked_at(self):
        with no_leaks(greenlets=False):
            greenlet = gevent.spawn(wait_for_ever, Event())
        greenlet.kill()

    def test_the_hub_and_its_descriptors_are_none(self):
        """In a process in which gevent has not run yet."""
        script = "from mdacore.testing import no_leaks\nimport gevent\nwith no_leaks(): gevent.sleep(0)"

        subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent)
