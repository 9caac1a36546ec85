"""Case 67: what is in the folder and cannot be read is moved aside with its reason; the others are delivered."""

from __future__ import annotations

import os
import shutil

import pytest

from mdacore import Claim, Query, QueueId, Settlement, State, Status, StorageError
from mdacore.testing import content_of
from mdacore.testing.storage_samples import BODY, BOUNCED, DELIVERED, LATER, claims, listed, make_envelope, new
from mdacore_storage_disk import DiskConfig, DiskStorage, events
from mdacore_storage_disk.ids import BRANCH_CHARS


@pytest.fixture
def stored(storage, path, clock):
    """Three messages at rest, as (id, message file); the storage is stopped."""
    ids = [storage.write([new(clock)], queue="main")[0] for _ in range(3)]
    storage.stop()
    return [(queue_id, next(path.glob(f"messages/*/{queue_id}.msg"))) for queue_id in ids]


def log_of(message):
    return message.with_suffix(".log")


def corrupt(path):
    return sorted(p.name for p in (path / "corrupt").iterdir() if p.suffix != ".reason")


class TestDamage:
    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            (lambda p: p.write_bytes(b""), "its first octets are wrong"),
            (lambda p: p.write_bytes(b"garbage" * 1000), "its first octets are wrong"),
            (lambda p: p.write_bytes(bytes(p.stat().st_size)), "its first octets are wrong"),
            (lambda p: p.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR."), "its first octets are wrong"),
            (lambda p: os.truncate(p, p.stat().st_size - 1), "octets, and"),
            (lambda p: p.write_bytes(p.read_bytes() + b"x"), "octets, and"),
            (lambda p: p.write_bytes(p.read_bytes().replace(b"alice", b"malic", 1)), "the checksum is wrong"),
            (lambda p: p.write_bytes(p.read_bytes().replace(b"message 1", b"message 9", 1)), "of version 9"),
            (lambda p: log_of(p).write_bytes(b"garbage\nmore\nlines\n"), "line 1 of its log is damaged"),
            (lambda p: p.unlink() or log_of(p).write_bytes(b"garbage\nmore\n"), "line 1 of its log is damaged"),
        ],
    )
    def test_case_067_a_damaged_file_is_moved_aside_and_the_others_are_delivered(
        self, stored, open_storage, path, log, damage, reason
    ):
        queue_id, file = stored[1]
        damage(file)

        storage = open_storage()

        assert [stored[0][0], stored[2][0]] == [entry.queue_id for entry in listed(storage)]
        assert [BODY, BODY] == [content_of(storage.read(claim).envelope) for claim in storage.claim("main", 9)]
        assert queue_id in corrupt(path)[0]
        (note,) = (path / "corrupt").glob("*.reason")
        assert reason in note.read_text()
        assert reason in log.one(events.STORAGE_ENTRY_QUARANTINED)["reason"]
        assert Status.DEGRADED is storage.health().status

    def test_case_067_a_damaged_body_is_found_before_anybody_sees_it(self, stored, open_storage, path, clock):
        queue_id, file = stored[0]
        file.write_bytes(file.read_bytes()[:-1] + b"!")
        storage = open_storage()
        claim = next(one for one in storage.claim("main", 9) if one.queue_id == queue_id)

        with pytest.raises(StorageError, match="its body is damaged"):
            storage.read(claim)

        assert [] == list(storage.renew([claim]))
        assert queue_id not in [entry.queue_id for entry in listed(storage)]
        assert [f"{queue_id}.log", f"{queue_id}.msg"] == corrupt(path)

    def test_case_067_what_lies_aside_is_counted_after_the_next_start_too(self, stored, open_storage):
        stored[0][1].write_bytes(b"")
        first = open_storage().health().facts["set_aside"]

        assert first == open_storage().health().facts["set_aside"] == 2  # the message and its log


class TestForeign:
    @pytest.mark.parametrize(
        "plant",
        [
            lambda folder: (folder / "notes.txt").write_text("mine"),
            lambda folder: (folder / "0000000000000.msg").write_text("another tag"),
            lambda folder: (folder / "folder.msg").mkdir(),
            lambda folder: (folder / "link.msg").symlink_to("/etc/passwd"),
            lambda folder: os.mkfifo(folder / "fifo.msg"),
            lambda folder: (folder / "slimta.msg").write_bytes(b"cposix\nsystem\n(S'touch /tmp/run'\ntR."),  # case 71
            lambda folder: (folder / ("n" * 200 + ".msg")).write_text("long"),
        ],
    )
    def test_case_067_it_is_moved_aside_and_not_touched(self, stored, open_storage, path, plant):
        folder = path / "messages" / "00"
        before = set(folder.iterdir())
        plant(folder)
        (planted,) = set(folder.iterdir()) - before
        kind = planted.lstat().st_mode

        storage = open_storage()

        assert 3 == len(listed(storage))
        assert [planted.name] == corrupt(path)
        assert kind == (path / "corrupt" / planted.name).lstat().st_mode

    @pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, lambda p: p.symlink_to("/etc/passwd")])
    def test_case_067_what_has_a_messages_name_and_is_no_file_is_moved_aside(self, stored, open_storage, path, plant):
        queue_id, file = stored[1]
        file.unlink()
        plant(file)

        storage = open_storage()

        assert 2 == len(listed(storage))
        assert f"{queue_id}.msg" in corrupt(path)

    @pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, lambda p: p.symlink_to("/etc/passwd")])
    def test_case_067_what_lies_in_a_logs_place_takes_the_message_along(self, stored, open_storage, path, plant):
        """Without its log the message would be new, and go once more to those who have got it."""
        queue_id, file = stored[1]
        log_of(file).unlink()
        plant(log_of(file))

        storage = open_storage()

        assert [stored[0][0], stored[2][0]] == [entry.queue_id for entry in listed(storage)]
        assert [f"{queue_id}.log", f"{queue_id}.msg"] == corrupt(path)
        (note,) = (path / "corrupt").glob("*.reason")
        assert f"{queue_id}.log is n" in note.read_text()

    def test_case_067_a_copy_under_another_name_is_no_second_message(self, stored, open_storage, path):
        _, file = stored[0]
        shutil.copy(file, file.with_name(stored[1][0][:-1] + "5.msg"))

        assert 3 == len(listed(open_storage()))

    def test_two_of_one_name_are_kept_apart(self, stored, open_storage, path):
        for _ in range(2):
            (path / "messages" / "00" / "notes.txt").write_text("mine")
            storage = open_storage()
        storage.stop()

        assert ["notes.txt", "notes.txt.1"] == corrupt(path)


class TestLeftOver:
    def test_case_076_a_log_without_its_message_is_moved_aside(self, storage, open_storage, path, clock):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.settle(claim, Settlement(deferred={0: LATER}, due_at=clock.now()))
        storage.stop()
        next(path.glob("messages/*/*.msg")).unlink()

        assert [] == listed(open_storage())

        assert [f"{claim.queue_id}.log"] == corrupt(path)

    def test_case_076_an_empty_log_without_its_message_is_removed(self, stored, open_storage, path):
        _, file = stored[0]
        file.unlink()

        open_storage()

        assert [] == corrupt(path)
        assert not log_of(file).exists()

    def test_a_message_without_its_log_is_new(self, stored, open_storage):
        """As an operator puts one back."""
        _, file = stored[0]
        log_of(file).unlink()

        storage = open_storage()

        assert 3 == len(listed(storage))
        for claim in storage.claim("main", 9):
            storage.settle(claim, Settlement(closed={0: DELIVERED}))

    def test_a_message_may_be_put_back_into_any_folder(self, stored, open_storage, path, clock):
        queue_id, file = stored[0]
        for one in (file, log_of(file)):
            one.rename(path / "messages" / "2a" / one.name)

        storage = open_storage()

        assert 3 == len(listed(storage))
        (claim,) = (one for one in storage.claim("main", 9) if one.queue_id == queue_id)
        storage.settle(claim, Settlement(closed={0: DELIVERED}))

    def test_a_notice_that_no_log_names_is_taken_back(self, storage, open_storage, path, clock):
        """It was being stored when the process died."""
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        notice = new(clock, envelope=make_envelope(clock, "alice@example.org", sender=""))
        storage.settle(claim, Settlement(due_at=clock.now(), notices=[notice]))
        assert 2 == len(listed(storage))
        (log,) = path.glob(f"messages/*/{claim.queue_id}.log")
        log.write_bytes(b"")
        storage.stop()

        (left,) = listed(open_storage())

        assert claim.queue_id == left.queue_id

    def test_a_crashs_tail_is_overwritten(self, storage, open_storage, path, clock):
        storage.write([new(clock, claim=True)], queue="main")
        (log,) = path.glob("messages/*/*.log")
        storage.stop()
        log.write_bytes(b'4f00 {"half a line, and longer than any that comes: ' + b"x" * 2000)

        storage = open_storage()
        (again,) = storage.claim("main", 1)
        storage.settle(again, Settlement(deferred={0: LATER}, due_at=clock.now()))

        (entry,) = listed(open_storage())
        assert (2, [("bob@example.test", LATER)]) == (entry.attempts, list(entry.recipients))

    def test_case_076_what_is_in_tmp_is_swept_once_it_is_36_hours_old(self, storage, open_storage, path, clock):
        """Case 76."""
        storage.stop()
        old, young = path / "tmp" / "old.msg", path / "tmp" / "young.msg"
        for file, hours in ((old, 37), (young, 35)):
            file.write_bytes(b"half")
            os.utime(file, (clock.now() - hours * 3600, clock.now() - hours * 3600))

        open_storage()._engine.upkeep.tick()

        assert [young] == list((path / "tmp").iterdir())


class TestNoticeIds:
    def test_they_begin_as_their_originals(self, storage, clock):
        first, second = claims(storage.write([new(clock, claim=True), new(clock, claim=True)], queue="main"))
        notice = new(clock, envelope=make_envelope(clock, "alice@example.org", sender=""))

        ids = [
            *storage.settle(second, Settlement(closed={0: BOUNCED}, notices=[notice, notice])),
            *storage.settle(first, Settlement(closed={0: BOUNCED}, notices=[notice])),
        ]

        assert {first.queue_id[:-BRANCH_CHARS]} == {queue_id[:-BRANCH_CHARS] for queue_id in ids}
        assert ["002", "003", "004"] == [queue_id[-BRANCH_CHARS:] for queue_id in ids]

    def test_a_notice_about_a_notice_has_a_number_of_its_own(self, storage, clock, open_storage):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        notice = new(clock, envelope=make_envelope(clock, "alice@example.org", sender=""))
        storage.settle(claim, Settlement(closed={0: BOUNCED}, notices=[notice]))
        (of_notice,) = storage.claim("main", 1)

        (queue_id,) = storage.settle(of_notice, Settlement(closed={0: BOUNCED}, notices=[notice]))

        assert queue_id[:-BRANCH_CHARS] != claim.queue_id[:-BRANCH_CHARS]
        (entry,) = listed(open_storage())
        assert queue_id == entry.queue_id


class TestLargeQueue:
    def test_case_074_new_mail_is_taken_and_the_first_is_claimed_while_it_is_read(
        self, storage, context, clock, open_storage
    ):
        """Case 74."""
        for _ in range(50):
            storage.write([new(clock)], queue="main")
        storage.stop()
        again = DiskStorage(DiskConfig(), context)
        again.start()
        (given,) = again.write([new(clock, claim=True)], queue="main")
        claimed = again.claim("main", 10)
        listing = list(again.entries(Query(states=[State.ACTIVE])))
        again.stop()

        assert isinstance(given, Claim)
        assert 10 == len(claimed)
        assert 11 == len(listing)
        assert QueueId(given.queue_id) not in [claim.queue_id for claim in claimed]
