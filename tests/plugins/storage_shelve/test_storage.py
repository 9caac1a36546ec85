"""What shelve promises beyond the contract: refusals, quarantine, bodies, keys, interruption, failure."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import attrs
import gevent
import pytest

from mdacore import (
    Change,
    ClaimLost,
    Content,
    FileBody,
    MemoryBody,
    Query,
    Settlement,
    State,
    Status,
    StorageError,
    StorageFull,
)
from mdacore.testing import content_of
from mdacore.testing.storage_samples import BODY, BOUNCED, DELIVERED, LATER, claims, listed, make_envelope, new
from mdacore_storage_shelve import ShelveConfig, ShelveStorage, events, sql
from mdacore_storage_shelve.batch import KEY_LIFETIME_S
from mdacore_storage_shelve.folder import Folder


@pytest.fixture
def spooled(tmp_path):
    """A large body in a file, as an edge makes it."""
    path = tmp_path / "spooled"
    path.write_bytes(b"Subject: large\r\n\r\n" + b"x" * 300_000)
    return FileBody(path, path.stat().st_size)


@pytest.fixture
def alter(path):
    """Executes a statement on the database, as nobody should."""

    def alter_(statement):
        with sqlite3.connect(Folder(path).database) as connection:
            connection.execute(statement)
        connection.close()

    return alter_


def large(clock, body, **given):
    return new(clock, envelope=make_envelope(clock, content=Content(body)), **given)


def body_files(path):
    return sorted(Folder(path).bodies.iterdir())


class TestStart:
    def test_it_says_what_it_opened(self, storage, log, path):
        (line,) = log.of(events.STORAGE_OPENED)

        assert (str(path), 0, storage.durability) == (line["path"], line["crashed_claims"], line["durability"])

    def test_the_durability_is_this_sentence(self, storage):
        assert storage.durability == (
            "An accepted message survives the kill of the process, a crash of the system and a loss of power, "
            "provided the disk honours flushes; at most the deliveries in flight are repeated."
        )

    def test_a_second_owner_is_refused_with_the_pid(self, storage, context):
        """Case 70."""
        second = ShelveStorage(ShelveConfig(), context)

        with pytest.raises(StorageError, match=f"in use by process {os.getpid()}"):
            second.start()

        second.stop()
        assert storage.refusal(0) is None

    def test_after_a_failed_start_nothing_stays_acquired(self, context, path, open_storage):
        open_storage().stop()
        database = Folder(path).database
        database.rename(database.with_name("elsewhere"))
        with pytest.raises(StorageError):
            ShelveStorage(ShelveConfig(), context).start()
        database.with_name("elsewhere").rename(database)
        threads = set(Path("/proc/self/task").iterdir())

        open_storage().stop()

        assert threads == set(Path("/proc/self/task").iterdir())

    def test_the_spool_is_there_and_on_the_same_file_system(self, storage, path):
        assert storage.spool_path.is_dir()
        assert storage.spool_path.stat().st_dev == Folder(path).database.stat().st_dev


class TestStop:
    def test_afterwards_everything_is_refused(self, storage, clock):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.stop()

        assert "451 4.3.0" == str(storage.refusal(0))[:9]
        assert Status.FAILED is storage.health().status
        for call in (
            lambda: storage.write([new(clock)], queue="main"),
            lambda: storage.claim("main", 1),
            lambda: storage.read(claim),
            lambda: storage.settle(claim, Settlement(closed={0: DELIVERED})),
            lambda: list(storage.entries(Query())),
            lambda: storage.amend(Query(), Change.HOLD),
        ):
            with pytest.raises(StorageError):
                call()

    def test_the_log_is_in_the_database_and_the_lock_is_free(self, storage, path, clock, open_storage):
        storage.write([new(clock)], queue="main")

        storage.stop()

        assert {"queue.db", "lock", "mdacore-store", "reserve"} == {p.name for p in path.iterdir() if p.is_file()}
        assert 1 == len(listed(open_storage()))

    def test_what_is_on_its_way_is_stored_or_refused(self, storage, clock, open_storage):
        writers = [gevent.spawn(storage.write, [new(clock)], queue="main") for _ in range(200)]
        gevent.idle()

        storage.stop()
        gevent.joinall(writers, timeout=60)

        stored = {writer.value[0] for writer in writers if writer.value}
        assert all(writer.value or isinstance(writer.exception, StorageError) for writer in writers)
        assert stored == {entry.queue_id for entry in listed(open_storage())}


class TestRefusal:
    def test_with_room_there_is_none(self, storage):
        assert storage.refusal(50_000_000) is None

    def test_case_066_below_the_low_water_mark_new_mail_is_refused_and_deliveries_go_on(self, open_storage, clock):
        """Case 66."""
        storage = open_storage(min_free_bytes=2**60)
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))

        assert "452 4.3.1 Insufficient system storage" == str(storage.refusal(0))
        storage.settle(claim, Settlement(closed={0: DELIVERED}))
        assert Status.DEGRADED is storage.health().status

    def test_the_size_of_the_message_counts(self, storage, path):
        free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize

        assert storage.refusal(1000) is None
        assert "452" == str(storage.refusal(free))[:3]

    def test_it_looks_at_the_disk_once_a_second_at_most(self, storage, clock, monkeypatch):
        looks = []
        statvfs = os.statvfs
        monkeypatch.setattr(os, "statvfs", lambda path: looks.append(path) or statvfs(path))
        clock.advance(2)

        for _ in range(100):
            storage.refusal(0)
        assert 1 == len(looks)
        clock.advance(1)
        storage.refusal(0)
        assert 2 == len(looks)

    def test_case_066_few_inodes_are_little_room_too(self, storage, clock, monkeypatch):
        statvfs = os.statvfs

        def few(path):
            found = statvfs(path)
            values = list(found)
            values[5], values[7] = 1_000_000, 9_999
            return os.statvfs_result(values)

        monkeypatch.setattr(os, "statvfs", few)
        clock.advance(2)

        assert "452" == str(storage.refusal(0))[:3]


class TestQuarantine:
    """Case 67: a damaged record is set aside with its reason, the others go on, nothing is deleted."""

    @pytest.fixture
    def damaged(self, open_storage, clock, alter):
        """A storage with three messages, the second one or its body damaged by this statement."""

        def make(statement):
            storage = open_storage()
            ids = storage.write([new(clock) for _ in range(3)], queue="main")
            storage.stop()
            alter(" ".join([statement, "WHERE id = (SELECT id FROM message ORDER BY id LIMIT 1 OFFSET 1)"]))
            return open_storage(), ids

        return make

    @pytest.mark.parametrize(
        ("statement", "reason"),
        [
            ("UPDATE message SET envelope = x'00'", "its first octets are wrong"),
            ("UPDATE message SET envelope = 'text'", "its first octets are wrong"),
            ("UPDATE message SET envelope = substr(envelope, 1, 40)", "its checksum is wrong"),
            ("UPDATE message SET envelope = x'6d6461450700000000'", "record of version 7"),
            ("UPDATE message SET progress = x'80049500'", "its first octets are wrong"),
            ("UPDATE body SET data = x'41'", "the body is missing or damaged"),
            ("UPDATE body SET data = zeroblob(length(data))", "the body is missing or damaged"),
            ("DELETE FROM body", "the body is missing or damaged"),
            ("UPDATE message SET body_is_file = 1", "is missing"),
        ],
    )
    def test_case_068_it_is_set_aside_and_the_others_are_read(self, damaged, log, statement, reason):
        storage, ids = damaged(statement)
        first, second, third = storage.claim("main", 9)

        with pytest.raises(StorageError, match=reason) as raised:
            storage.read(second)

        assert not isinstance(raised.value, ClaimLost)
        assert [BODY, BODY] == [content_of(storage.read(claim).envelope) for claim in (first, third)]
        (line,) = log.of(events.STORAGE_ENTRY_QUARANTINED)
        assert ids[1] == line["queue_id"]
        assert reason in line["reason"]
        health = storage.health()
        assert (Status.DEGRADED, 1) == (health.status, health.facts["set_aside"])

    def test_case_068_it_is_listed_not_claimed_and_counted_after_a_restart(self, damaged, open_storage):
        storage, ids = damaged("UPDATE message SET envelope = x'00'")
        with pytest.raises(StorageError):
            storage.read(storage.claim("main", 9)[1])

        storage = open_storage()

        (entry,) = storage.entries(Query(states=[State.HELD]))
        assert (ids[1], "not a record: its first octets are wrong") == (entry.queue_id, entry.held)
        assert ids[1] not in [claim.queue_id for claim in storage.claim("main", 9)]
        assert 1 == storage.health().facts["set_aside"]

    def test_a_list_shows_it_before_anybody_claims_it(self, damaged):
        storage, ids = damaged("UPDATE message SET envelope = x'00'")

        entries = listed(storage)

        assert list(ids) == [entry.queue_id for entry in entries]
        assert ([], "not a record: its first octets are wrong") == (list(entries[1].recipients), entries[1].held)
        assert [ids[0], ids[2]] == [entry.queue_id for entry in storage.entries(Query(sender="alice@example.org"))]

    def test_it_can_be_held_or_put_off_unread(self, damaged, clock):
        """What crashes whoever reads it must not be read to be held."""
        storage, _ = damaged("UPDATE message SET envelope = x'00'")
        first, second, _ = storage.claim("main", 9)

        storage.settle(first, Settlement(held="crashed"))
        storage.settle(second, Settlement(due_at=clock.now() + 60))

        assert [State.HELD, State.DUE] == [entry.state for entry in listed(storage)][:2]

    def test_settling_it_unread_sets_it_aside_too(self, damaged):
        storage, _ = damaged("UPDATE message SET envelope = x'00'")
        claim = storage.claim("main", 9)[1]

        with pytest.raises(StorageError, match="set aside"):
            storage.settle(claim, Settlement(closed={0: DELIVERED}))

        assert 3 == len(listed(storage))

    def test_an_operator_may_discard_it(self, damaged):
        storage, ids = damaged("UPDATE message SET envelope = x'00'")
        with pytest.raises(StorageError):
            storage.read(storage.claim("main", 9)[1])

        assert 1 == len(storage.amend(Query(queue_ids=[ids[1]]), Change.DISCARD))

        assert 0 == storage.health().facts["set_aside"]


class TestBodies:
    def test_a_large_one_is_a_file_until_its_last_user_is_gone(self, storage, clock, spooled, path):
        parts = [large(clock, spooled, claim=True) for _ in range(2)]
        first, second = claims(storage.write(parts, queue="main"))
        spooled.path.unlink()
        (file,) = body_files(path)

        storage.settle(first, Settlement(closed={0: DELIVERED}))
        assert FileBody(file, spooled.size_bytes) == storage.read(second).envelope.content.body
        storage.settle(second, Settlement(closed={0: DELIVERED}))

        storage._engine._upkeep.tick()
        assert [] == body_files(path)

    def test_case_067_a_cut_one_is_noticed(self, storage, clock, spooled, path):
        (claim,) = claims(storage.write([large(clock, spooled, claim=True)], queue="main"))
        os.truncate(body_files(path)[0], 1000)

        with pytest.raises(StorageError, match="has 1000 octets, and 300018 were stored"):
            storage.read(claim)

    def test_one_that_cannot_be_read_now_stays_claimed(self, storage, clock, spooled, path, monkeypatch):
        """For lack of descriptors, say: that is no damage. Its owner settles it for later."""
        (claim,) = claims(storage.write([large(clock, spooled, claim=True)], queue="main"))

        def fail(*_, **__):
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", fail)
            with pytest.raises(StorageError, match="cannot be read"):
                storage.read(claim)

        assert spooled.path.read_bytes() == content_of(storage.read(claim).envelope)
        assert State.ACTIVE is listed(storage)[0].state

    def test_a_discarded_messages_file_goes_too(self, storage, clock, spooled, path):
        storage.write([large(clock, spooled)], queue="main")

        storage.amend(Query(), Change.DISCARD)

        storage._engine._upkeep.tick()
        assert [] == body_files(path)

    def test_a_notice_may_carry_the_originals_file(self, storage, clock, spooled, path):
        (claim,) = claims(storage.write([large(clock, spooled, claim=True)], queue="main"))
        body = storage.read(claim).envelope.content.body

        storage.settle(claim, Settlement(closed={0: BOUNCED}, notices=[large(clock, body)]))

        storage._engine._upkeep.tick()
        (notice,) = storage.claim("main", 1)
        assert spooled.path.read_bytes() == content_of(storage.read(notice).envelope)

    def test_a_missing_one_refuses_the_message(self, storage, clock, tmp_path, path):
        with pytest.raises(StorageError):
            storage.write([large(clock, FileBody(tmp_path / "missing", 5))], queue="main")

        assert ([], []) == (listed(storage), body_files(path))

    def test_any_other_body_is_stored_by_its_octets(self, storage, clock):
        @attrs.frozen
        class Joined:
            size_bytes: int = 6

            def chunks(self, size_bytes=0):
                yield b"a\r\n"
                yield b"b\r\n"

        (claim,) = claims(storage.write([large(clock, Joined(), claim=True)], queue="main"))

        assert MemoryBody(b"a\r\nb\r\n") == storage.read(claim).envelope.content.body


class TestKeys:
    def test_writers_at_once_with_one_key_store_once(self, storage, clock):
        writers = [gevent.spawn(storage.write, [new(clock, claim=True)], queue="main", key="k") for _ in range(20)]
        gevent.joinall(writers, raise_error=True)

        assert 1 == len(listed(storage))
        assert 1 == len([writer for writer in writers if not isinstance(writer.value[0], str)])

    def test_a_queue_has_its_own(self, storage, clock):
        """A client of one queue cannot make mail for another one vanish."""
        storage.write([new(clock)], queue="one", key="k")
        storage.write([new(clock)], queue="two", key="k")

        assert ["one", "two"] == [entry.queue for entry in listed(storage)]

    def test_it_is_remembered_after_the_delivery_and_forgotten_after_two_days(self, storage, clock):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main", key="k"))
        storage.settle(claim, Settlement(closed={0: DELIVERED}))

        clock.jump(KEY_LIFETIME_S - 1)
        assert [claim.queue_id] == storage.write([new(clock)], queue="main", key="k")
        clock.jump(2)
        assert [claim.queue_id] != storage.write([new(clock)], queue="main", key="k")

    def test_the_file_of_a_message_seen_before_is_not_kept(self, storage, clock, spooled, path):
        storage.write([large(clock, spooled)], queue="main", key="k")
        storage.write([large(clock, spooled)], queue="main", key="k")

        storage._engine._upkeep.tick()
        assert 1 == len(body_files(path))


class TestSettle:
    def test_an_attempt_that_ended_clears_the_crashes_before_it(self, open_storage, clock):
        """A message that was in flight in two power cuts is not one that crashes the service."""
        open_storage().write([new(clock, claim=True)], queue="main")
        storage = open_storage()
        (claim,) = storage.claim("main", 1)
        assert 1 == claim.unsettled

        storage.settle(claim, Settlement(deferred={0: LATER}, due_at=clock.now()))

        assert [0] == [claim.unsettled for claim in storage.claim("main", 1)]

    def test_a_closed_recipient_stays_closed_whatever_later_attempts_say(self, storage, clock):
        envelope = make_envelope(clock, "a@example.test", "b@example.test")
        (claim,) = claims(storage.write([new(clock, envelope=envelope, claim=True)], queue="main"))
        storage.settle(claim, Settlement(closed={0: DELIVERED}, deferred={1: LATER}, due_at=clock.now()))

        (again,) = storage.claim("main", 1)
        storage.settle(again, Settlement(closed={7: DELIVERED}, deferred={0: LATER, 1: LATER}, due_at=clock.now()))

        (entry,) = listed(storage)
        assert [("b@example.test", LATER)] == entry.recipients

    def test_a_recipient_without_a_word_stays_open_with_its_last_reply(self, storage, clock):
        envelope = make_envelope(clock, "a@example.test", "b@example.test")
        (claim,) = claims(storage.write([new(clock, envelope=envelope, claim=True)], queue="main"))
        storage.settle(claim, Settlement(deferred={1: LATER}, due_at=clock.now()))
        (again,) = storage.claim("main", 1)
        storage.settle(again, Settlement(closed={0: DELIVERED}, due_at=clock.now()))

        assert [("b@example.test", LATER)] == listed(storage)[0].recipients

    def test_a_settlement_of_nobody_keeps_what_earlier_ones_said(self, storage, clock):
        envelope = make_envelope(clock, "a@example.test", "b@example.test")
        (claim,) = claims(storage.write([new(clock, envelope=envelope, claim=True)], queue="main"))
        storage.settle(claim, Settlement(closed={0: DELIVERED}, deferred={1: LATER}, due_at=clock.now()))

        (again,) = storage.claim("main", 1)
        storage.settle(again, Settlement(due_at=clock.now()))

        assert [("b@example.test", LATER)] == listed(storage)[0].recipients

    def test_of_two_settlements_at_once_one_counts_with_all_it_says(self, storage, clock):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        notice = new(clock, envelope=make_envelope(clock, sender=""))
        bounced = Settlement(closed={0: BOUNCED}, notices=[notice])

        settlers = [gevent.spawn(storage.settle, claim, bounced) for _ in range(5)]
        gevent.joinall(settlers)

        assert 1 == sum(settler.value is not None for settler in settlers)
        assert 4 == sum(isinstance(settler.exception, ClaimLost) for settler in settlers)
        assert 1 == len(listed(storage))

    def test_what_cannot_be_stored_changes_nothing(self, storage, clock):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        bad = new(clock, lane="local/\udc80")

        with pytest.raises(StorageError, match="not text"):
            storage.settle(claim, Settlement(closed={0: BOUNCED}, notices=[bad]))

        storage.settle(claim, Settlement(closed={0: DELIVERED}))
        assert [] == listed(storage)

    @pytest.mark.parametrize("due_at", [float("nan"), float("inf")])
    def test_a_time_that_is_none_is_refused(self, storage, clock, due_at):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))

        with pytest.raises(StorageError, match="not a time"):
            storage.settle(claim, Settlement(deferred={0: LATER}, due_at=due_at))
        with pytest.raises(StorageError, match="not a time"):
            storage.write([new(clock, due_at=due_at)], queue="main")


class TestRelease:
    def test_a_hundred_claims_are_given_back_with_a_few_syncs(self, storage, clock, monkeypatch):
        """As a failed probe does it; each waits a moment for the others."""
        given = claims(storage.write([new(clock, claim=True) for _ in range(100)], queue="main"))
        commits = []
        commit = storage._engine._group._commit
        monkeypatch.setattr(storage._engine._group, "_commit", lambda jobs: commits.append(len(jobs)) or commit(jobs))

        hands = [gevent.spawn(storage.release, claim, due_at=clock.now() + 60) for claim in given]
        gevent.joinall(hands, raise_error=True)

        assert 100 == sum(commits)
        assert len(commits) <= 3

    @pytest.mark.parametrize("due_at", [float("nan"), float("inf")])
    def test_a_time_that_is_none_changes_nothing(self, storage, clock, due_at):
        """Else the message would never be due again."""
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))

        with pytest.raises(StorageError):
            storage.release(claim, due_at=due_at)

        assert [claim] == list(storage.renew([claim]))


class TestAmend:
    def test_every_message_is_logged_by_its_id(self, storage, clock, log):
        """I2: whoever drops a recipient says so."""
        ids = storage.write([new(clock) for _ in range(3)], queue="main")

        storage.amend(Query(), Change.DISCARD)

        assert [{"queue_id": i, "change": "discard"} for i in ids] == log.of(events.STORAGE_AMENDED)

    def test_many_pages_and_a_limit(self, storage, clock):
        storage.write([new(clock) for _ in range(250)], queue="main")

        assert 120 == len(storage.amend(Query(limit=120), Change.HOLD))
        assert 120 == len(list(storage.entries(Query(states=[State.HELD]))))
        assert 250 == len(storage.amend(Query(), Change.DISCARD))

    def test_only_what_is_asked_for_is_changed(self, storage, clock):
        storage.write([new(clock, claim=True), new(clock, held="why"), new(clock)], queue="main")

        assert 0 == len(storage.amend(Query(states=[State.ACTIVE]), Change.DISCARD))
        assert 1 == len(storage.amend(Query(states=[State.HELD]), Change.DISCARD))
        assert {State.ACTIVE, State.DUE} == {entry.state for entry in listed(storage)}

    def test_a_limit_counts_what_can_be_changed(self, storage, clock):
        storage.write([new(clock, claim=True), new(clock)], queue="main")

        assert 1 == len(storage.amend(Query(limit=1), Change.HOLD))

        assert [State.ACTIVE, State.HELD] == [entry.state for entry in listed(storage)]

    def test_due_now_leaves_a_held_message_held(self, storage, clock):
        storage.write([new(clock, held="why", due_at=clock.now() + 60)], queue="main")

        storage.amend(Query(), Change.DUE_NOW)

        (entry,) = listed(storage)
        assert (State.HELD, clock.now()) == (entry.state, entry.due_at)

    def test_what_was_held_before_keeps_its_reason(self, storage, clock):
        storage.write([new(clock, held="why"), new(clock)], queue="main")

        storage.amend(Query(), Change.HOLD)

        assert ["why", "held by an operator"] == [entry.held for entry in listed(storage)]

    def test_a_released_message_starts_with_no_crashes_on_its_record(self, open_storage, clock):
        """Else it would be held again at once."""
        open_storage().write([new(clock, claim=True)], queue="main")
        storage = open_storage()
        (claim,) = storage.claim("main", 1)
        assert 1 == claim.unsettled
        storage.settle(claim, Settlement(held="crashed"))

        storage.amend(Query(), Change.RELEASE)

        assert [0] == [claim.unsettled for claim in storage.claim("main", 1)]

    def test_what_shall_bounce_is_due_now_and_says_so_over_a_restart(self, storage, clock, open_storage):
        storage.write([new(clock, held="why", due_at=clock.now() + 60)], queue="main")

        storage.amend(Query(), Change.BOUNCE)

        storage = open_storage()
        (claim,) = storage.claim("main", 1)
        assert storage.read(claim).must_bounce

    def test_a_bounce_that_was_held_back_is_taken_back_by_the_release(self, storage, clock):
        storage.write([new(clock)], queue="main")

        for change in (Change.BOUNCE, Change.HOLD, Change.RELEASE):
            storage.amend(Query(), change)

        (claim,) = storage.claim("main", 1)
        assert not storage.read(claim).must_bounce

    def test_a_waiting_claimer_is_woken(self, storage, clock):
        storage.write([new(clock, held="why")], queue="main")
        assert [] == list(storage.claim("main", 1))
        waiter = gevent.spawn(storage.wait, "main", 60.0)
        gevent.idle()
        assert not waiter.ready()

        storage.amend(Query(), Change.RELEASE)

        waiter.get(timeout=60)


class TestWait:
    def test_a_message_deferred_meanwhile_brings_its_end_forward(self, storage, clock):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.claim("main", 1)
        waiter = gevent.spawn(storage.wait, "main", 60.0)
        gevent.idle()
        storage.settle(claim, Settlement(deferred={0: LATER}, due_at=clock.now() + 30))
        gevent.idle()

        clock.advance(30)

        waiter.get(timeout=60)

    def test_it_ends_when_a_deferred_message_is_due_again(self, storage, clock):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.settle(claim, Settlement(deferred={0: LATER}, due_at=clock.now() + 30))
        assert [] == list(storage.claim("main", 1))
        waiter = gevent.spawn(storage.wait, "main", 60.0)
        gevent.idle()

        clock.advance(29)
        assert not waiter.ready()
        clock.advance(1)
        waiter.get(timeout=60)
        assert 1 == len(storage.claim("main", 1))

    def test_after_a_restart_it_knows_when(self, storage, clock, open_storage):
        storage.write([new(clock, due_at=clock.now() + 30)], queue="main")
        storage = open_storage()
        storage.claim("main", 1)
        waiter = gevent.spawn(storage.wait, "main", 60.0)
        gevent.idle()

        clock.advance(29)
        assert not waiter.ready()
        clock.advance(1)
        waiter.get(timeout=60)

    def test_with_more_to_claim_it_does_not_wait(self, storage, clock):
        storage.write([new(clock), new(clock)], queue="main")
        storage.claim("main", 1)

        storage.wait("main", 60.0)

    def test_another_queues_messages_do_not_end_it(self, storage, clock):
        storage.claim("main", 1)
        waiter = gevent.spawn(storage.wait, "main", 60.0)
        gevent.idle()

        storage.write([new(clock)], queue="other")
        gevent.idle()

        assert not waiter.ready()
        waiter.kill()


class TestInterruption:
    """The change happens whole or not at all, and a claim that nobody got is nobody's."""

    def interrupt(self, calls, after):
        greenlets = [gevent.spawn(call) for call in calls]
        for _ in range(after):
            gevent.sleep(0)
        gevent.killall(greenlets)
        return [greenlet.value for greenlet in greenlets if isinstance(greenlet.value, Sequence)]

    @pytest.mark.parametrize("after", [0, 1, 2, 5, 20])
    def test_a_write_with_claims(self, storage, clock, after, open_storage):
        parts = lambda: [new(clock, claim=True), new(clock, claim=True)]  # noqa: E731
        results = self.interrupt([lambda: storage.write(parts(), queue="main")] * 30, after)
        returned = {claim.queue_id for result in results for claim in result}

        storage.write([], queue="main")  # behind everything that was on its way
        storage.write([], queue="main")
        stored = listed(storage)
        assert 0 == len(stored) % 2
        assert returned == {entry.queue_id for entry in stored if entry.state is State.ACTIVE}
        again = storage.claim("main", 1000)
        assert len(stored) == len(returned) + len(again)
        assert {(1, 0)} >= {(claim.attempt, claim.unsettled) for claim in again}

    @pytest.mark.parametrize("after", [1, 2, 5, 20])
    def test_a_claim(self, storage, clock, after):
        storage.write([new(clock) for _ in range(30)], queue="main")

        kept = sum(map(len, self.interrupt([lambda: storage.claim("main", 5)] * 6, after)))

        storage.write([], queue="main")
        storage.write([], queue="main")
        assert 30 - kept == len(storage.claim("main", 100))

    @pytest.mark.parametrize("after", [1, 2, 5])
    def test_a_settlement(self, storage, clock, after):
        given = claims(storage.write([new(clock, claim=True) for _ in range(20)], queue="main"))
        notice = new(clock, envelope=make_envelope(clock, sender=""), lane="other/")
        bounced = Settlement(closed={0: BOUNCED}, notices=[notice])

        self.interrupt([lambda claim=claim: storage.settle(claim, bounced) for claim in given], after)

        storage.write([], queue="main")
        entries = listed(storage)
        assert 20 == len(entries)
        settled = 20 - sum(entry.state is State.ACTIVE for entry in entries)
        assert settled == sum(entry.sender == "" for entry in entries)

    def test_a_claim_that_could_not_be_given_back_is_given_back_later(self, storage, clock):
        """Else it would be active until the next start."""

        class BusyAtFirst:
            def __init__(self, connection):
                self.connection = connection
                self.claims, self.may_claim = threading.Event(), threading.Event()
                self.is_locked, self.has_refused = True, False

            def __getattr__(self, name):
                return getattr(self.connection, name)

            def execute(self, statement, *values):
                if statement == sql.CLAIM:
                    self.claims.set()
                    assert self.may_claim.wait(60)
                if statement == sql.release_messages(1) and self.is_locked:
                    self.has_refused = True
                    raise sqlite3.OperationalError("database is locked")
                return self.connection.execute(statement, *values)

        committer = storage._engine._store.committer
        busy = committer._connection = BusyAtFirst(committer._connection)
        storage.write([new(clock)], queue="main")
        claimer = gevent.spawn(storage.claim, "main", 1)
        while not busy.claims.is_set():
            gevent.idle()

        claimer.kill()
        busy.may_claim.set()

        while not busy.has_refused:
            storage.write([], queue="main")
        busy.is_locked = False
        assert [] == list(storage.claim("main", 1))
        clock.advance(10)
        storage.write([], queue="main")
        assert 1 == len(storage.claim("main", 1))

    def test_a_timeout_in_a_write_of_a_large_body(self, storage, clock, spooled, path):
        with pytest.raises(gevent.Timeout), gevent.Timeout(0):
            storage.write([large(clock, spooled)], queue="main")

        storage.write([], queue="main")
        assert len(listed(storage)) <= len(body_files(path))


class TestFull:
    def test_case_064_a_full_disk_refuses_and_a_freed_one_accepts_again(self, storage, clock):
        """Case 64, by a limit on the database's size."""
        connection = storage._engine._store._connection
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        big = large(clock, MemoryBody(b"x" * 200_000))

        with pytest.raises(StorageFull) as raised:
            storage.write([big], queue="main")

        assert 452 == raised.value.reply.code
        assert 1 == len(listed(storage))
        storage.settle(claim, Settlement(closed={0: DELIVERED}))
        connection.execute("PRAGMA max_page_count = 1000000")
        storage.write([big], queue="main")
        assert Status.OK is storage.health().status

    @pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
    def test_case_064_a_small_file_system_fills_up_and_recovers(self, clock, context, tmp_path, spooled):
        mount = tmp_path / "small"
        mount.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], capture_output=True)
        if mounted.returncode:
            pytest.skip("mounting is not possible here")
        storage = ShelveStorage(ShelveConfig(path=mount / "store", min_free_bytes=0), context)
        try:
            storage.start()
            written = []
            medium = large(clock, MemoryBody(b"x" * 50_000))
            with contextlib.suppress(StorageFull):
                for _ in range(100):
                    written += storage.write([medium], queue="main")
            with pytest.raises(StorageFull):
                storage.write([medium], queue="main")
            with pytest.raises(StorageFull):
                storage.write([large(clock, spooled)], queue="main")
            assert written == [entry.queue_id for entry in listed(storage)]

            subprocess.run(["mount", "-o", "remount,size=20m", str(mount)], check=True)

            storage.write([medium, large(clock, spooled)], queue="main")
            assert len(written) + 2 == len(listed(storage))
            assert Status.OK is storage.health().status
        finally:
            storage.stop()
            subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
class TestStartOnAFullDisk:
    """A full disk keeps nobody from starting: what is queued can be seen, delivered and removed."""

    @pytest.fixture
    def small(self, tmp_path):
        """The folder of a store on a file system of 16 MiB."""
        mount = tmp_path / "small"
        mount.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(mount)], capture_output=True)
        if mounted.returncode:
            pytest.skip("mounting is not possible here")
        yield mount / "store"
        subprocess.run(["umount", str(mount)], check=True)

    @pytest.mark.parametrize("was_killed", [False, True])
    def test_case_064_it_starts_delivers_and_later_accepts(self, clock, context, small, was_killed):
        config = ShelveConfig(path=small, min_free_bytes=0)
        first = ShelveStorage(config, context)
        first.start()
        first.write([new(clock, claim=True) for _ in range(20)], queue="main")
        if was_killed:
            shutil.copytree(small, small.with_name("copy"))
        first.stop()
        if was_killed:
            shutil.rmtree(small)
            small.with_name("copy").rename(small)
        filler = small.parent / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

        storage = ShelveStorage(config, context)
        storage.start()
        try:
            assert 20 == len(listed(storage))
            for claim in storage.claim("main", 20):
                storage.settle(claim, Settlement(closed={0: DELIVERED}))
            assert [] == listed(storage)
            filler.unlink()
            storage.write([new(clock)], queue="main")
        finally:
            storage.stop()


class TestBroken:
    @pytest.fixture
    def broken(self, storage, clock):
        storage.write([new(clock)], queue="main")
        storage._engine._store.committer.fail("a commit failed: disk I/O error")
        return storage

    def test_case_065_nothing_more_is_accepted_and_everybody_can_see_why(self, broken, clock, log):
        """Case 65."""
        with pytest.raises(StorageError) as raised:
            broken.write([new(clock)], queue="main")

        assert "451 4.3.0 Local error, try again later" == str(raised.value.reply)
        assert "451 4.3.0 Local error, try again later" == str(broken.refusal(0))
        health = broken.health()
        assert (Status.FAILED, "a commit failed: disk I/O error") == (health.status, health.reason)

    def test_it_is_logged_once_as_an_error(self, broken, log):
        broken._engine._upkeep.tick()
        broken.stop()

        assert [{"reason": "a commit failed: disk I/O error"}] == log.of(events.STORAGE_FAILED)

    def test_it_can_still_be_listed(self, broken):
        assert 1 == len(listed(broken))

    def test_case_065_stopping_syncs_nothing_more(self, broken, path):
        """The log stays as it is; the next start reads it."""
        log = Folder(path).database.with_name("queue.db-wal")
        before = log.read_bytes(), Folder(path).database.read_bytes()

        broken.stop()

        assert before == (log.read_bytes(), Folder(path).database.read_bytes())

    def test_case_065_the_next_start_has_everything_that_was_acknowledged(self, broken, open_storage):
        assert 1 == len(listed(open_storage()))
