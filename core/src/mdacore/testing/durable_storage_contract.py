"""The contract suite for storages that remember over a restart. Needs pytest."""

from __future__ import annotations

import shutil
from pathlib import Path

from mdacore.contracts import (
    SUSPECT_AFTER,
    Clock,
    QueueStorage,
    Settlement,
    State,
)
from mdacore.testing.clock import ManualClock
from mdacore.testing.storage_contract import StorageContract
from mdacore.testing.storage_samples import (
    LATER,
    OpenStorage,
    claims,
    id_of,
    listed,
    new,
)


class DurableStorageContract(StorageContract):
    """The contract of a storage that remembers over a restart."""

    is_durable = True

    def killed(self, path: Path, clock: Clock) -> QueueStorage:
        """A second storage, built and not started, with what the one at `path` would leave if it were killed now.

        Override it where the storage keeps nothing in files there.
        """
        copy = path.with_name("killed")
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, copy)
        return self.make_storage(copy, clock)

    def test_what_was_written_is_there_after_a_kill(
        self, open_storage: OpenStorage, tmp_path: Path, clock: ManualClock
    ) -> None:
        """Nobody calls `stop`. What a loss of power leaves no test in this process can tell."""
        given = open_storage().write([new(clock), new(clock, claim=True)], queue="main")

        storage = self.killed(tmp_path / "store", clock)

        storage.start()
        try:
            assert {id_of(one) for one in given} == {entry.queue_id for entry in listed(storage)}
        finally:
            storage.stop()

    def test_what_was_stored_is_there_after_a_restart(self, open_storage: OpenStorage, clock: ManualClock) -> None:
        storage = open_storage()
        plain, held = storage.write([new(clock), new(clock, held="why")], queue="main")

        storage = open_storage()

        assert {plain: State.DUE, held: State.HELD} == {entry.queue_id: entry.state for entry in listed(storage)}

    def test_a_claim_that_was_never_settled_is_given_out_again_and_counted(
        self, open_storage: OpenStorage, clock: ManualClock
    ) -> None:
        (claim,) = claims(open_storage().write([new(clock, claim=True)], queue="main"))

        (again,) = open_storage().claim("main", 1)

        assert (claim.queue_id, 2, 1) == (again.queue_id, again.attempt, again.unsettled)
        assert again.epoch > claim.epoch

    def test_what_was_given_back_for_later_is_due_then_also_after_a_restart(
        self, open_storage: OpenStorage, clock: ManualClock
    ) -> None:
        storage = open_storage()
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.release(claim, due_at=clock.now() + 60)

        storage = open_storage()

        assert [] == list(storage.claim("main", 1))
        clock.advance(60)
        (again,) = storage.claim("main", 1)
        assert (claim.queue_id, 1, 0) == (again.queue_id, again.attempt, again.unsettled)

    def test_what_was_given_back_for_later_is_due_by_then_after_a_kill(
        self, open_storage: OpenStorage, tmp_path: Path, clock: ManualClock
    ) -> None:
        """Giving back need not be durable: it may be due before, and its attempt counted; lost it never is."""
        storage = open_storage()
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.release(claim, due_at=clock.now() + 60)

        storage = self.killed(tmp_path / "store", clock)

        clock.advance(60)
        storage.start()
        try:
            assert [claim.queue_id] == [again.queue_id for again in storage.claim("main", 1)]
        finally:
            storage.stop()

    def test_a_suspect_is_given_only_by_itself_until_it_is_settled(
        self, open_storage: OpenStorage, clock: ManualClock
    ) -> None:
        """`SUSPECT_AFTER` claims of it have ended in a crash; giving it back leaves it one."""
        (suspect,) = claims(open_storage().write([new(clock, claim=True)], queue="main"))
        for _ in range(SUSPECT_AFTER - 1):
            open_storage().claim("main", 1)
        storage = open_storage()
        (other,) = storage.write([new(clock)], queue="main")

        assert [other] == [claim.queue_id for claim in storage.claim("main", 9)]
        assert storage.claim_suspect("second") is None
        assert (True, False) == (storage.has_suspect("main"), storage.has_suspect("second"))
        for _ in range(2):
            alone = storage.claim_suspect("main")
            assert alone is not None
            assert (suspect.queue_id, SUSPECT_AFTER + 1) == (alone.queue_id, alone.attempt)
            assert SUSPECT_AFTER == alone.unsettled
            assert storage.claim_suspect("main") is None
            assert not storage.has_suspect("main")
            storage.release(alone)
            assert [] == list(storage.claim("main", 9))

        alone = storage.claim_suspect("main")
        assert alone is not None
        storage.settle(alone, Settlement(deferred={0: LATER}, due_at=clock.now()))
        assert [suspect.queue_id] == [claim.queue_id for claim in storage.claim("main", 9)]

    def test_a_suspect_that_ends_the_process_again_is_counted_again(
        self, open_storage: OpenStorage, clock: ManualClock
    ) -> None:
        """It is the queue that holds it then."""
        open_storage().write([new(clock, claim=True)], queue="main")
        for _ in range(SUSPECT_AFTER - 1):
            open_storage().claim("main", 1)
        open_storage().claim_suspect("main")

        alone = open_storage().claim_suspect("main")

        assert alone is not None
        assert SUSPECT_AFTER + 1 == alone.unsettled

    def test_a_key_is_remembered_over_a_restart(self, open_storage: OpenStorage, clock: ManualClock) -> None:
        first = open_storage().write([new(clock)], queue="main", key="k1")

        assert list(first) == list(open_storage().write([new(clock)], queue="main", key="k1"))
