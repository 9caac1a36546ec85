"""The lanes by themselves: for which of them more may be claimed."""

from __future__ import annotations

import pytest

from mdacore import Claim, QueueId, Reply
from mdacore.queue import BoundRelay
from mdacore.queue.lanes import Job, Lane, Lanes
from mdacore.queue.suspension import FIRST_PAUSE_S, ROLL_CALL_S
from mdacore.runtime import Breaker
from mdacore.testing import ManualClock, ScriptedRelay

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


def begin_roll_call(lanes: Lanes, clock: ManualClock) -> None:
    """Its destination is down, and is down still when all that waits is to be gone through."""
    lane = claimed(lanes, 0)
    lanes.failed(lane, REFUSED, 0.5)
    lane.ready.clear()
    clock.advance(ROLL_CALL_S)
    lanes.failed(lane, REFUSED, 0.5)


class TestRollCall:
    def test_while_the_pause_lasts_all_that_waits_may_be_claimed(self, lanes, clock):
        begin_roll_call(lanes, clock)

        for number in range(3):
            claimed(lanes, number)

        assert set() == lanes.full

    def test_once_the_pause_is_over_nothing_is_claimed_beside_its_probe(self, lanes, clock):
        """What cannot be gone through at once would fill all the room there is, for as long as the probe takes."""
        begin_roll_call(lanes, clock)
        clock.advance(2 * FIRST_PAUSE_S)
        may_be_probed = lanes.full

        claimed(lanes, 1)

        assert (set(), {DEAD}) == (may_be_probed, lanes.full)

    def test_nor_while_its_relay_is_switched_off(self, lanes, clock, breaker):
        """It would be claimed and put off from second to second, an attempt counted each time."""
        begin_roll_call(lanes, clock)
        clock.advance(2 * FIRST_PAUSE_S)

        breaker.failed("fault", 0)

        assert {DEAD} == lanes.full
