"""The leasing storage keeps the contract of a storage that many nodes share, and the suite finds who does not."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from mdacore import NewMessage, Query, Reply
from mdacore.log import get_log
from mdacore.queue import BoundRelay, Queue, QueueWiring, RetrySchedule, Route
from mdacore.testing import (
    LeasingStorage,
    LeasingStorageContract,
    ManualClock,
    ScriptedRelay,
    leasing_storage_contract,
    make_envelope,
    running,
)

LEASE_S = 60.0


class TestLeasingStorage(LeasingStorageContract):
    def make_storage(self, path, clock):
        return LeasingStorage(clock, lease_s=self.lease_s)

    def make_node(self, storage, path, clock):
        return storage.node()


class Broken(LeasingStorage):
    """A node whose handles onto the memory are of its own kind."""

    def node(self):
        return type(self)(self._clock, lease_s=self._lease_s, memory=self._memory)


class NeverRunsOut(Broken):
    def _lease_end(self):
        return float("inf")


class RunsOutAtOnce(Broken):
    def _lease_end(self):
        return self._clock.now()


class RenewsNothing(Broken):
    def renew(self, claims):
        return [claim for claim in claims if self._owns(claim)]


class RenewsWhatIsLost(Broken):
    def renew(self, claims):
        super().renew(claims)
        return claims


class RenewsInANewEpoch(Broken):
    def renew(self, claims):
        kept = [claim for claim in claims if self._owns(claim)]
        for claim in kept:
            self.release(claim)
        return [self._claim(claim.queue_id) for claim in kept]


class HasNoFence(Broken):
    def _owns(self, claim):
        return claim.queue_id in self._rows


class CountsNoCrash(Broken):
    def _claim(self, queue_id):
        self._memory.rows[queue_id].unsettled = 0
        return super()._claim(queue_id)


class AmendsWhatIsClaimed(Broken):
    def amend(self, query, change):
        for entry in list(self.entries(query)):
            self._amend(entry.queue_id, self._rows[entry.queue_id], change)
        return []


class GivesItsClaimsAwayAtItsEnd(Broken):
    def stop(self):
        for row in self._rows.values():
            row.is_claimed = False


class HearsOnlyItself(Broken):
    def wait(self, queue, timeout_s):
        gevent.sleep(0.1)


class KeepsItToItself(Broken):
    def node(self):
        return type(self)(self._clock, lease_s=self._lease_s)


class ClaimsWithoutAsking(Broken):
    def _is_free(self, row):
        return not row.held


def late_settle(suite, nodes, clock):
    suite.test_a_late_owner_is_refused_and_changes_nothing(nodes, clock, "settle")


def late_read(suite, nodes, clock):
    suite.test_a_late_owner_is_refused_and_changes_nothing(nodes, clock, "read")


def late_release(suite, nodes, clock):
    suite.test_a_late_owner_is_refused_and_changes_nothing(nodes, clock, "release")


def counted(suite, nodes, clock):
    suite.test_a_claim_that_was_never_settled_is_given_out_again_and_counted(lambda: nodes[0], clock)


@pytest.mark.parametrize(
    ("storage", "rule"),
    [
        (KeepsItToItself, LeasingStorageContract.test_what_one_node_has_written_another_claims_and_reads),
        (ClaimsWithoutAsking, LeasingStorageContract.test_no_message_is_claimed_by_two_nodes),
        (ClaimsWithoutAsking, LeasingStorageContract.test_a_first_attempt_handed_to_the_writer_is_no_other_nodes),
        (RunsOutAtOnce, LeasingStorageContract.test_until_its_lease_runs_out_a_message_is_its_owners),
        (NeverRunsOut, counted),
        (CountsNoCrash, counted),
        (RenewsNothing, LeasingStorageContract.test_a_lease_that_is_renewed_goes_on),
        (RenewsInANewEpoch, LeasingStorageContract.test_renew_keeps_the_attempts_number_and_the_epoch),
        (RenewsWhatIsLost, LeasingStorageContract.test_renew_leaves_out_what_another_node_has_taken),
        (HasNoFence, late_settle),
        (HasNoFence, late_read),
        (HasNoFence, late_release),
        (AmendsWhatIsClaimed, LeasingStorageContract.test_what_another_node_has_claimed_is_not_amended),
        (GivesItsClaimsAwayAtItsEnd, LeasingStorageContract.test_the_end_of_one_node_leaves_the_others_claims),
        (HearsOnlyItself, LeasingStorageContract.test_wait_returns_when_another_node_has_written),
    ],
)
def test_the_suite_catches(storage, rule, monkeypatch):
    """Each rule of leases and fencing, and a storage that breaks it."""
    monkeypatch.setattr(leasing_storage_contract, "WAKES_WITHIN_S", 0.05)
    clock = ManualClock()
    here = storage(clock, lease_s=LeasingStorageContract.lease_s)
    there = here.node()

    with pytest.raises((AssertionError, pytest.fail.Exception, ValueError, KeyError)):
        rule(TestLeasingStorage(), (here, there), clock)


def claimed(clock):
    """A message whose first attempt is the writer's."""
    return NewMessage(envelope=make_envelope(), lane="local/", due_at=clock.now(), claim=True)


class TestNodes:
    @pytest.fixture
    def clock(self):
        return ManualClock()

    def test_a_lease_that_ran_out_is_lost_also_while_nobody_has_taken_it(self, clock):
        """Stricter than the contract: a queue that is tested with this renews in time, or loses its result."""
        storage = LeasingStorage(clock, lease_s=LEASE_S)
        (claim,) = storage.write([claimed(clock)], queue="main")

        clock.advance(LEASE_S)

        assert [] == list(storage.renew([claim]))

    def test_a_node_that_crashes_gives_nothing_back(self, clock):
        storage = LeasingStorage(clock, lease_s=LEASE_S)
        (claim,) = storage.write([claimed(clock)], queue="main")

        storage.crash()

        assert [claim] == list(storage.node().renew([claim]))

    def test_one_node_can_be_made_to_fail_to_renew(self, clock):
        storage = LeasingStorage(clock, lease_s=LEASE_S)
        storage.fail_next["renew"] = [OSError("no connection")]

        with pytest.raises(OSError, match="no connection"):
            storage.renew([])

        assert [] == list(storage.node().renew([]))


def test_a_queue_keeps_what_it_attempts_for_longer_than_a_lease():
    """An attempt of two minutes under leases of one: nobody, this queue included, attempts the message meanwhile."""
    clock, done = ManualClock(), Event()
    storage = LeasingStorage(clock, lease_s=LEASE_S)

    def deliver_slowly(envelope, attempt):
        done.wait()
        return {0: Reply(code=250)}

    relay = ScriptedRelay(deliver_slowly)
    queue = Queue(
        QueueWiring(
            name="main",
            hostname="mx.example.test",
            storage=storage,
            routes=[Route(domains=None, relay="local")],
            relays={"local": BoundRelay(instance="local", relay=relay)},
            retry=RetrySchedule((60.0,), jitter=0.0),
            lifetime_s=86_400.0,
            clock=clock,
            log=get_log(),
        )
    )
    with running(queue):
        queue.accept(make_envelope())
        relay.wait_for(1)
        for _ in range(24):
            clock.advance(5.0)
        assert 1 == len(relay.attempts)
        done.set()
        gevent.idle()

    assert [] == list(storage.entries(Query()))
