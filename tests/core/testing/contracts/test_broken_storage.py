"""For each rule of the storages' contracts a storage that breaks it, and which the suite finds and names.

The sound ones are the memory storage, and one that remembers over a restart because the test keeps its memory.
"""

from __future__ import annotations

import time
from pathlib import Path

import attrs
import gevent

from mdacore import SUSPECT_AFTER, Change, Claim, Clock, MemoryBody, QueueId, RemoveFields, Settlement, StorageFull
from mdacore.testing import DurableStorageContract, MemoryStorage, StorageContract
from mdacore.testing.component_contract import ComponentContract
from mdacore.testing.memory import Memory

Sound = MemoryStorage


# write


class ClaimsEverything(Sound):
    def write(self, messages, *, queue, key=""):
        return super().write([attrs.evolve(one, claim=True) for one in messages], queue=queue, key=key)


class NamesInBrackets(Sound):
    def write(self, messages, *, queue, key=""):
        return [self.renamed(one) for one in super().write(messages, queue=queue, key=key)]

    def renamed(self, given):
        queue_id = QueueId(f"<{given.queue_id if isinstance(given, Claim) else given}>")
        return attrs.evolve(given, queue_id=queue_id) if isinstance(given, Claim) else queue_id


class UsesIdsAgain(Sound):
    def settle(self, claim, settlement):
        self._memory.last_number -= 1
        return super().settle(claim, settlement)


class HasNoKeys(Sound):
    def write(self, messages, *, queue, key=""):
        return super().write(messages, queue=queue)


class WritesOneAtATime(Sound):
    is_busy = False

    def write(self, messages, *, queue, key=""):
        assert not self.is_busy
        self.is_busy = True
        gevent.sleep(0.001)
        self.is_busy = False
        return super().write(messages, queue=queue, key=key)


class WritesAsItGoes(Sound):
    def write(self, messages, *, queue, key=""):
        return [given for one in messages for given in super(WritesAsItGoes, self).write([one], queue=queue, key=key)]


class WritesSlowly(Sound):
    def write(self, messages, *, queue, key=""):
        given = []
        for message in messages:
            given += super().write([message], queue=queue, key=key)
            gevent.sleep(0.001)
        return given


class TakesTheFile(Sound):
    def write(self, messages, *, queue, key=""):
        given = super().write(messages, queue=queue, key=key)
        for message in messages:
            if not isinstance(message.envelope.content.body, MemoryBody):
                message.envelope.content.body.path.unlink()
        return given


# read


class ForgetsDsn(Sound):
    def read(self, claim):
        message = super().read(claim)
        return attrs.evolve(message, envelope=attrs.evolve(message.envelope, dsn_envelope_id=""))


class KeepsTheNamesOfEdits(Sound):
    def read(self, claim):
        message = super().read(claim)
        edits = [
            attrs.evolve(one, at=None) if isinstance(one, RemoveFields) else one
            for one in message.envelope.content.edits
        ]
        content = attrs.evolve(message.envelope.content, edits=tuple(edits))
        return attrs.evolve(message, envelope=message.envelope.with_content(content))


class RemembersThePath(Sound):
    def write(self, messages, *, queue, key=""):
        given = super().write(messages, queue=queue, key=key)
        for one, message in zip(given, messages, strict=True):
            self._rows[one.queue_id if isinstance(one, Claim) else one].envelope = message.envelope
        return given


class DropsTheBodyWithTheFirst(Sound):
    def settle(self, claim, settlement):
        ids = super().settle(claim, settlement)
        for row in self._rows.values():
            row.envelope = row.envelope.with_content(attrs.evolve(row.envelope.content, body=MemoryBody(b"")))
        return ids


class ReadsTheFirst(Sound):
    def read(self, claim):
        super().read(claim)
        return attrs.evolve(super().read(claim), envelope=next(iter(self._rows.values())).envelope)


# claim and release


class ClaimsForEver(Sound):
    def claim(self, queue, limit, *, full_lanes=()):
        return iter(super().claim(queue, limit, full_lanes=full_lanes))


class ClaimsInAnyOrder(Sound):
    def claim(self, queue, limit, *, full_lanes=()):
        return [*reversed(super().claim(queue, 100, full_lanes=full_lanes))][:limit]


class ClaimsFromFullLanes(Sound):
    def claim(self, queue, limit, *, full_lanes=()):
        return super().claim(queue, limit)


class ClaimsTwice(Sound):
    def claim(self, queue, limit, *, full_lanes=()):
        claimed = super().claim(queue, limit, full_lanes=full_lanes)
        for claim in claimed[:1]:
            self._rows[claim.queue_id].is_claimed = claim.attempt > 3
        return claimed


class HurriesReleased(Sound):
    def release(self, claim, *, due_at=None):
        super().release(claim, due_at=self._clock.now() if due_at is None else due_at)


class CountsReleased(Sound):
    def release(self, claim, *, due_at=None):
        super().release(claim, due_at=due_at)
        self._rows[claim.queue_id].attempts += due_at is not None


class ReleasesAtOnce(Sound):
    def release(self, claim, *, due_at=None):
        super().release(claim, due_at=None if due_at is None or due_at < self._clock.now() else due_at)


class ReleasesAllAlike(Sound):
    batch = ()

    def release(self, claim, *, due_at=None):
        if not self.batch:
            gevent.spawn(self.end_batch)
        self.batch = (*self.batch, (claim, due_at))

    def end_batch(self):
        for claim, _ in self.batch:
            super().release(claim, due_at=self.batch[-1][1])
        self.batch = ()


class SleepsInsteadOfWaiting(Sound):
    def wait(self, queue, timeout_s):
        gevent.sleep(min(timeout_s, 6.0))


class WaitsForEver(Sound):
    def wait(self, queue, timeout_s):
        gevent.sleep(2.1)


# settle


class KeepsWhatIsDone(Sound):
    def settle(self, claim, settlement):
        return super().settle(claim, Settlement(deferred=settlement.deferred, due_at=settlement.due_at))


class NumbersAgain(Sound):
    def settle(self, claim, settlement):
        ids = super().settle(claim, settlement)
        if claim.queue_id in self._rows:
            row = self._rows[claim.queue_id]
            row.envelope = row.envelope.with_recipients(row.envelope.recipients)
        return ids


class LosesNotices(Sound):
    def settle(self, claim, settlement):
        super().settle(claim, attrs.evolve(settlement, notices=()))
        return ["lost000000"] * len(settlement.notices)


class KeepsNoticesToItsQueue(Sound):
    def settle(self, claim, settlement):
        return super().settle(claim, attrs.evolve(settlement, notice_queue=""))


class ForgetsThatItTold(Sound):
    def settle(self, claim, settlement):
        return super().settle(claim, attrs.evolve(settlement, reports_delay=False))


class TakesBackThatItTold(Sound):
    def settle(self, claim, settlement):
        self._rows[claim.queue_id].is_delay_reported = False
        return super().settle(claim, settlement)


class CannotHold(Sound):
    def settle(self, claim, settlement):
        return super().settle(claim, attrs.evolve(settlement, held=""))


class SettlesAgain(Sound):
    def _owns(self, claim):
        return claim.queue_id in self._rows


class HasNoEpochs(Sound):
    def _owns(self, claim):
        row = self._rows.get(claim.queue_id)
        return row is not None and row.is_claimed


# entries and amend


class FindsByFirstRecipient(Sound):
    def entries(self, query):
        return (
            one for one in super().entries(query) if query.recipient in ("", one.recipients[0][0]) and not query.domain
        )


class HidesWhatRuns(Sound):
    def entries(self, query):
        return (one for one in super().entries(query) if one.state.value != "active")


class CannotHasten(Sound):
    def amend(self, query, change):
        return super().amend(query, Change.RELEASE if change is Change.DUE_NOW else change)


class BouncesOnlyWhatIsDue(Sound):
    def amend(self, query, change):
        return [] if change is Change.BOUNCE else super().amend(query, change)


class DiscardsAll(Sound):
    def amend(self, query, change):
        amended = super().amend(query, change)
        self._rows.clear()
        return amended


class AmendsWhatRuns(Sound):
    def amend(self, query, change):
        for row in self._rows.values():
            row.is_claimed = False
        return super().amend(query, change)


class RenewsAll(Sound):
    def renew(self, claims):
        return claims


class CountsWhatItAmends(Sound):
    def amend(self, query, change):
        return len(super().amend(query, change))


class AmendsWhatWasNotSeen(Sound):
    def amend(self, query, change):
        return super().amend(attrs.evolve(query, attempts=None), change)


class LooksLongBeforeItAmends(Sound):
    def amend(self, query, change):
        found = [entry.queue_id for entry in self.entries(query)]
        gevent.sleep(0)
        super().amend(query, change)
        return found


class HidesFromThePeekWhatRuns(Sound):
    def peek(self, queue_id):
        return None if self._rows[queue_id].is_claimed else super().peek(queue_id)


class PeeksAtAll(Sound):
    def peek(self, queue_id):
        peeked = super().peek(queue_id)
        everybody = [*peeked.closed, *((rcpt, None) for rcpt in peeked.message.envelope.recipients)]
        return attrs.evolve(peeked, closed=everybody)


class HidesTheDecision(Sound):
    def peek(self, queue_id):
        peeked = super().peek(queue_id)
        return attrs.evolve(peeked, message=attrs.evolve(peeked.message, must_bounce=False))


class PeeksAtAnyPath(Sound):
    def peek(self, queue_id):
        return super().peek(queue_id.strip()) or Path(queue_id)


# the rest


class BoastsAtLength(Sound):
    durability = "Very. Believe me."


class HasNoSpoolFolder(Sound):
    spool_path = Path("/nowhere/spool")


class RefusesEverything(Sound):
    def refusal(self, size_bytes):
        return StorageFull().reply


class BlocksTheHub(Sound):
    def claim(self, queue, limit, *, full_lanes=()):
        time.sleep(1.1)
        return super().claim(queue, limit, full_lanes=full_lanes)


class SyncsInTheHub(Sound):
    def settle(self, claim, settlement):
        time.sleep(0.001)
        return super().settle(claim, settlement)


BROKEN_STORAGE = {
    "test_write_gives_a_claim_where_one_was_asked_for_and_an_id_elsewhere": ClaimsEverything,
    "test_an_id_is_short_safe_text_and_never_given_twice": NamesInBrackets,
    "test_an_id_is_not_used_again_after_its_message_is_gone": UsesIdsAgain,
    "test_a_key_seen_before_stores_nothing_and_gives_the_same_ids": HasNoKeys,
    "test_many_writers_at_once_all_get_their_own": WritesOneAtATime,
    "test_a_write_that_fails_has_stored_nothing": WritesAsItGoes,
    "test_a_write_that_is_interrupted_has_stored_all_or_nothing": WritesSlowly,
    "test_the_file_of_a_body_still_belongs_to_the_caller": TakesTheFile,
    "test_read_gives_the_envelope_as_it_was_written": ForgetsDsn,
    "test_every_kind_of_header_edit_survives": KeepsTheNamesOfEdits,
    "test_a_spooled_body_outlives_the_file_that_it_came_in": RemembersThePath,
    "test_parts_that_share_a_body_end_one_by_one": DropsTheBodyWithTheFirst,
    "test_read_gives_each_claim_its_own_message": ReadsTheFirst,
    "test_a_claim_is_a_list_of_at_most_its_limit": ClaimsForEver,
    "test_what_is_due_is_claimed_longest_due_first_and_the_rest_waits": ClaimsInAnyOrder,
    "test_a_claim_leaves_out_other_queues_full_lanes_and_what_is_held": ClaimsFromFullLanes,
    "test_no_message_is_claimed_twice": ClaimsTwice,
    "test_a_released_message_is_due_as_before_and_its_attempt_uncounted": HurriesReleased,
    "test_a_message_that_is_given_back_for_later_is_due_then_and_its_attempt_uncounted": CountsReleased,
    "test_a_message_that_is_given_back_as_due_already_goes_behind_what_is_due_for_longer": ReleasesAtOnce,
    "test_many_may_be_given_back_at_once": ReleasesAllAlike,
    "test_wait_returns_when_there_is_something_to_claim": SleepsInsteadOfWaiting,
    "test_wait_returns_when_a_message_becomes_due": SleepsInsteadOfWaiting,
    "test_wait_returns_when_what_was_given_back_for_later_is_due": SleepsInsteadOfWaiting,
    "test_wait_takes_no_longer_than_it_may": WaitsForEver,
    "test_with_no_recipient_left_open_the_message_is_gone": KeepsWhatIsDone,
    "test_open_recipients_stay_under_their_numbers_with_their_last_reply": NumbersAgain,
    "test_notices_are_stored_in_the_same_step_in_the_same_queue": LosesNotices,
    "test_notices_may_go_to_another_queue": KeepsNoticesToItsQueue,
    "test_wait_returns_when_there_is_a_notice_in_its_queue": SleepsInsteadOfWaiting,
    "test_that_a_delay_was_reported_is_remembered": ForgetsThatItTold,
    "test_that_a_delay_was_reported_is_no_settlements_to_take_back": TakesBackThatItTold,
    "test_a_settlement_may_hold_the_message": CannotHold,
    "test_a_claim_is_settled_once": SettlesAgain,
    "test_a_late_owner_changes_nothing": HasNoEpochs,
    "test_entries_are_found_by_all_that_is_asked": FindsByFirstRecipient,
    "test_entries_say_what_is_running": HidesWhatRuns,
    "test_an_operator_holds_releases_and_hastens": CannotHasten,
    "test_an_operator_bounces_also_what_is_held": BouncesOnlyWhatIsDue,
    "test_an_operator_discards": DiscardsAll,
    "test_what_is_claimed_is_not_amended": AmendsWhatRuns,
    "test_amend_gives_the_ids_of_what_it_has_changed": CountsWhatItAmends,
    "test_what_has_changed_since_it_was_seen_is_not_amended": AmendsWhatWasNotSeen,
    "test_many_who_amend_one_message_change_it_once": LooksLongBeforeItAmends,
    "test_a_peek_shows_a_message_whoever_has_claimed_it": HidesFromThePeekWhatRuns,
    "test_a_peek_shows_open_recipients_apart_from_those_that_have_ended": PeeksAtAll,
    "test_a_peek_says_what_an_operator_has_decided": HidesTheDecision,
    "test_a_peek_at_what_is_not_there_shows_nothing": PeeksAtAnyPath,
    "test_renew_keeps_what_is_ours_and_leaves_out_what_is_not": RenewsAll,
    "test_its_durability_is_one_sentence": BoastsAtLength,
    "test_the_spool_folder_is_there_while_it_runs": HasNoSpoolFolder,
    "test_a_refusal_is_told_from_memory": RefusesEverything,
    "test_others_run_while_it_works": BlocksTheHub,
    "test_no_sync_is_waited_for_in_the_hubs_thread": SyncsInTheHub,
}


class StorageSuite(StorageContract):
    sound = Sound
    proven_elsewhere = ComponentContract
    broken = BROKEN_STORAGE

    def make_storage(self, path, clock):
        return self.subject(clock)


class Durable(MemoryStorage):
    """Remembers over a restart, at which what was running is lost and counted."""

    durability = "An accepted message survives as long as the test's memory does."

    def start(self) -> None:
        self.crash()


class ForgetsAll(Durable):
    def start(self):
        self._rows.clear()


class ForgetsWhatIsHeld(Durable):
    def start(self):
        for queue_id in [queue_id for queue_id, row in self._rows.items() if row.held]:
            del self._rows[queue_id]


class KeepsOldClaims(Durable):
    def start(self):
        pass


class ForgetsKeys(Durable):
    def start(self):
        self._memory.keys.clear()


class ReleasesUntilTheEnd(Durable):
    def start(self):
        super().start()
        for row in self._rows.values():
            row.due_at = min(row.due_at, self._clock.now())


class LosesReleasedInACrash(Durable):
    def start(self):
        for queue_id in [queue_id for queue_id, row in self._rows.items() if not row.is_claimed]:
            del self._rows[queue_id]


class GivesSuspectsWithOthers(Durable):
    def claim(self, queue, limit, *, full_lanes=()):
        given = list(super().claim(queue, limit, full_lanes=full_lanes))
        while len(given) < limit and (suspect := self.claim_suspect(queue)) is not None:
            given.append(suspect)
        return given


class ForgivesSuspects(Durable):
    def start(self):
        super().start()
        for row in self._rows.values():
            row.unsettled = min(row.unsettled, SUSPECT_AFTER)


BROKEN_DURABLE_STORAGE = {
    "test_what_was_written_is_there_after_a_kill": ForgetsAll,
    "test_what_was_stored_is_there_after_a_restart": ForgetsWhatIsHeld,
    "test_a_claim_that_was_never_settled_is_given_out_again_and_counted": KeepsOldClaims,
    "test_what_was_given_back_for_later_is_due_then_also_after_a_restart": ReleasesUntilTheEnd,
    "test_what_was_given_back_for_later_is_due_by_then_after_a_kill": LosesReleasedInACrash,
    "test_a_suspect_is_given_only_by_itself_until_it_is_settled": GivesSuspectsWithOthers,
    "test_a_suspect_that_ends_the_process_again_is_counted_again": ForgivesSuspects,
    "test_a_key_is_remembered_over_a_restart": ForgetsKeys,
}


class DurableStorageSuite(DurableStorageContract):
    sound = Durable
    proven_elsewhere = StorageContract
    broken = BROKEN_DURABLE_STORAGE

    def make_storage(self, path: Path, clock: Clock):
        self.memories = getattr(self, "memories", {})
        return self.subject(clock, self.memories.setdefault(path, Memory()))

    def killed(self, path, clock):
        return self.make_storage(path, clock)


def test_the_suite_finds_and_names_what_is_broken(suite: str, rule: str, outcomes) -> None:
    assert (suite, rule, "broken") in outcomes.failures, outcomes.output


def test_a_sound_component_passes(outcomes) -> None:
    assert {} == {key: said for key, said in outcomes.failures.items() if "sound" in key}, outcomes.output


def test_every_rule_is_broken_by_somebody(unbroken_rules) -> None:
    assert {"StorageSuite": set(), "DurableStorageSuite": set()} == unbroken_rules
