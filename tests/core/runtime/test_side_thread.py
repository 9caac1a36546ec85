"""SideThread: one thread beside the hub."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import gevent
import pytest
from gevent import monkey
from greenlet import GreenletExit

from mdacore.runtime import SideThread

PATIENCE_S = 10


def sys_threads() -> list[str]:
    return [entry.name for entry in Path("/proc/self/task").iterdir()]


@pytest.fixture
def thread():
    thread = SideThread()
    yield thread
    thread.stop()


@pytest.fixture(autouse=True)
def patience():
    with gevent.Timeout(PATIENCE_S):
        yield


class Gate:
    """Holds a call in the thread until it is opened."""

    def __init__(self) -> None:
        new_lock = monkey.get_original("_thread", "allocate_lock")
        self._entered, self._lock = new_lock(), new_lock()
        self._entered.acquire()
        self._lock.acquire()

    def pass_through(self) -> str:
        self._entered.release()
        self._lock.acquire()
        return "through"

    def wait_until_entered(self) -> None:
        while not self._entered.acquire(blocking=False):
            gevent.sleep(0)

    def open(self) -> None:
        self._lock.release()


class TestCall:
    def test_it_is_made_in_one_other_thread_and_gives_what_it_returns(self, thread):
        idents = [thread.call(threading.get_ident) for _ in range(3)]

        assert 1 == len(set(idents))
        assert threading.get_ident() not in idents

    def test_what_it_raises_is_raised_to_its_caller(self, thread):
        def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            thread.call(fail)

        assert 1 == thread.call(lambda: 1)

    def test_others_run_meanwhile(self, thread):
        gate, turns = Gate(), []
        caller = gevent.spawn(thread.call, gate.pass_through)
        gate.wait_until_entered()

        gevent.spawn(turns.append, 1).join()

        assert [1] == turns
        gate.open()
        assert "through" == caller.get()

    def test_calls_are_made_one_after_the_other_in_their_order(self, thread):
        order: list[int] = []
        callers = [gevent.spawn(thread.call, lambda n=n: order.append(n)) for n in range(20)]

        gevent.joinall(callers, raise_error=True)

        assert list(range(20)) == order

    def test_many_calls_that_end_at_once_all_return(self, thread):
        """A call that is over before its caller waits is noticed all the same."""
        for pause_s in (0.0, 0.0, 0.00002, 0.0001) * 500:
            thread.call((lambda pause_s=pause_s: time.sleep(pause_s)) if pause_s else int)


class TestInterrupted:
    def test_a_call_that_has_begun_is_waited_for(self, thread):
        gate = Gate()
        caller = gevent.spawn(thread.call, gate.pass_through)
        gate.wait_until_entered()

        caller.kill(block=False)
        gevent.sleep(0)
        assert not caller.ready()
        caller.kill(block=False)
        gevent.sleep(0)
        gate.open()
        caller.join()

        assert isinstance(caller.value, GreenletExit)
        assert 2 == thread.call(lambda: 2)

    def test_a_call_whose_turn_has_not_come_is_not_made(self, thread):
        gate, made = Gate(), []
        first = gevent.spawn(thread.call, gate.pass_through)
        gate.wait_until_entered()
        second = gevent.spawn(thread.call, lambda: made.append(1))
        gevent.sleep(0)

        second.kill()
        gate.open()
        first.join()

        assert [] == made


class TestStop:
    def test_the_thread_ends(self):
        before = len(sys_threads())
        thread = SideThread()
        thread.call(int)
        assert before + 1 == len(sys_threads())

        thread.stop()

        while len(sys_threads()) > before:
            time.sleep(0.001)
