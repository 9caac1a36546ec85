"""What disk promises beyond the contract: files for a shell, refusals, keys, large bodies, reading beside the owner."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import gevent
import pytest

from mdacore import Change, Content, FileBody, MemoryBody, Query, Settlement, State, Status, StorageError
from mdacore.testing.storage_samples import BODY, BOUNCED, DELIVERED, LATER, claims, id_of, listed, make_envelope, new
from mdacore_storage_disk import DiskConfig, DiskStorage, events
from mdacore_storage_disk.keys import KEY_LIFETIME_S
from mdacore_storage_disk.reading import IN_MEMORY_BYTES, BodyInFile


def message_files(path):
    return sorted(path.glob("messages/*/*.msg"))


def log_files(path):
    return sorted(path.glob("messages/*/*.log"))


def tick(storage):
    storage._engine.upkeep.tick()


class TestStart:
    def test_it_says_what_it_opened_and_what_it_found(self, storage, open_storage, log, path, clock):
        storage.write([new(clock, claim=True), new(clock)], queue="main")

        storage = open_storage()

        assert (str(path), storage.durability) == tuple(log.of(events.STORAGE_OPENED)[-1].values())
        assert {"messages": 2, "crashed_claims": 1, "set_aside": 0} == log.of(events.STORAGE_LOADED)[-1]

    def test_case_070_a_second_owner_is_refused_with_the_pid(self, storage, context):
        """Case 70."""
        second = DiskStorage(DiskConfig(), context)

        with pytest.raises(StorageError, match=f"in use by process {os.getpid()}"):
            second.start()

        second.stop()
        assert storage.refusal(0) is None

    def test_case_070_a_lock_of_the_dead_is_taken_over(self, storage, open_storage, path):
        storage.stop()
        (path / "lock").write_text("1\n")

        assert Status.OK is open_storage().health().status

    def test_what_is_in_the_folder_is_the_owners_alone(self, storage, path, clock):
        storage.write([new(clock)], queue="main")

        assert {0o700} == {p.stat().st_mode & 0o777 for p in (path, *path.rglob("*")) if p.is_dir()}
        assert {0o600} == {p.stat().st_mode & 0o777 for p in path.rglob("*") if p.is_file()}


class TestFiles:
    """What an operator sees."""

    def test_one_write_is_one_file_with_the_body_once(self, storage, path, clock):
        content = Content(MemoryBody(BODY * 50))
        storage.write([new(clock, envelope=make_envelope(clock, content=content)) for _ in range(5)], queue="main")

        (file,) = message_files(path)
        assert 1 == file.read_bytes().count(BODY * 50)

    def test_the_readmes_shell_commands_find_and_copy_a_message(self, storage, path, clock):
        (queue_id,) = map(id_of, storage.write([new(clock)], queue="main"))
        storage.write([new(clock, envelope=make_envelope(clock, "eve@example.net"))], queue="main")

        found = self.shell(path, """grep -l '"address":"bob@example.test"' */*.msg""")
        body = self.shell(path, f"sed '1,/^$/d' */{queue_id}.msg")

        assert [queue_id] == [Path(line).stem for line in found.decode().split()]
        assert BODY == body

    def test_the_log_says_what_happened(self, storage, path, clock):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.settle(claim, Settlement(deferred={0: LATER}, due_at=clock.now()))

        line = self.shell(path, f"cut -c10- */{claim.queue_id}.log").decode()

        assert '"did":"settled"' in line
        assert LATER.text in line

    def test_the_files_of_a_message_that_is_over_go_soon(self, storage, path, clock):
        first, second = claims(storage.write([new(clock, claim=True), new(clock, claim=True)], queue="main"))
        storage.settle(first, Settlement(closed={0: DELIVERED}))
        tick(storage)
        assert 1 == len(message_files(path))

        storage.settle(second, Settlement(closed={0: DELIVERED}))
        tick(storage)

        assert [] == message_files(path) + log_files(path)

    def test_a_reply_that_is_the_same_again_is_not_written_again(self, storage, path, clock):
        """A log grows with what happens, not with recipients times attempts."""
        storage.write(
            [new(clock, envelope=make_envelope(clock, *(f"{n}@example.test" for n in range(100))))], queue="m"
        )
        sizes = []
        for _ in range(3):
            (claim,) = storage.claim("m", 1)
            storage.settle(claim, Settlement(deferred=dict.fromkeys(range(100), LATER), due_at=clock.now()))
            sizes.append(log_files(path)[0].stat().st_size)

        assert sizes[2] - sizes[1] < sizes[0] / 5
        assert 100 == [reply for _, reply in listed(storage)[0].recipients].count(LATER)

    def shell(self, path, command):
        return subprocess.run(command, shell=True, cwd=path / "messages", capture_output=True, check=True).stdout  # noqa: S602


class TestLargeBodies:
    @pytest.fixture
    def spooled(self, tmp_path):
        path = tmp_path / "spooled"
        path.write_bytes(b"Subject: large\r\n\r\n" + b"0123456789" * 100_000)
        return FileBody(path, path.stat().st_size)

    @pytest.fixture
    def claim(self, storage, clock, spooled):
        envelope = make_envelope(clock, content=Content(spooled))
        return claims(storage.write([new(clock, envelope=envelope, claim=True)], queue="main"))[0]

    def test_it_is_read_from_the_message_file_piece_by_piece(self, storage, claim, spooled):
        body = storage.read(claim).envelope.content.body

        assert isinstance(body, BodyInFile)
        assert spooled.path.read_bytes() == b"".join(body.chunks())
        assert {1000} == {len(piece) for piece in list(body.chunks(1000))[:-1]}

    def test_a_damaged_one_is_found_before_anybody_sees_it(self, storage, claim, path):
        (file,) = message_files(path)
        octets = bytearray(file.read_bytes())
        octets[-500_000] ^= 1
        file.write_bytes(octets)

        with pytest.raises(StorageError, match="its body is damaged"):
            storage.read(claim)

    def test_a_file_that_is_not_as_long_as_it_says_is_refused(self, storage, clock, spooled, path):
        envelope = make_envelope(clock, content=Content(FileBody(spooled.path, spooled.size_bytes - 1)))

        with pytest.raises(StorageError, match="cannot be written"):
            storage.write([new(clock, envelope=envelope)], queue="main")

        assert [] == message_files(path) + list((path / "tmp").iterdir())

    def test_a_small_one_is_read_at_once(self, storage, clock):
        envelope = make_envelope(clock, content=Content(MemoryBody(b"x" * IN_MEMORY_BYTES)))
        (claim,) = claims(storage.write([new(clock, envelope=envelope, claim=True)], queue="main"))

        assert isinstance(storage.read(claim).envelope.content.body, MemoryBody)


class TestKeys:
    def test_one_is_remembered_when_its_message_is_gone(self, storage, open_storage, clock, path):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main", key="k"))
        storage.settle(claim, Settlement(closed={0: DELIVERED}))
        tick(storage)
        assert ([], 1) == (message_files(path), len(log_files(path)))

        for _ in range(2):
            assert [claim.queue_id] == list(storage.write([new(clock)], queue="main", key="k"))
            storage = open_storage()

        assert [] == listed(storage)

    def test_one_is_forgotten_after_48_hours(self, storage, open_storage, clock, path):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main", key="k"))
        storage.settle(claim, Settlement(closed={0: DELIVERED}))
        tick(storage)
        clock.advance(KEY_LIFETIME_S + 1)

        (again,) = storage.write([new(clock)], queue="main", key="k")

        assert claim.queue_id != again
        tick(storage)
        assert [f"{again}.log"] == [log.name for log in log_files(path)]
        assert 1 == len(listed(open_storage()))

    def test_one_of_another_queue_is_another(self, storage, clock):
        first = storage.write([new(clock)], queue="main", key="k")

        assert list(first) != list(storage.write([new(clock)], queue="second", key="k"))

    def test_of_many_with_one_at_once_one_stores(self, storage, clock):
        writers = [gevent.spawn(storage.write, [new(clock)], queue="main", key="k") for _ in range(20)]
        gevent.joinall(writers, raise_error=True)

        assert 1 == len({id_of(writer.value[0]) for writer in writers})
        assert 1 == len(listed(storage))

    def test_one_of_a_discarded_message_is_remembered(self, storage, open_storage, clock):
        (queue_id,) = map(id_of, storage.write([new(clock)], queue="main", key="k"))
        storage.amend(Query(), Change.DISCARD)

        assert [queue_id] == list(open_storage().write([new(clock)], queue="main", key="k"))


class TestReadingBeside:
    @pytest.fixture
    def reader(self, context):
        reader = DiskStorage(DiskConfig(), context)
        yield reader
        reader.stop()

    def test_it_sees_what_the_owner_has(self, storage, reader, clock):
        envelope = make_envelope(clock, "a@example.test", "b@example.test")
        claim, plain, _ = storage.write(
            [new(clock, envelope=envelope, claim=True), new(clock), new(clock, held="why")], queue="main"
        )
        storage.settle(claim, Settlement(closed={0: DELIVERED}, deferred={1: LATER}, due_at=clock.now()))
        storage.claim("main", 1)

        reader.start_reading()

        assert listed(storage) == listed(reader)
        assert {State.ACTIVE, State.DUE, State.HELD} == {entry.state for entry in listed(reader)}
        assert [plain] == [entry.queue_id for entry in reader.entries(Query(queue_ids=[plain], states=list(State)))]
        assert storage.peek(claim.queue_id) == reader.peek(claim.queue_id)
        assert 1 == len(list(reader.entries(Query(limit=1))))

    def test_it_leaves_out_what_is_over_and_shows_what_is_damaged(self, storage, reader, clock, path):
        first, second = claims([storage.write([new(clock, claim=True)], queue="main")[0] for _ in range(2)])
        storage.settle(first, Settlement(closed={0: DELIVERED}))
        next(path.glob(f"messages/*/{second.queue_id}.msg")).write_bytes(b"")

        reader.start_reading()

        (entry,) = listed(reader)
        assert (second.queue_id, State.HELD) == (entry.queue_id, entry.state)
        assert reader.peek(first.queue_id) is None
        with pytest.raises(StorageError):
            reader.peek(second.queue_id)

    def test_it_changes_nothing(self, storage, reader, clock, path):
        storage.write([new(clock)], queue="main")
        storage.stop()
        before = {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in path.rglob("*")}

        reader.start_reading()
        listed(reader)
        reader.stop()

        assert before == {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in path.rglob("*")}

    def test_without_a_store_it_says_so(self, reader, path):
        with pytest.raises(StorageError, match="there is no store"):
            reader.start_reading()

        assert not path.exists()


class TestRefusal:
    def test_below_the_low_water_mark_new_mail_is_refused_and_deliveries_go_on(self, open_storage, clock):
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

    def test_what_is_on_its_way_is_stored_or_refused(self, storage, clock, open_storage):
        writers = [gevent.spawn(storage.write, [new(clock)], queue="main") for _ in range(100)]
        gevent.idle()

        storage.stop()
        gevent.joinall(writers, timeout=60)

        assert all(writer.value or isinstance(writer.exception, StorageError) for writer in writers)
        stored = {writer.value[0] for writer in writers if writer.value}
        assert stored == {entry.queue_id for entry in listed(open_storage())}


class TestRelease:
    def test_what_is_given_back_as_before_is_logged_as_it_always_was(self, storage, clock, path):
        """An earlier version reads it."""
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))

        storage.release(claim)

        (line,) = log_files(path)[0].read_text().splitlines()
        assert {"at": clock.now(), "id": claim.queue_id, "did": "released"} == json.loads(line[9:])

    def test_the_log_says_until_when_it_was_given_back(self, storage, clock, path):
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))

        storage.release(claim, due_at=clock.now() + 60)

        (line,) = log_files(path)[0].read_text().splitlines()
        assert clock.now() + 60 == json.loads(line[9:])["due_at"]

    @pytest.mark.parametrize("due_at", [float("nan"), float("inf")])
    def test_a_time_that_is_none_changes_nothing(self, storage, clock, due_at):
        """Else the message would never be due again."""
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))

        with pytest.raises(StorageError):
            storage.release(claim, due_at=due_at)

        assert [claim] == list(storage.renew([claim]))


class TestInterruption:
    def test_claims_that_nobody_waits_for_are_given_back(self, storage, clock):
        storage.write([new(clock) for _ in range(5)], queue="main")
        claimer = gevent.spawn(storage.claim, "main", 9)
        gevent.idle()
        claimer.kill()

        with gevent.Timeout(60):
            while len(again := storage.claim("main", 9)) < 5:
                for claim in again:
                    storage.release(claim)
                gevent.sleep(0)
        assert {(1, 0)} == {(claim.attempt, claim.unsettled) for claim in again}


class TestConcurrency:
    def test_parts_of_one_file_are_settled_at_the_same_time(self, storage, open_storage, clock):
        """Their lines go to one log, one after the other; notices of both get ids of their own."""
        notice = new(clock, envelope=make_envelope(clock, "alice@example.org", sender=""))
        given = claims(storage.write([new(clock, claim=True) for _ in range(30)], queue="main"))
        settlement = Settlement(closed={0: BOUNCED}, notices=[notice], notice_queue="notices")

        hands = [gevent.spawn(storage.settle, claim, settlement) for claim in given]
        gevent.joinall(hands, raise_error=True)

        ids = {queue_id for hand in hands for queue_id in hand.value or ()}
        assert 30 == len(ids)
        assert ids == {entry.queue_id for entry in listed(open_storage())}
