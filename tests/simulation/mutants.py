"""Bugs to be found: what a careless change of the queue or of a storage would be, each for the length of one test.

They reach into private parts on purpose: a mutant that no longer applies fails its test, and is then written anew.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest
from queuesim.disk import Disk

from mdacore.contracts import Settlement
from mdacore.queue import attempts, conclusion, delivery, lanes, queue, relays, routing, storages, suspects, suspension
from mdacore.runtime import Fence
from mdacore.words import LOCAL_ERROR, MdaError, OutcomeUnknown, Reply

Mutant = Callable[[pytest.MonkeyPatch], None]
OK = Reply.parse("250 2.0.0 Ok")


def a_result_that_cannot_be_recorded_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def settle(self, claim, settlement):
        try:
            self._storage_fence.call(self._storage.settle, claim, settlement)
        except MdaError:
            return

    patch.setattr(delivery.Delivery, "settle", settle)


def a_claim_whose_result_cannot_be_recorded_is_given_back(patch: pytest.MonkeyPatch) -> None:
    def settle(self, claim, settlement):
        try:
            self._storage_fence.call(self._storage.settle, claim, settlement)
        except MdaError:
            self._release(claim)

    patch.setattr(delivery.Delivery, "settle", settle)


def an_unknown_outcome_is_answered_with_250(patch: pytest.MonkeyPatch) -> None:
    stored = queue.Queue._stored

    def optimistic(self, envelope, messages):
        reply = stored(self, envelope, messages)
        return OK if reply == LOCAL_ERROR else reply

    patch.setattr(queue.Queue, "_stored", optimistic)


def an_unknown_outcome_is_stored_again(patch: pytest.MonkeyPatch) -> None:
    write = storages.write

    def twice(storage, messages, name):
        try:
            return write(storage, messages, name)
        except OutcomeUnknown:
            return write(storage, messages, name)

    patch.setattr(storages, "write", twice)


def a_promise_is_not_withdrawn(patch: pytest.MonkeyPatch) -> None:
    def withdraw(self, name):
        self._lane(name).promised -= 1

    patch.setattr(lanes.Lanes, "withdraw", withdraw)


def replies_are_taken_by_position(patch: pytest.MonkeyPatch) -> None:
    complete = conclusion.complete

    def by_position(envelope, replies):
        given = list(replies.values()) if isinstance(replies, dict) else []
        numbers = [recipient.number for recipient in envelope.recipients]
        return complete(envelope, {n: given[n] for n in numbers if n < len(given)})

    patch.setattr(relays, "complete", by_position)


def a_missing_reply_is_success(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(conclusion, "UNANSWERED", OK)


def a_notice_is_said_and_not_written(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attempts.Attempts, "_notices", lambda *_: [])


def a_discard_is_not_logged(patch: pytest.MonkeyPatch) -> None:
    discarded = attempts.Attempts._discarded

    def silently(self, envelope, verdict):
        self._log, log = self._relay_policies[0].fence.log.for_instance("elsewhere"), self._log
        self._log.events = []
        try:
            return discarded(self, envelope, verdict)
        finally:
            self._log = log

    patch.setattr(attempts.Attempts, "_discarded", silently)


def mail_expires_at_its_first_attempt(patch: pytest.MonkeyPatch) -> None:
    conclude = conclusion.conclude

    def impatient(envelope, replies, **given):
        return conclude(envelope, replies, **{**given, "expired": range(1000)})

    patch.setattr(attempts, "conclude", impatient)


def a_lane_has_no_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lanes.Lane, "places", property(lambda _: 1000))


def a_dead_destination_is_never_left_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lanes.Lanes, "failed", lambda *_: None)


def a_pause_does_not_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(suspension.Suspension, "left_s", 1.0)


def what_waits_with_a_failed_probe_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def pass_over(self, lane, job, suspension, away_s):
        if suspension is None:
            self.release(job.claim)
        lane.returning -= 1
        self.lanes.end(job.claim)

    patch.setattr(delivery.Delivery, "_pass_over", pass_over)


def what_was_looked_at_is_given_back_as_before(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lanes.Lanes, "away_s", lambda *_: None)


def what_was_looked_at_stays_away_for_hours(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(suspension.Suspension, "away_s", 3 * 3600.0)


def what_waits_is_looked_at_with_probes_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(suspension, "REVIEW_EVERY_S", 1e9)


def all_destinations_share_a_lane(patch: pytest.MonkeyPatch) -> None:
    split = routing.RouteTable.split

    def merged(self, envelope):
        return ((f"{lane.partition('/')[0]}/", part) for lane, part in split(self, envelope))

    patch.setattr(routing.RouteTable, "split", merged)


def a_foreign_timer_ends_whoever_meets_it(patch: pytest.MonkeyPatch) -> None:
    failure = Fence._failure

    def passing(self, error, trial):
        return None if isinstance(error, gevent.Timeout) else failure(self, error, trial)

    patch.setattr(Fence, "_failure", passing)


def a_stop_does_not_wait_for_records(patch: pytest.MonkeyPatch) -> None:
    def stop(self):
        self._close()
        for _ in range(2):
            self._attempting.kill()
            self._returning.kill()
            gevent.sleep(0)

    patch.setattr(delivery.Delivery, "stop", stop)


def poison_is_never_held(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(suspects, "SUSPECT_AFTER", 1000)


def the_storage_loses_its_newest_message_in_a_crash(patch: pytest.MonkeyPatch) -> None:
    recover = Disk.recover

    def forgetful(self):
        for queue_id in list(self.rows)[-1:]:
            del self.rows[queue_id]
        recover(self)

    patch.setattr(Disk, "recover", forgetful)


def the_storage_forgets_who_has_ended(patch: pytest.MonkeyPatch) -> None:
    apply = Disk._apply

    def keeping(self, row, settlement):
        envelope = row.envelope
        apply(self, row, settlement)
        row.envelope = envelope

    patch.setattr(Disk, "_apply", keeping)


def the_storage_drops_notices_of_a_crowded_step(patch: pytest.MonkeyPatch) -> None:
    settle = Disk.settle

    def dropping(self, claim, settlement):
        if len(settlement.closed) > 1:
            settlement = Settlement(
                closed=settlement.closed, deferred=settlement.deferred, due_at=settlement.due_at, held=settlement.held
            )
        return settle(self, claim, settlement)

    patch.setattr(Disk, "settle", dropping)


MUTANTS: tuple[Mutant, ...] = (
    a_result_that_cannot_be_recorded_is_forgotten,
    a_claim_whose_result_cannot_be_recorded_is_given_back,
    an_unknown_outcome_is_answered_with_250,
    an_unknown_outcome_is_stored_again,
    a_promise_is_not_withdrawn,
    replies_are_taken_by_position,
    a_missing_reply_is_success,
    a_notice_is_said_and_not_written,
    a_discard_is_not_logged,
    mail_expires_at_its_first_attempt,
    a_lane_has_no_limit,
    a_dead_destination_is_never_left_alone,
    a_pause_does_not_end,
    what_waits_with_a_failed_probe_is_forgotten,
    what_was_looked_at_is_given_back_as_before,
    what_was_looked_at_stays_away_for_hours,
    what_waits_is_looked_at_with_probes_alone,
    all_destinations_share_a_lane,
    a_foreign_timer_ends_whoever_meets_it,
    a_stop_does_not_wait_for_records,
    poison_is_never_held,
    the_storage_loses_its_newest_message_in_a_crash,
    the_storage_forgets_who_has_ended,
    the_storage_drops_notices_of_a_crowded_step,
)
