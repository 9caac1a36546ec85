"""One timer for many calls: each call is interrupted at its own time, and nothing is once it has ended."""

from __future__ import annotations

import gc
import time
import weakref

import gevent
import pytest
from gevent.event import Event
from gevent.exceptions import LoopExit

from mdacore.log import get_log
from mdacore.runtime import Deadline, Fence
from mdacore.runtime.deadline import Deadlines


@pytest.fixture
def deadlines():
    return Deadlines(0.05)


def wait_in(deadlines, began=None):
    """What interrupts a call that waits for ever, and after how long."""
    loop = gevent.get_hub().loop
    loop.update_now()
    started_at = loop.now()
    call = deadlines.begin()
    if began is not None:
        began.set()
    try:
        Event().wait(60)
    except Deadline as deadline:
        return deadline is call.expired, loop.now() - started_at
    finally:
        deadlines.end(call)
    raise AssertionError("it was not interrupted")


def wait_without_help(deadlines):
    """Nothing but the deadline ever wakes this."""
    call = deadlines.begin()
    try:
        Event().wait()
    finally:
        deadlines.end(call)


class TestDeadlines:
    def test_a_call_is_interrupted_by_its_own_deadline_when_its_time_is_over(self, deadlines):
        is_own, took_s = wait_in(deadlines)

        assert is_own
        assert 0.04 < took_s < 60

    def test_each_of_many_has_all_of_its_time(self, deadlines):
        waiting = []
        for _ in range(4):
            waiting.append(gevent.spawn(wait_in, deadlines))
            gevent.sleep(0.02)

        gevent.joinall(waiting, timeout=60)

        assert all(is_own and 0.04 < took_s < 60 for is_own, took_s in (one.get() for one in waiting))

    def test_one_that_has_ended_is_not_interrupted_though_others_are(self, deadlines):
        other = gevent.spawn(wait_in, deadlines)
        gevent.sleep(0)
        deadlines.end(deadlines.begin())

        gevent.sleep(0.1)  # longer than the limit: a Deadline that is left over would strike here

        assert other.get(timeout=60)[0]

    def test_one_that_ends_another_in_its_last_moment_is_not_struck_for_it(self, deadlines):
        """Two are overdue in one moment, and what the first does then ends the second."""
        second_began = Event()
        second = gevent.spawn(wait_in, deadlines, second_began)

        def first():
            call = deadlines.begin()
            try:
                Event().wait(60)
            except Deadline:
                second.kill(block=False)
                raise
            finally:
                deadlines.end(call)

        leader = gevent.spawn(first)
        gevent.joinall([leader, second], timeout=60)

        assert second.ready()
        assert leader.ready()

    def test_the_time_of_those_that_began_while_it_rings_runs_too(self, deadlines):
        def twice():
            return wait_in(deadlines)[0] and wait_in(deadlines)[0]

        assert gevent.spawn(twice).get(timeout=60)

    def test_the_next_calls_of_several_that_are_struck_together_are_struck_too(self, deadlines):
        def twice():
            return wait_in(deadlines)[0] and wait_in(deadlines)[0]

        several = [gevent.spawn(twice) for _ in range(3)]
        gevent.joinall(several, timeout=60)

        assert [True] * 3 == [one.value for one in several]

    def test_one_that_begins_after_the_hub_was_blocked_has_all_of_its_time(self):
        """What blocked it is somebody else's; the loop's own time is still from before that."""
        deadlines = Deadlines(0.2)
        other = gevent.spawn(wait_in, deadlines)
        gevent.sleep(0.05)
        time.sleep(0.1)
        began_at = time.monotonic()
        call = deadlines.begin()

        with pytest.raises(Deadline):
            Event().wait(60)
        deadlines.end(call)

        assert time.monotonic() - began_at >= 0.2
        assert other.get(timeout=60)[0]

    def test_the_loop_is_kept_alive_by_a_call_and_not_by_one_that_has_ended(self, deadlines):
        with pytest.raises(Deadline):
            wait_without_help(deadlines)

        call = deadlines.begin()
        deadlines.end(call)
        deadlines.end(call)
        with pytest.raises(LoopExit):
            Event().wait()

    def test_a_call_that_begins_while_the_timer_of_earlier_ones_ticks_on_has_all_of_its_time(self, deadlines):
        for _ in range(2):
            deadlines.end(deadlines.begin())
        gevent.sleep(0.001)

        is_own, took_s = wait_in(deadlines)

        assert is_own
        assert 0.04 < took_s < 60

    def test_one_that_is_struck_early_is_interrupted_at_once_and_by_its_own_deadline(self):
        deadlines = Deadlines(60)
        call = None

        def wait():
            nonlocal call
            call = deadlines.begin()
            try:
                Event().wait()
            except Deadline as deadline:
                return deadline is call.expired
            finally:
                deadlines.end(call)

        waiting = gevent.spawn(wait)
        gevent.sleep(0)
        gevent.get_hub().loop.run_callback(deadlines.strike, call)

        assert waiting.get(timeout=30)

    def test_one_that_has_ended_cannot_be_struck(self, deadlines):
        call = deadlines.begin()
        deadlines.end(call)

        gevent.get_hub().loop.run_callback(deadlines.strike, call)
        gevent.sleep(0)  # a Deadline would strike here: callbacks keep their order

        assert call.expired is None

    def test_what_is_made_for_one_call_is_gone_with_it(self):
        """A proxied attempt has what is left of its client's time: as many limits as messages, long after they end."""
        deadlines = Deadlines(60.0)
        deadlines.end(deadlines.begin())
        left = weakref.ref(deadlines)

        del deadlines
        gc.collect()

        assert left() is None

    def test_no_timer_is_left_a_tick_after_the_last_call(self, deadlines):
        for _ in range(2):
            deadlines.end(deadlines.begin())
        assert deadlines._timer is not None

        with gevent.Timeout(60):
            while deadlines._timer is not None:
                gevent.sleep(0.001)


class TestNested:
    def test_the_inner_of_two_fences_has_its_own(self):
        log = get_log()
        outer, inner = Fence("outer", log, deadline_s=5), Fence("inner", log, deadline_s=0.02)

        with pytest.raises(Exception, match="inner overran"):
            outer.call(inner.call, gevent.sleep, 60)

    def test_the_outer_one_passes_through_the_inner(self):
        log = get_log()
        outer, inner = Fence("outer", log, deadline_s=0.02), Fence("inner", log, deadline_s=5)

        with pytest.raises(Exception, match="outer overran"):
            outer.call(inner.call, gevent.sleep, 60)
