"""Cases 64 and 65: what a full or a failing disk does to one call, and to those after it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import attrs
import pytest

from mdacore import Change, OutcomeUnknown, Query, Settlement, State, Status, StorageError, StorageFull
from mdacore.testing import CapturedLog, ManualClock, make_context
from mdacore.testing.storage_samples import BOUNCED, DELIVERED, claims, listed, make_envelope, new
from mdacore_storage_disk import DiskConfig, DiskStorage, events
from mdacore_storage_disk.testing import VolatileFs


@attrs.define
class Disk:
    """A storage on a file system whose calls fail as a test says."""

    fs: VolatileFs = attrs.field(factory=VolatileFs)
    clock: ManualClock = attrs.field(factory=ManualClock)
    log: CapturedLog = attrs.field(factory=CapturedLog)
    storage: DiskStorage = attrs.field(init=False)

    def open(self):
        context = make_context("storages.spool", clock=self.clock, log=self.log)
        self.storage = DiskStorage(DiskConfig(path=Path("/spool"), min_free_bytes=0), context, self.fs)
        self.storage.start()
        return self.storage

    def fail(self, call, ending, code):
        def before(made, path):
            if made == call and str(path).endswith(ending):
                raise OSError(code, os.strerror(code))

        self.fs.before = before

    def heal(self):
        self.fs.before = lambda _call, _path: None

    def files(self):
        shards = Path("/spool/messages")
        found = [name for shard in self.fs.names(shards) for name in self.fs.names(shards / shard)]
        return sorted(found), self.fs.names(Path("/spool/tmp"))


@pytest.fixture
def disk():
    disk = Disk()
    disk.open()
    yield disk
    disk.heal()
    disk.storage.stop()


NO_ROOM = [errno.ENOSPC]
OTHERS = [errno.EIO, errno.EDQUOT, errno.EROFS, errno.EMFILE]


class TestWrite:
    @pytest.mark.parametrize("code", NO_ROOM)
    @pytest.mark.parametrize(
        ("call", "ending"),
        [("create", ".msg"), ("write", ".msg"), ("sync", ".msg"), ("create", ".log"), ("rename", ".msg")],
    )
    def test_case_064_without_room_it_is_refused_leaves_nothing_and_works_again_later(self, disk, call, ending, code):
        disk.fail(call, ending, code)
        with pytest.raises(StorageFull):
            disk.storage.write([new(disk.clock)], queue="main")
        disk.heal()

        assert ([], []) == disk.files()
        disk.storage.write([new(disk.clock)], queue="main")
        assert 1 == len(listed(disk.storage))

    @pytest.mark.parametrize("code", OTHERS)
    @pytest.mark.parametrize(
        ("call", "ending"), [("create", ".msg"), ("write", ".msg"), ("create", ".log"), ("rename", ".msg")]
    )
    def test_case_064_any_other_failure_is_a_local_error_and_leaves_nothing(self, disk, call, ending, code):
        disk.fail(call, ending, code)
        with pytest.raises(StorageError) as raised:
            disk.storage.write([new(disk.clock)], queue="main")
        disk.heal()

        assert "451 4.3.0" == str(raised.value.reply)[:9]
        assert ([], []) == disk.files()
        assert Status.OK is disk.storage.health().status

    def test_case_065_after_a_failed_sync_of_a_file_nothing_more_is_accepted(self, disk):
        """The sync is not tried again, the file is removed."""
        disk.fail("sync", ".msg", errno.EIO)
        with pytest.raises(StorageError):
            disk.storage.write([new(disk.clock)], queue="main")
        disk.heal()
        syncs = len(disk.fs.syncs)

        with pytest.raises(StorageError, match="could not be synced"):
            disk.storage.write([new(disk.clock)], queue="main")

        assert syncs == len(disk.fs.syncs)
        assert ([], []) == disk.files()
        assert "451 4.3.0" == str(disk.storage.refusal(0))[:9]
        assert Status.FAILED is disk.storage.health().status

    @pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
    def test_case_065_after_a_failed_sync_of_the_folder_the_outcome_is_unknown(self, disk, code):
        disk.fail("sync_folder", "messages/00", code)

        with pytest.raises(OutcomeUnknown):
            disk.storage.write([new(disk.clock)], queue="main")

        assert Status.FAILED is disk.storage.health().status
        disk.storage._engine.upkeep.tick()
        assert "could not be synced" in disk.log.one(events.STORAGE_FAILED)["reason"]

    def test_a_message_that_cannot_be_said_is_refused(self, disk):
        with pytest.raises(StorageError):
            disk.storage.write([new(disk.clock, due_at=float("nan"))], queue="main")

        assert ([], []) == disk.files()


class TestSettle:
    @pytest.fixture
    def claim(self, disk):
        return claims(disk.storage.write([new(disk.clock, claim=True)], queue="main"))[0]

    @pytest.fixture
    def bounced(self, disk):
        notice = new(disk.clock, envelope=make_envelope(disk.clock, "alice@example.org", sender=""))
        return Settlement(closed={0: BOUNCED}, notices=[notice])

    @pytest.mark.parametrize(
        ("call", "ending"),
        [("create", "1.msg"), ("sync", "1.msg"), ("create", "1.log"), ("rename", "1.msg"), ("write", "0.log")],
    )
    def test_case_064_without_room_nothing_is_changed_and_it_works_again_later(
        self, disk, claim, bounced, call, ending
    ):
        """The notice is not there either: it would be there twice in the end."""
        before = disk.files()
        disk.fail(call, ending, errno.ENOSPC)
        with pytest.raises(StorageFull):
            disk.storage.settle(claim, bounced)
        disk.heal()

        assert before == disk.files()
        assert [State.ACTIVE] == [entry.state for entry in listed(disk.storage)]
        disk.storage.settle(claim, bounced)
        assert [""] == [entry.sender for entry in listed(disk.storage)]

    def test_half_a_line_that_was_written_is_no_line(self, disk, claim):
        """The disk was full in the middle of it."""
        write = disk.fs.write

        def half(fd, data, offset):
            write(fd, data[: len(data) // 2], offset)
            raise OSError(errno.ENOSPC, "No space left on device")

        disk.fs.write = half
        with pytest.raises(StorageFull):
            disk.storage.settle(claim, Settlement(closed={0: DELIVERED}))
        disk.fs.write = write
        disk.storage.release(claim)
        disk.storage.stop()

        (entry,) = listed(disk.open())
        assert (State.DUE, 0) == (entry.state, entry.attempts)

    def test_case_065_after_a_failed_sync_of_the_log_the_outcome_is_unknown(self, disk, claim, bounced):
        """The notice stays: the line that names it may be on the disk."""
        disk.fail("sync", "0.log", errno.EIO)
        with pytest.raises(OutcomeUnknown):
            disk.storage.settle(claim, bounced)
        disk.heal()

        assert 4 == len(disk.files()[0])
        with pytest.raises(StorageError):
            disk.storage.claim("main", 1)
        disk.storage.stop()
        assert [""] == [entry.sender for entry in listed(disk.open())]

    def test_a_notice_that_cannot_be_taken_back_stops_everything(self, disk, claim, bounced):
        """Else it would be sent as soon as its original is gone."""
        fail = disk.fs.before

        def before(call, path):
            if (call == "write" and path.name.endswith("0.log")) or (call == "unlink" and path.suffix == ".msg"):
                raise OSError(errno.ENOSPC, "No space left on device")
            fail(call, path)

        disk.fs.before = before
        with pytest.raises(StorageError):
            disk.storage.settle(claim, bounced)
        disk.heal()

        assert Status.FAILED is disk.storage.health().status
        disk.storage.stop()
        assert [claim.queue_id] == [entry.queue_id for entry in listed(disk.open())]


class TestOthers:
    def test_a_claim_that_cannot_be_counted_is_not_given(self, disk):
        (queue_id,) = disk.storage.write([new(disk.clock)], queue="main")
        disk.fail("write", ".log", errno.ENOSPC)
        with pytest.raises(StorageFull):
            disk.storage.claim("main", 1)
        disk.heal()

        (claim,) = disk.storage.claim("main", 1)
        assert (queue_id, 1, 0) == (claim.queue_id, claim.attempt, claim.unsettled)

    def test_an_amendment_that_cannot_be_written_is_not_made(self, disk):
        disk.storage.write([new(disk.clock)], queue="main")
        disk.fail("write", ".log", errno.ENOSPC)
        with pytest.raises(StorageFull):
            disk.storage.amend(Query(), Change.HOLD)
        disk.heal()

        assert [State.DUE] == [entry.state for entry in listed(disk.storage)]

    def test_files_that_cannot_be_removed_now_are_removed_later(self, disk):
        (claim,) = claims(disk.storage.write([new(disk.clock, claim=True)], queue="main"))
        disk.storage.settle(claim, Settlement(closed={0: DELIVERED}))
        disk.fail("unlink", ".msg", errno.EROFS)
        disk.storage._engine.upkeep.tick()
        disk.heal()
        assert 1 == len(disk.log.of(events.STORAGE_UPKEEP_FAILED))

        disk.storage._engine.upkeep.tick()

        assert ([], []) == disk.files()

    def test_numbers_that_cannot_be_reserved_refuse_mail_until_they_can(self, disk):
        disk.storage._engine._changes._intake._numbers._free = range(0)
        disk.fail("create", ".new", errno.ENOSPC)
        with pytest.raises(StorageError):
            disk.storage.write([new(disk.clock)], queue="main")
        disk.heal()

        disk.storage.write([new(disk.clock)], queue="main")

        assert 1 == len(listed(disk.storage))
