"""The contract suite for storages that many nodes share. Needs pytest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from mdacore.contracts import (
    Change,
    Clock,
    Query,
    QueueStorage,
    Settlement,
    State,
)
from mdacore.testing.clock import ManualClock
from mdacore.testing.messages import content_of
from mdacore.testing.storage_contract import StorageContract
from mdacore.testing.storage_samples import (
    BODY,
    BOUNCED,
    DELIVERED,
    WAKES_WITHIN_S,
    Nodes,
    OpenStorage,
    claims,
    listed,
    make_envelope,
    new,
)
from mdacore.words import (
    ClaimLost,
)


class LeasingStorageContract(StorageContract):
    """The contract of a storage that many nodes share: a claim is a lease, and its epoch fences late owners off.

    Inherit, and give `make_storage`; called twice with one path it must give two nodes onto one memory, else give
    `make_node` too. A durable one inherits this first and `DurableStorageContract` second.
    """

    lease_s = 60.0
    """How long a claim lasts by the storage's clock, as `make_storage` sets it up."""

    def make_node(self, storage: QueueStorage, path: Path, clock: Clock) -> QueueStorage:  # noqa: ARG002 - to override
        """Another node onto the memory of `storage`, built and not started."""
        return self.make_storage(path, clock)

    def pass_time(self, clock: ManualClock, delay_s: float) -> None:
        """Let time pass on the storage's clock. Override it where that is not the clock that it was given."""
        clock.advance(delay_s)

    @pytest.fixture
    def nodes(self, storage: QueueStorage, tmp_path: Path, clock: ManualClock) -> Iterator[Nodes]:
        """Two nodes that are up."""
        other = self.make_node(storage, tmp_path / "store", clock)
        other.start()
        yield storage, other
        other.stop()

    def test_what_one_node_has_written_another_claims_and_reads(self, nodes: Nodes, clock: ManualClock) -> None:
        here, there = nodes
        here.write([new(clock)], queue="main")

        (claim,) = there.claim("main", 1)

        assert BODY == content_of(there.read(claim).envelope)

    def test_no_message_is_claimed_by_two_nodes(self, nodes: Nodes, clock: ManualClock) -> None:
        nodes[0].write([new(clock) for _ in range(100)], queue="main")

        claimers = [gevent.spawn(node.claim, "main", 7) for _ in range(10) for node in nodes]
        gevent.joinall(claimers, raise_error=True)

        claimed = [claim.queue_id for claimer in claimers for claim in claimer.value or ()]
        assert 100 == len(claimed) == len(set(claimed))

    def test_a_first_attempt_handed_to_the_writer_is_no_other_nodes(self, nodes: Nodes, clock: ManualClock) -> None:
        here, there = nodes
        (claim,) = claims(here.write([new(clock, claim=True)], queue="main"))

        assert [] == list(there.claim("main", 1))

        assert [claim] == list(here.renew([claim]))

    def test_until_its_lease_runs_out_a_message_is_its_owners(self, nodes: Nodes, clock: ManualClock) -> None:
        here, there = nodes
        here.write([new(clock)], queue="main")
        (claim,) = here.claim("main", 1)

        self.pass_time(clock, self.lease_s / 2)

        assert [] == list(there.claim("main", 1))
        here.settle(claim, Settlement(closed={0: DELIVERED}))
        assert [] == listed(there)

    def test_a_claim_that_was_never_settled_is_given_out_again_and_counted(
        self, open_storage: OpenStorage, clock: ManualClock
    ) -> None:
        """Unlike in a storage of one process, only when its lease has run out: its owner may be another node."""
        storage = open_storage()
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))

        self.pass_time(clock, self.lease_s + 1)
        storage = open_storage() if self.is_durable else storage
        (again,) = storage.claim("main", 1)

        assert (claim.queue_id, 2, 1) == (again.queue_id, again.attempt, again.unsettled)
        assert again.epoch > claim.epoch

    def test_a_lease_that_is_renewed_goes_on(self, nodes: Nodes, clock: ManualClock) -> None:
        here, there = nodes
        (claim,) = claims(here.write([new(clock, claim=True)], queue="main"))

        for _ in range(3):
            self.pass_time(clock, self.lease_s / 2)
            assert [claim] == list(here.renew([claim]))

        assert [] == list(there.claim("main", 1))
        assert BODY == content_of(here.read(claim).envelope)

    def test_renew_keeps_the_attempts_number_and_the_epoch(self, nodes: Nodes, clock: ManualClock) -> None:
        """A renewed claim is the same claim: it is settled as it was given."""
        here, there = nodes
        (claim,) = claims(here.write([new(clock, claim=True)], queue="main"))

        (renewed,) = here.renew([claim])

        assert claim == renewed
        (entry,) = listed(there)
        assert (State.ACTIVE, 1) == (entry.state, entry.attempts)

    def test_renew_leaves_out_what_another_node_has_taken(self, nodes: Nodes, clock: ManualClock) -> None:
        here, there = nodes
        lost, kept = claims(here.write([new(clock, claim=True), new(clock, claim=True)], queue="main"))
        self.pass_time(clock, self.lease_s / 2)
        here.renew([kept])
        self.pass_time(clock, self.lease_s * 0.75)
        (taken,) = there.claim("main", 9)

        assert [kept] == list(here.renew([lost, kept]))

        assert lost.queue_id == taken.queue_id
        assert [taken] == list(there.renew([taken]))

    @pytest.mark.parametrize("late_call", ["settle", "release", "read"])
    def test_a_late_owner_is_refused_and_changes_nothing(
        self, nodes: Nodes, clock: ManualClock, late_call: str
    ) -> None:
        here, there = nodes
        (late,) = claims(here.write([new(clock, claim=True)], queue="main"))
        self.pass_time(clock, self.lease_s + 1)
        (current,) = there.claim("main", 1)
        before = listed(there)
        notice = new(clock, envelope=make_envelope(clock, "alice@example.org", sender=""))
        more = [Settlement(closed={0: BOUNCED}, notices=[notice])] if late_call == "settle" else []
        named = {"due_at": clock.now() + 3600} if late_call == "release" else {}

        with pytest.raises(ClaimLost):
            getattr(here, late_call)(late, *more, **named)

        assert before == listed(there)
        assert late.epoch < current.epoch
        assert BODY == content_of(there.read(current).envelope)
        there.settle(current, Settlement(closed={0: DELIVERED}))

    def test_what_another_node_has_claimed_is_not_amended(self, nodes: Nodes, clock: ManualClock) -> None:
        here, there = nodes
        (claim,) = claims(here.write([new(clock, claim=True)], queue="main"))

        assert 0 == len(there.amend(Query(), Change.DISCARD))

        assert [claim] == list(here.renew([claim]))

    def test_the_end_of_one_node_leaves_the_others_claims(self, nodes: Nodes, clock: ManualClock) -> None:
        here, there = nodes
        here.write([new(clock)], queue="main")
        (claim,) = there.claim("main", 1)

        here.stop()

        assert [claim] == list(there.renew([claim]))
        there.settle(claim, Settlement(closed={0: DELIVERED}))

    def test_wait_returns_when_another_node_has_written(self, nodes: Nodes, clock: ManualClock) -> None:
        here, there = nodes
        waiter = gevent.spawn(there.wait, "main", 60.0)
        gevent.idle()
        here.write([new(clock)], queue="main")

        waiter.join(WAKES_WITHIN_S)

        assert waiter.ready()
