"""Upkeep: the log stays short, what nothing uses goes, and damage is found before mail meets it."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time

import gevent
import pytest
from gevent.event import Event

from mdacore import FileBody, StorageError
from mdacore.runtime import GroupCommit
from mdacore.testing import ManualClock
from mdacore_storage_shelve import events, schema, sql
from mdacore_storage_shelve.batch import KEY_LIFETIME_S, KEYS_FORGOTTEN_AT_ONCE
from mdacore_storage_shelve.bodies import ORPHAN_AGE_S, BodyFiles
from mdacore_storage_shelve.jobs import BodyRow, MessageRow, ReserveIds, Write
from mdacore_storage_shelve.reader import Reader
from mdacore_storage_shelve.store import Store
from mdacore_storage_shelve.upkeep import CHECKPOINT_PAGES, IDLE_TICKS, SWEEP_S, Upkeep


class SleeplessClock(ManualClock):
    """Nobody who sleeps by it ever wakes: the test makes every tick."""

    def sleep(self, delay_s):
        Event().wait()


@pytest.fixture
def clock():
    return SleeplessClock(time.time())


@pytest.fixture
def store(path):
    """In its second run: numbers have been given before."""
    first = Store.open(path)
    first.committer([ReserveIds(count=100)])
    first.close()
    store = Store.open(path)
    yield store
    store.close()


@pytest.fixture
def group(store):
    group = GroupCommit(store.committer)
    yield group
    group.stop()


@pytest.fixture
def upkeep(store, group, clock, log):
    upkeep = Upkeep(store, group, log_max_pages=100, clock=clock, log=log)
    yield upkeep
    upkeep.stop()


@pytest.fixture
def write(store, group):
    """Writes one message with a body of this size; gives its number."""
    numbers = iter(range(store.first_number, store.first_number + 10_000))

    def write_(size_bytes=1, key="", now=0.0, body_is_file=False):
        number = next(numbers)
        row = MessageRow(number, "main", "local/", 1.0, schema.FREE, "", 0, number, body_is_file, size_bytes, b"")
        bodies = [] if body_is_file else [BodyRow(number, 0, b"x" * size_bytes)]
        group.submit(Write(queue="main", key=key, now=now, messages=[row], bodies=bodies, claims={}))
        return number

    return write_


def log_pages(store):
    return schema.wal_of(store.folder.database).stat().st_size // schema.PAGE_SIZE_BYTES


class TestLog:
    def test_a_short_one_is_left_alone(self, upkeep, write, store):
        write()
        before = store.folder.database.read_bytes()

        upkeep.tick()

        assert before == store.folder.database.read_bytes()

    def test_a_long_one_is_copied_and_starts_again_from_its_beginning(self, upkeep, write, store):
        write(CHECKPOINT_PAGES * schema.PAGE_SIZE_BYTES)
        before = log_pages(store)
        upkeep.tick()
        assert store.folder.database.stat().st_size > CHECKPOINT_PAGES * schema.PAGE_SIZE_BYTES

        write(CHECKPOINT_PAGES * schema.PAGE_SIZE_BYTES // 2)

        assert before == log_pages(store)

    @pytest.mark.parametrize(("log_max_pages", "turns"), [(100, 1), (10**6, 0)])
    def test_only_one_longer_than_its_limit_is_turned_back(self, store, group, write, clock, log, log_max_pages, turns):
        """Between two commits: with others arriving all the time it would else grow for ever."""

        class Recording:
            def __init__(self, connection):
                self.connection = connection
                self.statements = []

            def execute(self, statement):
                self.statements.append(statement)
                return self.connection.execute(statement)

        upkeep = Upkeep(store, group, log_max_pages=log_max_pages, clock=clock, log=log)
        recording, checkpoints = Recording(store.checkpoints), store.checkpoints
        object.__setattr__(store, "checkpoints", recording)
        write(CHECKPOINT_PAGES * schema.PAGE_SIZE_BYTES)

        upkeep.tick()

        assert [sql.CHECKPOINT, *[sql.RESTART_LOG] * turns] == recording.statements
        object.__setattr__(store, "checkpoints", checkpoints)
        upkeep.stop()

    def test_an_idle_one_is_emptied_once(self, upkeep, write, store):
        write()
        for _ in range(IDLE_TICKS):
            upkeep.tick()
            assert log_pages(store) > 0
        upkeep.tick()

        assert 0 == log_pages(store)

    def test_while_somebody_reads_it_is_left_for_later(self, upkeep, write, store):
        write(CHECKPOINT_PAGES * schema.PAGE_SIZE_BYTES)
        reading = sqlite3.connect(store.folder.database, isolation_level=None)
        with contextlib.closing(reading):
            reading.execute("BEGIN")
            reading.execute("SELECT * FROM message").fetchone()
            write(CHECKPOINT_PAGES * schema.PAGE_SIZE_BYTES)

            upkeep.tick()

            assert "" == store.committer.broken
        write(CHECKPOINT_PAGES * schema.PAGE_SIZE_BYTES)
        upkeep.tick()
        assert "" == store.committer.broken

    def test_a_checkpoint_whose_sync_fails_breaks_the_storage(self, upkeep, write, store, log, monkeypatch):
        class Failing:
            def execute(self, _):
                failure = sqlite3.OperationalError("disk I/O error")
                failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
                raise failure

        write(CHECKPOINT_PAGES * schema.PAGE_SIZE_BYTES)
        checkpoints = store.checkpoints
        object.__setattr__(store, "checkpoints", Failing())

        upkeep.tick()
        upkeep.tick()

        object.__setattr__(store, "checkpoints", checkpoints)
        assert [{"reason": "the database failed: disk I/O error"}] == log.of(events.STORAGE_FAILED)
        with pytest.raises(StorageError):
            write()


class TestBodies:
    @pytest.fixture
    def bodies(self, store):
        return BodyFiles(store.folder.bodies)

    @pytest.fixture
    def source(self, tmp_path):
        path = tmp_path / "spooled"
        path.write_bytes(b"x")
        return FileBody(path, 1)

    def test_one_that_lost_its_last_user_is_removed(self, upkeep, bodies, source, store, write):
        used = write(body_is_file=True)
        bodies.adopt({used: source, used + 1: source})
        store.ledger.unused_bodies.extend([used, used + 1])

        upkeep.tick()

        assert [bodies.path(used)] == list(store.folder.bodies.iterdir())

    def test_case_076_orphans_of_earlier_runs_are_swept_at_once_and_others_when_they_are_old(
        self, upkeep, bodies, source, store, log, clock
    ):
        """Case 76."""
        earlier, current = store.first_number - 1, store.first_number + 5
        bodies.adopt({earlier: source, current: source})

        upkeep.tick()
        assert [bodies.path(current)] == list(store.folder.bodies.iterdir())

        clock.advance(ORPHAN_AGE_S + 60)
        upkeep.tick()
        assert [] == list(store.folder.bodies.iterdir())
        assert 1 == log.of(events.STORAGE_BODIES_SWEPT)[-1]["count"]

    def test_a_sweep_takes_nothing_that_a_row_names(self, upkeep, bodies, source, write, store, clock):
        number = write(body_is_file=True)
        bodies.adopt({number: source})

        clock.advance(ORPHAN_AGE_S + 60)
        upkeep.tick()

        assert bodies.path(number).exists()

    def test_a_folder_that_is_gone_is_a_warning(self, upkeep, store, log):
        store.folder.bodies.rmdir()

        upkeep.tick()

        assert 1 == len(log.of(events.STORAGE_UPKEEP_FAILED))
        assert "" == store.committer.broken


class TestKeys:
    def test_they_are_forgotten_after_two_days(self, upkeep, write, store, clock):
        first = write(key="k", now=clock.now())
        upkeep.tick()
        assert first + 1 == write(key="other", now=clock.now())

        clock.advance(KEY_LIFETIME_S + 1)
        upkeep.tick()

        reader = sqlite3.connect(store.folder.database)
        with contextlib.closing(reader):
            assert [] == reader.execute("SELECT * FROM key").fetchall()

    def test_more_than_one_page_of_them_too(self, upkeep, store, clock):
        with contextlib.closing(sqlite3.connect(store.folder.database)) as writer:
            many = [("main", str(n), 0.0, "[]") for n in range(2 * KEYS_FORGOTTEN_AT_ONCE + 1)]
            writer.executemany("INSERT INTO key VALUES (?, ?, ?, ?)", many)
            writer.commit()

            clock.advance(SWEEP_S)
            upkeep.tick()

            assert (0,) == writer.execute("SELECT count(*) FROM key").fetchone()


class TestCheck:
    """The whole file is read beside the work; damage breaks the storage before mail is lost in it."""

    @pytest.fixture
    def filled(self, path):
        store = Store.open(path)
        rows = [
            MessageRow(n, "main", "local/", 1.0, schema.FREE, "", 0, n, False, 4000, b"x" * 2000) for n in range(1, 200)
        ]
        bodies = [BodyRow(n, 0, b"x" * 4000) for n in range(1, 200)]
        store.committer([Write(queue="main", key="", now=0.0, messages=rows, bodies=bodies, claims={})])
        store.close()
        return store.folder.database

    def run(self, path, clock, log):
        store = Store.open(path)
        group = GroupCommit(store.committer)
        upkeep = Upkeep(store, group, log_max_pages=100, clock=clock, log=log)
        gevent.joinall(upkeep._greenlets[1:], timeout=60)
        upkeep.tick()
        upkeep.stop()
        group.stop()
        store.close()
        return store.committer.broken

    def test_a_sound_file_is_sound(self, path, filled, clock, log):
        assert "" == self.run(path, clock, log)

    def test_case_068_a_damaged_page_is_found(self, path, filled, clock, log):
        octets = bytearray(filled.read_bytes())
        middle = len(octets) // schema.PAGE_SIZE_BYTES // 2 * schema.PAGE_SIZE_BYTES
        octets[middle : middle + 64] = b"\xa5" * 64
        filled.write_bytes(octets)

        broken = self.run(path, clock, log)

        assert "damaged" in broken
        assert [{"reason": broken}] == log.of(events.STORAGE_FAILED)

    def test_stopping_does_not_wait_for_it(self, path, filled, clock, log, monkeypatch):
        class EndlessReader(Reader):
            interrupted = threading.Event()

            def check(self):
                assert self.interrupted.wait(60)
                return ""

            def interrupt(self):
                self.interrupted.set()

        monkeypatch.setattr(Store, "reader", lambda store: EndlessReader(store.folder, store.store_id))
        store = Store.open(path)
        group = GroupCommit(store.committer)
        upkeep = Upkeep(store, group, log_max_pages=100, clock=clock, log=log)
        gevent.idle()

        upkeep.stop()

        assert EndlessReader.interrupted.is_set()
        assert ("", []) == (store.committer.broken, log.of(events.STORAGE_UPKEEP_FAILED))
        group.stop()
        store.close()
