"""Threads: calls are made beside the hub, a few at once, and what is given up is not begun."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from mdacore.runtime import Threads


def count_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


class Gate:
    """Something to call that waits in its thread until `open`."""

    def __init__(self) -> None:
        self._loop = gevent.get_hub().loop
        self._has_begun = Event()
        self._may_end = threading.Event()

    def __call__(self) -> str:
        self._loop.run_callback_threadsafe(self._has_begun.set)
        assert self._may_end.wait(60)
        return "through"

    def wait_until_begun(self) -> None:
        assert self._has_begun.wait(60)

    def open(self) -> None:
        self._may_end.set()


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(2)
    yield threads
    threads.stop(60)


class TestCall:
    def test_it_is_made_in_another_thread_and_gives_its_result(self, threads: Threads) -> None:
        assert threading.get_ident() != threads.call(threading.get_ident)

    def test_its_error_is_raised(self, threads: Threads) -> None:
        with pytest.raises(ZeroDivisionError):
            threads.call(lambda: 1 // 0)

        assert 0 == threads.in_hand

    def test_many_come_back_to_their_own_greenlets(self, threads: Threads) -> None:
        calls = [gevent.spawn(threads.call, lambda number=number: number) for number in range(500)]
        gevent.joinall(calls, timeout=60)

        assert list(range(500)) == [call.value for call in calls]
        assert 0 == threads.in_hand

    def test_no_more_threads_are_started_than_are_needed(self, threads: Threads) -> None:
        before = count_threads()

        for _ in range(5):
            threads.call(int)

        assert count_threads() <= before + 1

    def test_no_more_threads_are_started_than_may_be(self, threads: Threads) -> None:
        before = count_threads()

        gevent.joinall([gevent.spawn(threads.call, int) for _ in range(20)], timeout=60)

        assert count_threads() <= before + 2

    def test_one_thread_takes_calls_in_their_order(self) -> None:
        threads, order = Threads(1), []
        calls = [gevent.spawn(threads.call, lambda number=number: order.append(number)) for number in range(50)]
        gevent.joinall(calls, timeout=60)
        threads.stop(60)

        assert list(range(50)) == order

    def test_others_run_meanwhile(self, threads: Threads) -> None:
        gate = Gate()
        call = gevent.spawn(threads.call, gate)
        gate.wait_until_begun()

        other = gevent.spawn(lambda: "ran")

        assert "ran" == other.get(timeout=60)
        gate.open()
        assert "through" == call.get(timeout=60)


class TestInterrupted:
    def test_one_that_has_begun_goes_on_and_counts(self, threads: Threads) -> None:
        gate = Gate()
        call = gevent.spawn(threads.call, gate)
        gate.wait_until_begun()

        call.kill()
        in_hand = threads.in_hand
        gate.open()
        threads.join()

        assert isinstance(call.value, gevent.GreenletExit)
        assert [1, 0] == [in_hand, threads.in_hand]

    def test_one_that_has_not_begun_is_not_made(self, threads: Threads) -> None:
        gates, made = (Gate(), Gate()), []
        busy = [gevent.spawn(threads.call, gate) for gate in gates]
        for gate in gates:
            gate.wait_until_begun()
        call = gevent.spawn(threads.call, lambda: made.append(1))
        gevent.sleep(0)

        call.kill()
        for gate in gates:
            gate.open()
        threads.join()

        assert [] == made
        assert ["through", "through"] == [each.get(timeout=60) for each in busy]


class TestStop:
    def test_threads_end(self) -> None:
        before = count_threads()
        threads = Threads(4)
        gevent.joinall([gevent.spawn(threads.call, int) for _ in range(20)], timeout=60)

        threads.stop(60)

        with gevent.Timeout(60):
            while count_threads() > before:  # one that has ended takes a moment to leave the system's list
                gevent.sleep(0)

    def test_one_that_hangs_is_left_alone(self) -> None:
        gate, threads = Gate(), Threads(1)
        call = gevent.spawn(threads.call, gate)
        gate.wait_until_begun()

        threads.stop(0.01)
        in_hand = threads.in_hand
        gate.open()

        assert 1 == in_hand
        assert "through" == call.get(timeout=60)

    def test_what_waits_is_made_before(self) -> None:
        gate, made, threads = Gate(), [], Threads(1)
        gevent.spawn(threads.call, gate)
        gate.wait_until_begun()
        waiting = gevent.spawn(threads.call, lambda: made.append(1))
        gevent.sleep(0)

        stopping = gevent.spawn(threads.stop)
        gevent.sleep(0)
        gate.open()
        gevent.joinall([waiting, stopping], timeout=60, raise_error=True)

        assert [1] == made

    def test_afterwards_a_call_is_refused_and_another_stop_is_nothing(self) -> None:
        threads = Threads(1)
        threads.stop()
        threads.stop()

        with pytest.raises(RuntimeError):
            threads.call(int)
