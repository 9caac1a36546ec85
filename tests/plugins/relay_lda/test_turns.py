"""One mailbox, a few turns; whoever cannot get one soon is not kept waiting."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from mdacore.testing import ManualClock
from mdacore_relay_lda.turns import Turns


@pytest.fixture
def clock():
    return ManualClock()


class Holder:
    """A greenlet that holds a turn until it is told to give it back."""

    def __init__(self, turns, key="bob", wait_s=5.0):
        self.leave = Event()
        self.got: bool | None = None
        self.greenlet = gevent.spawn(self._run, turns, key, wait_s)
        gevent.idle()

    def _run(self, turns, key, wait_s):
        with turns.turn(key, wait_s) as got:
            self.got = got
            if got:
                self.leave.wait()

    def end(self):
        self.leave.set()
        self.greenlet.join()
        gevent.idle()


class TestTurns:
    def test_one_at_a_time(self, clock):
        turns = Turns(1, clock)
        first, second = Holder(turns), Holder(turns)
        before = second.got

        first.end()

        assert (True, None, True) == (first.got, before, second.got)
        second.end()

    def test_as_many_as_allowed(self, clock):
        turns = Turns(2, clock)
        holders = [Holder(turns) for _ in range(3)]

        assert [True, True, None] == [holder.got for holder in holders]
        for holder in holders:
            holder.end()

    def test_other_mailboxes_do_not_wait(self, clock):
        turns = Turns(1, clock)
        bob, carol = Holder(turns, "bob"), Holder(turns, "carol")

        assert (True, True) == (bob.got, carol.got)
        bob.end()
        carol.end()

    def test_nobody_waits_longer_than_told(self, clock):
        turns = Turns(1, clock)
        holder = Holder(turns)

        with turns.turn("bob", 0.01) as got:
            assert not got
        holder.end()

    def test_case_088_a_mailbox_that_has_not_moved_is_not_waited_for(self, clock):
        turns = Turns(1, clock)
        holder = Holder(turns)
        clock.advance(5.0)

        late = Holder(turns, wait_s=5.0)

        assert False is late.got
        holder.end()

    def test_a_mailbox_that_moves_is_waited_for(self, clock):
        turns = Turns(1, clock)
        first = Holder(turns)
        clock.advance(4.0)
        second = Holder(turns)
        first.end()
        clock.advance(4.0)

        third = Holder(turns)

        assert (True, None) == (second.got, third.got)
        second.end()
        third.end()

    def test_a_turn_is_given_back_when_its_holder_is_killed(self, clock):
        turns = Turns(1, clock)
        holder = Holder(turns)

        holder.greenlet.kill()

        with turns.turn("bob", 0.0) as got:
            assert got

    def test_whoever_is_killed_while_waiting_takes_no_turn(self, clock):
        turns = Turns(1, clock)
        holder = Holder(turns)
        waiting = Holder(turns)

        waiting.greenlet.kill()
        holder.end()

        with turns.turn("bob", 0.0) as got:
            assert got

    def test_mailboxes_that_nobody_uses_are_forgotten(self, clock):
        turns = Turns(1, clock)
        for number in range(100):
            with turns.turn(number, 0.0):
                pass

        assert 0 == len(turns)
