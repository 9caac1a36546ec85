"""Batches: in the database and in the ledger, or in neither."""

from __future__ import annotations

import sqlite3

import pytest

from mdacore import Change, Claim, ClaimLost, OutcomeUnknown, StorageError, StorageFull
from mdacore_storage_shelve import schema
from mdacore_storage_shelve.commit import Committer
from mdacore_storage_shelve.jobs import (
    Amend,
    BodyRow,
    ClaimDue,
    DeferredRow,
    MessageRow,
    Release,
    ReserveIds,
    SetAside,
    Settle,
    Write,
)
from mdacore_storage_shelve.ledger import ActiveClaim


class FailingConnection:
    """A connection whose disk fails at one statement."""

    def __init__(self, connection, *, at, error):
        self._connection = connection
        self._at = at
        self._error = error
        self.syncs = 0

    @property
    def in_transaction(self):
        return self._connection.in_transaction

    def execute(self, statement, *values):
        self.syncs += statement == "COMMIT"
        if statement.startswith(self._at):
            raise self._error
        return self._connection.execute(statement, *values)


def error(code, kind=sqlite3.OperationalError):
    failure = kind("disk I/O error")
    failure.sqlite_errorcode = code
    return failure


def row(number, *, state=schema.FREE, lane="local/", body=None):
    return MessageRow(
        id=number,
        queue="main",
        lane=lane,
        due_at=1.0,
        state=state,
        held="",
        attempts=int(state == schema.CLAIMED),
        body=body or number,
        body_is_file=False,
        body_size=1,
        envelope=b"",
    )


@pytest.fixture
def write(store):
    """Makes a job that writes one message, free or claimed."""

    def make(number, *, is_claimed=False):
        state = schema.CLAIMED if is_claimed else schema.FREE
        active = ActiveClaim(number=number, epoch=number, body=number, body_is_file=False)
        return Write(
            queue="main",
            key="",
            now=0.0,
            messages=[row(number, state=state)],
            bodies=[BodyRow(number, 0, b"x")],
            claims={store.ids.encode(number): active} if is_claimed else {},
        )

    return make


@pytest.fixture
def claim(store):
    """Makes the claim that `write` begins."""
    return lambda number: Claim(queue_id=store.ids.encode(number), queue="main", lane="local/", attempt=1, epoch=number)


@pytest.fixture
def numbers(store):
    """Reads the numbers of all messages."""
    reader = store.reader()
    reader.open()
    yield lambda: [n for (n,) in reader._connection.execute("SELECT id FROM message ORDER BY id")]
    reader.close()


class TestBatch:
    def test_all_jobs_are_done_and_each_gets_its_result(self, store, write, claim, numbers):
        store.committer([write(n, is_claimed=True) for n in (1, 2, 3)])

        results = store.committer(
            [
                Settle(claim=claim(1), deferred=None),
                write(4),
                Settle(claim=claim(2), deferred=DeferredRow(2, schema.HELD, 9.0, "why", b"")),
                Release(claim=claim(3)),
                ReserveIds(count=10),
            ]
        )

        assert [None, [4], None, None] == results[:4]
        assert 10 == len(results[4])
        assert [2, 3, 4] == numbers()
        assert 0 == len(store.ledger)

    def test_of_two_jobs_for_one_claim_the_first_counts(self, store, write, claim, numbers):
        store.committer([write(1, is_claimed=True)])

        results = store.committer([Release(claim=claim(1)), Settle(claim=claim(1), deferred=None)])

        assert results[0] is None
        assert isinstance(results[1], ClaimLost)
        assert [1] == numbers()

    def test_what_is_released_in_a_batch_may_be_claimed_in_it(self, store, write, claim):
        store.committer([write(1, is_claimed=True)])

        claimed, _ = store.committer([ClaimDue(queue="main", limit=5, full_lanes=[], now=2.0), Release(claim=claim(1))])

        (again,) = claimed.claims
        assert (claim(1).queue_id, 1) == (again.queue_id, again.attempt)
        assert store.ledger.owns(again)
        assert not store.ledger.owns(claim(1))

    def test_two_claims_in_a_batch_share_nothing(self, store, write):
        store.committer([write(n) for n in range(1, 11)])
        job = ClaimDue(queue="main", limit=7, full_lanes=[], now=2.0)

        first, second = store.committer([job, job])

        assert [7, 3] == [len(first.claims), len(second.claims)]
        assert 10 == len({claim.queue_id for claimed in (first, second) for claim in claimed.claims})

    @pytest.mark.parametrize("size", [1, 63, 64, 65, 130])
    def test_any_number_of_messages_fits(self, store, write, claim, numbers, size):
        store.committer([write(n, is_claimed=True) for n in range(1, size + 1)])
        assert size == len(numbers())

        store.committer([Settle(claim=claim(n), deferred=None) for n in range(1, size + 1)])
        assert [] == numbers()


class TestOneJobsFault:
    def test_it_is_that_jobs_alone(self, store, write, numbers):
        """Number 1 is there already: its row cannot be inserted."""
        store.committer([write(1)])

        results = store.committer([write(2), write(1), write(3)])

        assert [2] == results[0]
        assert isinstance(results[1], StorageError)
        assert [3] == results[2]
        assert [1, 2, 3] == numbers()
        assert "" == store.committer.broken

    def test_nothing_of_it_is_in_the_ledger(self, store, write):
        store.committer([write(1)])

        store.committer([write(1, is_claimed=True)])

        assert 0 == len(store.ledger)


class TestFull:
    def test_the_whole_batch_is_told_so_and_later_ones_work(self, store, write, numbers):
        """Case 64."""
        connection = store._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        large = Write(
            queue="main", key="", now=0.0, messages=[row(1)], bodies=[BodyRow(1, 0, b"x" * 100_000)], claims={}
        )

        results = store.committer([large, write(2, is_claimed=True)])

        assert [StorageFull, StorageFull] == [type(result) for result in results]
        assert "452 4.3.1 Insufficient system storage" == str(results[0].reply)
        assert ([], 0, "") == (numbers(), len(store.ledger), store.committer.broken)
        connection.execute("PRAGMA max_page_count = 100000")
        assert [[1], [2]] == store.committer([large, write(2)])


class TestBroken:
    def failing(self, store, at, error):
        return Committer(FailingConnection(store._connection, at=at, error=error), store.ids, store.ledger)

    def test_case_065_after_a_failed_commit_the_outcome_is_unknown_and_nothing_more_is_accepted(self, store, write):
        """Case 65: the sync is not tried again."""
        committer = self.failing(store, "COMMIT", error(sqlite3.SQLITE_IOERR_FSYNC))

        first = committer([write(1), write(2, is_claimed=True)])
        second = committer([write(3)])

        assert [OutcomeUnknown, OutcomeUnknown] == [type(result) for result in first]
        assert isinstance(first[0].__cause__, sqlite3.OperationalError)
        assert [StorageError] == [type(result) for result in second]
        assert "451 4.3.0" == str(second[0].reply)[:9]
        assert "a commit failed: disk I/O error" == committer.broken
        assert 1 == committer._connection.syncs
        assert 0 == len(store.ledger)

    @pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB])
    def test_case_068_after_damage_nothing_more_is_accepted(self, store, write, numbers, code):
        committer = self.failing(store, "INSERT INTO message", error(code, sqlite3.DatabaseError))

        (result,) = committer([write(1)])

        assert StorageError is type(result)
        assert committer.broken
        assert [] == numbers()

    @pytest.mark.parametrize("at", ["INSERT INTO message", "COMMIT"])
    def test_case_064_what_the_system_does_not_write_is_refused_and_the_next_is_stored(self, store, write, numbers, at):
        """A quota, a read-only file system or a bad block; only a sync that fails leaves something in doubt."""
        committer = self.failing(store, at, error(sqlite3.SQLITE_IOERR_WRITE))

        (refused,) = committer([write(1)])

        assert StorageError is type(refused)
        assert "451 4.3.0" == str(refused.reply)[:9]
        assert "" == committer.broken
        assert [[2]] == store.committer([write(2)])
        assert [2] == numbers()

    def test_a_database_that_is_locked_is_an_error_and_no_more(self, store, write):
        committer = self.failing(store, "BEGIN", error(sqlite3.SQLITE_BUSY))

        results = committer([write(1), write(2)])

        assert [StorageError, StorageError] == [type(result) for result in results]
        assert "" == committer.broken

    def test_a_bug_is_passed_on_and_leaves_no_transaction(self, store, write):
        with pytest.raises(TypeError):
            store.committer([write(1), object()])

        assert [[1]] == store.committer([write(1)])

    def test_the_first_reason_is_kept(self, store):
        store.committer.fail("one")
        store.committer.fail("two")

        assert "one" == store.committer.broken


class TestSetAside:
    def test_it_ends_the_claim_and_is_counted(self, store, write, claim):
        store.committer([write(1, is_claimed=True)])

        store.committer([SetAside(claim=claim(1), reason="torn")])

        assert (0, 1) == (len(store.ledger), store.ledger.aside)
        (claimed,) = store.committer([ClaimDue(queue="main", limit=5, full_lanes=[], now=2.0)])
        assert [] == claimed.claims


class TestAmend:
    def test_what_was_claimed_since_it_was_listed_is_left_alone(self, store, write, claim, numbers):
        store.committer([write(1, is_claimed=True), write(2)])

        (rows,) = store.committer([Amend(ids=[1, 2], change=Change.DISCARD, now=2.0, states=[schema.FREE])])

        assert [2] == [row.id for row in rows]
        assert [1] == numbers()
        assert store.ledger.owns(claim(1))
