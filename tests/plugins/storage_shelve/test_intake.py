"""Rows for the commit: numbers that are nobody else's, and nothing that could not be stored."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from mdacore import Content, MemoryBody, StorageError
from mdacore.testing import ManualClock
from mdacore.testing.storage_samples import make_envelope, new
from mdacore_storage_shelve import schema
from mdacore_storage_shelve.ids import QueueIds
from mdacore_storage_shelve.intake import BLOCK, Intake, Numbers

CLOCK = ManualClock()


class Reservations:
    """Reserves blocks one after the other; each waits until `go`."""

    def __init__(self):
        self.counts = []
        self.go = Event()

    def __call__(self, count):
        begin = 1 + sum(self.counts)
        self.counts.append(count)
        self.go.wait()
        return range(begin, begin + count)


class TestNumbers:
    @pytest.fixture
    def reservations(self):
        return Reservations()

    def test_takers_at_once_share_one_block(self, reservations):
        numbers = Numbers(reservations)
        takers = [gevent.spawn(numbers.take, 2) for _ in range(5)]
        gevent.idle()

        reservations.go.set()
        gevent.joinall(takers, raise_error=True)

        assert [BLOCK] == reservations.counts
        assert list(range(1, 11)) == [number for taker in takers for number in taker.value]

    def test_when_a_block_is_used_up_the_next_is_reserved(self, reservations):
        reservations.go.set()
        numbers = Numbers(reservations)
        numbers.take(BLOCK - 1)

        taken = numbers.take(2)

        assert range(BLOCK + 1, BLOCK + 3) == taken
        assert [BLOCK, BLOCK] == reservations.counts

    def test_more_than_a_block_is_reserved_at_once(self, reservations):
        reservations.go.set()

        assert range(1, BLOCK + 2) == Numbers(reservations).take(BLOCK + 1)

    def test_a_taker_that_is_killed_leaves_the_turn_to_the_next(self, reservations):
        numbers = Numbers(reservations)
        killed, other = gevent.spawn(numbers.take, 1), gevent.spawn(numbers.take, 1)
        gevent.idle()

        killed.kill()
        reservations.go.set()

        assert 1 == len(other.get(timeout=60))


class TestArrival:
    @pytest.fixture
    def intake(self):
        epochs = iter(range(1, 100))
        return Intake(QueueIds("0abc"), lambda: next(epochs))

    def test_a_shared_body_has_the_first_ones_number(self, intake):
        envelope = make_envelope(CLOCK, content=Content(MemoryBody(b"shared")))
        other = make_envelope(CLOCK, content=Content(MemoryBody(b"shared")))
        messages = [new(CLOCK, envelope=one) for one in (envelope, other, envelope)]

        arrival = intake.arrival(messages, "main", range(5, 8))

        assert [5, 6, 5] == [row.body for row in arrival.messages]
        assert [5, 6] == [row.id for row in arrival.bodies]

    def test_only_what_may_be_claimed_is(self, intake):
        messages = [new(CLOCK, claim=True), new(CLOCK, claim=True, held="why"), new(CLOCK)]

        arrival = intake.arrival(messages, "main", range(5, 8))
        notices = intake.arrival(messages, "main", range(8, 11), may_claim=False)

        assert [schema.CLAIMED, schema.HELD, schema.FREE] == [row.state for row in arrival.messages]
        assert [1, 0, 0] == [row.attempts for row in arrival.messages]
        assert 1 == len(arrival.claims)
        assert [schema.FREE, schema.HELD, schema.FREE] == [row.state for row in notices.messages]
        assert {} == notices.claims

    @pytest.mark.parametrize("given", [{"lane": "\udc80"}, {"held": "\ud800"}, {"due_at": float("nan")}])
    def test_what_cannot_be_stored_is_refused(self, intake, given):
        with pytest.raises(StorageError):
            intake.arrival([new(CLOCK, **given)], "main", range(1, 2))
