"""The lanes by themselves: for which of them more may be claimed."""

from __future__ import annotations

import pytest

from mdacore import Claim, QueueId, Reply
from mdacore.queue import BoundRelay
from mdacore.queue.lane import Job, Lane
from mdacore.queue.lanes import CROWDED_OUT_S, OFF_MAX, Lanes
from mdacore.queue.suspension import FIRST_PAUSE_S, REMEMBERED_S, REVIEW_EVERY_S
from mdacore.runtime import Breaker
from mdacore.testing import ManualClock, ScriptedRelay

DAY_S = 86_400.0
DEAD = "local/dead.test"
REFUSED = Reply.parse("451 4.4.1 Connection refused")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    return Breaker(clock=clock, faults_max=1)


@pytest.fixture
def lanes(clock: ManualClock, breaker: Breaker) -> Lanes:
    relay = BoundRelay(instance="local", relay=ScriptedRelay(), concurrency_start=1, breaker=breaker)
    return Lanes({"local": relay}, claims_max=40, clock=clock)


def claimed(lanes: Lanes, number: int) -> Lane:
    claim = Claim(queue_id=QueueId(f"dead{number:010d}"), queue="main", lane=DEAD, attempt=1)
    return lanes.add(Job(claim=claim))


def begin_review(lanes: Lanes, clock: ManualClock) -> Lane:
    """Its destination is down, and is down still when it is time to look at all that waits."""
    lane = claimed(lanes, 0)
    lanes.failed(lane, REFUSED, 0.5)
    lane.ready.clear()
    clock.advance(REVIEW_EVERY_S)
    lanes.failed(lane, REFUSED, 0.5)
    return lane


class TestReview:
    def test_while_the_pause_lasts_what_waits_may_be_claimed(self, lanes, clock):
        begin_review(lanes, clock)

        assert set() == lanes.full

    def test_one_claim_is_looked_at_before_the_next(self, lanes, clock):
        """Else what is due elsewhere would wait until all of it is looked at."""
        lane = begin_review(lanes, clock)
        lane.returning = 1
        looked_at = lanes.full
        lane.returning = 0

        assert ({DEAD}, set()) == (looked_at, lanes.full)

    def test_once_the_pause_is_over_nothing_is_claimed_beside_its_probe(self, lanes, clock):
        """What cannot be looked at at once would fill all the room there is, for as long as the probe takes."""
        begin_review(lanes, clock)
        clock.advance(2 * FIRST_PAUSE_S)
        may_be_probed = lanes.full

        claimed(lanes, 1)

        assert (set(), {DEAD}) == (may_be_probed, lanes.full)

    def test_nor_while_its_relay_is_switched_off(self, lanes, clock, breaker):
        """It would be claimed and given back from second to second."""
        begin_review(lanes, clock)
        clock.advance(2 * FIRST_PAUSE_S)

        breaker.failed("fault", 0)

        assert {DEAD} == lanes.full

    def test_the_next_pause_is_none(self, lanes, clock):
        lane = begin_review(lanes, clock)
        clock.advance(2 * FIRST_PAUSE_S)

        lanes.failed(lane, REFUSED, 0.5)

        assert {DEAD} == lanes.full


class TestMemory:
    @pytest.fixture
    def lanes(self, clock: ManualClock) -> Lanes:
        relay = BoundRelay(instance="local", relay=ScriptedRelay(), concurrency_start=1, suspension_max_s=DAY_S)
        return Lanes({"local": relay}, claims_max=40, clock=clock)

    def test_a_destination_is_remembered_after_the_longest_pause_and_forgotten_some_time_later(self, lanes, clock):
        """Forgotten at its end, it would get many attempts at once and a pause of a minute again."""
        lane = claimed(lanes, 0)
        lane.ready.clear()
        while not lane.suspension or lane.suspension.pause_s < DAY_S:
            lanes.failed(lane, REFUSED, 0.5)
            clock.advance(lane.suspension.left_s)

        at_its_end = (lanes.full, set(lanes.suspended))
        clock.advance(REMEMBERED_S)

        assert ((set(), {DEAD}), (set(), set())) == (at_its_end, (lanes.full, set(lanes.suspended)))


class TestOff:
    """Lanes whose relay is switched off, and which hold nothing."""

    @pytest.fixture
    def forget(self, lanes, breaker):
        breaker.failed("fault", 0)

        def forget_(name: str) -> Lane:
            lane = lanes.add(Job(claim=Claim(queue_id=QueueId(name), queue="main", lane=name, attempt=1)))
            lane.ready.clear()
            lanes.forget_if_idle(lane)
            return lane

        return forget_

    def test_they_are_full_until_it_is_tried_again(self, lanes, clock, forget):
        forget("local/one.test")
        while_off = lanes.full

        clock.advance(5)

        assert ({"local/one.test"}, set()) == (while_off, lanes.full)

    def test_so_many_are_remembered_and_of_others_it_says_so(self, lanes, forget):
        first = forget("local/first.test")
        for number in range(OFF_MAX):
            last = forget(f"local/{number}.test")

        assert OFF_MAX == len(lanes.full)
        assert (None, CROWDED_OUT_S) == (lanes.away_s(first), lanes.away_s(last))
