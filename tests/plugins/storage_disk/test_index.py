"""The index: fair, by lane, and awake in time."""

from __future__ import annotations

import gevent
import pytest

from mdacore import Change, Query, Settlement
from mdacore.testing import ManualClock
from mdacore.testing.storage_samples import LATER, claims, new
from mdacore_storage_disk.index import Index
from mdacore_storage_disk.state import Acceptance, Message


@pytest.fixture
def clock():
    return ManualClock(1000.0)


@pytest.fixture
def index(clock):
    return Index(clock)


def add(index, queue_id, *, due_at=0.0, lane="local/", held="", unsettled=0):
    acceptance = Acceptance(shard="00", stem=queue_id, queue="main", notice_of="")
    message = Message(
        queue_id=queue_id, acceptance=acceptance, lane=lane, due_at=due_at, held=held, unsettled=unsettled
    )
    acceptance.messages = {queue_id: message}
    index.add(acceptance)
    return message


def ids(messages):
    return [message.queue_id for message in messages]


class TestTake:
    def test_over_all_lanes_the_longest_due_comes_first(self, index):
        for queue_id, due_at, lane in (("a", 3.0, "x"), ("b", 1.0, "y"), ("c", 2.0, "x"), ("d", 4.0, "z")):
            add(index, queue_id, due_at=due_at, lane=lane)

        assert ["b", "c", "a"] == ids(index.take("main", 3, ()))
        assert ["d"] == ids(index.take("main", 3, ()))

    def test_a_full_lane_does_not_block_the_others(self, index):
        for number in range(100):
            add(index, f"dead{number}", lane="dead")
        add(index, "alive", due_at=10.0, lane="alive")

        assert ["alive"] == ids(index.take("main", 1, {"dead"}))

    def test_one_that_was_put_off_since_it_was_offered_waits(self, index):
        message = add(index, "a")
        message.due_at = 2000.0
        index.offer(message)

        assert [] == index.take("main", 9, ())

    def test_one_that_was_offered_twice_is_taken_once(self, index):
        message = add(index, "a")
        index.offer(message)

        assert ["a"] == ids(index.take("main", 9, ()))

    def test_a_suspect_is_taken_by_itself(self, index):
        add(index, "a", unsettled=2)
        add(index, "b", unsettled=1)

        assert ["b"] == ids(index.take("main", 9, ()))
        assert "a" == index.suspect("main").queue_id

    def test_of_the_suspects_that_are_due_the_one_with_the_fewest_crashes_comes_first(self, index):
        add(index, "a", unsettled=3)
        add(index, "b", unsettled=2, due_at=5.0)
        add(index, "c", unsettled=2, due_at=2000.0)
        add(index, "d", unsettled=2, held="why")

        assert "b" == index.suspect("main").queue_id


class TestWait:
    def waiter(self, index, timeout_s=60.0):
        waiter = gevent.spawn(index.wait, "main", timeout_s)
        gevent.idle()
        return waiter

    def test_it_ends_when_the_next_is_due(self, index, clock):
        add(index, "a", due_at=1010.0)
        index.take("main", 1, ())
        waiter = self.waiter(index)

        clock.advance(9.0)
        assert not waiter.ready()
        clock.advance(1.0)

        assert waiter.ready()

    def test_it_ends_when_one_comes_that_is_due_earlier(self, index):
        add(index, "a", due_at=2000.0)
        index.take("main", 1, ())
        waiter = self.waiter(index)

        add(index, "b", due_at=1.0)
        gevent.idle()

        assert waiter.ready()

    def test_what_is_due_in_a_full_lane_wakes_nobody(self, index):
        """It would be a loop that never rests."""
        add(index, "a", lane="full")
        index.take("main", 9, {"full"})

        waiter = self.waiter(index)

        assert not waiter.ready()
        waiter.kill()

    def test_it_ends_after_its_time(self, index, clock):
        index.take("main", 9, ())
        waiter = self.waiter(index, timeout_s=5.0)

        clock.advance(5.0)

        assert waiter.ready()


class TestStorage:
    def test_a_suspect_that_is_released_by_an_operator_is_none_any_more(self, open_storage, clock):
        storage = open_storage()
        claims(storage.write([new(clock, claim=True)], queue="main"))
        storage = open_storage()
        storage.claim("main", 1)
        storage = open_storage()
        assert [] == list(storage.claim("main", 1))

        storage.amend(Query(), Change.RELEASE)

        assert storage.claim_suspect("main") is None
        (claim,) = storage.claim("main", 1)
        storage.settle(claim, Settlement(deferred={0: LATER}, due_at=clock.now()))
