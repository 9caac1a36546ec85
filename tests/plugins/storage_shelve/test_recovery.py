"""`mdacore queue recover` for this storage: what is readable is saved, what is damaged is kept, nothing is made up."""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
import subprocess
import sys

import attrs
import pytest

from mdacore import (
    Change,
    Content,
    FileBody,
    MemoryBody,
    Query,
    RecoverableStorage,
    Settlement,
    State,
    StorageError,
)
from mdacore.testing.messages import content_of
from mdacore.testing.storage_samples import DELIVERED, LATER, listed, make_envelope, new
from mdacore_storage_shelve import ShelveConfig, ShelveStorage, open_shelf, schema
from mdacore_storage_shelve.folder import Folder
from mdacore_storage_shelve.recovery import KEYS_FORGOTTEN, MAYBE_REPEATED
from mdacore_storage_shelve.store import Store

PAGE = schema.PAGE_SIZE_BYTES
MESSAGES = 120
BOTH = ("bob@example.test", "carol@example.test")


def body_of(number):
    """Of all sizes: in a page, on several of them, and past what a page says of a row in its first byte."""
    return b"Subject: %d\r\n\r\n" % number + bytes([number % 251]) * (37 * number % 23_000)


def filled(open_storage, clock, count=MESSAGES):
    """A stopped store with messages; some were deferred for one of two recipients, some are gone again."""
    storage = open_storage()
    ids = []
    for start in range(0, count, 20):
        some = [
            new(clock, envelope=make_envelope(clock, *BOTH, content=content(number)), claim=True)
            for number in range(start, start + 20)
        ]
        claims = storage.write(some, queue="main")
        for claim in claims[::4]:
            storage.settle(claim, Settlement(closed={0: DELIVERED}, deferred={1: LATER}, due_at=clock.now() + 60))
        for claim in claims[1::4]:
            storage.settle(claim, Settlement(closed={0: DELIVERED, 1: DELIVERED}))
        ids += [claim.queue_id for number, claim in enumerate(claims) if number % 4 != 1]
    storage.stop()
    return ids


def content(number):
    return Content(MemoryBody(body_of(number)))


@pytest.fixture
def ids(open_storage, clock):
    return filled(open_storage, clock)


@pytest.fixture
def database(path):
    return Folder(path).database


@pytest.fixture
def recover(context):
    return lambda **options: ShelveStorage(ShelveConfig(), context).recover(**{"is_dry_run": False, **options})


def root_of(database, table):
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        ((root,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
    connection.close()
    return root


def pages_of(database, table, kind):
    """The pages of this table that are of this kind: 5 = inner, 13 = with rows."""
    octets = database.read_bytes()
    found, waiting = [], [root_of(database, table)]
    while waiting:
        number = waiting.pop()
        page = octets[(number - 1) * PAGE : number * PAGE]
        if page[0] == kind:
            found.append(number)
        if page[0] == 5:
            (count,) = struct.unpack_from(">H", page, 3)
            waiting += [struct.unpack_from(">I", page, at)[0] for at in struct.unpack_from(f">{count}H", page, 12)]
            waiting.append(struct.unpack_from(">I", page, 8)[0])
    return found


def spoil(database, *pages):
    with database.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(random.Random(page).randbytes(PAGE))


def everything(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "lock"}


def interrupted(folder):
    raise KeyboardInterrupt


class TestSound:
    def test_nothing_is_changed(self, ids, path, recover):
        before = everything(path)

        assert "" == recover().damage

        assert before == everything(path)

    def test_what_a_killed_owner_left_is_sound(self, context, path, recover, open_storage, clock):
        """Its log is not in the database yet."""
        ids = filled(open_storage, clock, 20)
        shutil.copytree(path, path.with_name("copy"))
        storage = open_storage()
        storage.write([new(clock)], queue="main")
        for name in ("queue.db", "queue.db-wal"):
            shutil.copy(path / name, path.with_name("copy") / name)
        storage.stop()
        shutil.rmtree(path)
        path.with_name("copy").rename(path)

        assert "" == recover().damage

        assert len(ids) + 1 == len(listed(open_storage()))


class TestDamage:
    def test_case_068_a_start_names_the_command(self, ids, database, open_storage):
        spoil(database, 1)

        with pytest.raises(StorageError, match="`mdacore queue recover` saves what can be read"):
            open_storage()

    @pytest.mark.parametrize("what", ["header", "schema", "inner page", "store", "index", "lanes"])
    def test_what_is_no_message_costs_no_message(self, ids, database, path, recover, open_storage, what):
        """All of it is found, whatever led to it."""
        pages = {
            "header": [1],
            "schema": [1],
            "inner page": pages_of(database, "message", 5),
            "store": [root_of(database, "store")],
            "index": [root_of(database, "message_free")],
            "lanes": [root_of(database, "lane")],
        }[what]
        assert pages
        spoil(database, *pages)
        damaged = database.read_bytes()

        found = recover()

        assert found.damage
        assert len(ids) == found.saved
        assert [] == [*found.set_aside]
        storage = open_storage()
        entries = {entry.queue_id: entry for entry in listed(storage)}
        assert set(ids) == set(entries)
        assert {1, 2} == {len(entry.recipients) for entry in entries.values()}
        assert damaged == (found.kept_at / "queue.db").read_bytes()

    def test_bodies_come_back_octet_for_octet(self, ids, database, path, recover, open_storage):
        spoil(database, 1, *pages_of(database, "body", 5))

        recover()

        expected = {body_of(number) for number in range(MESSAGES) if number % 4 != 1}
        with open_shelf(path) as shelf:
            assert expected == {content_of(envelope) for envelope in shelf.values()}

    def test_a_lost_page_of_messages_loses_no_other_and_says_which(self, ids, database, recover, open_storage):
        leaves = pages_of(database, "message", 13)
        assert len(leaves) > 2
        spoil(database, leaves[0])

        found = recover()

        left = {entry.queue_id for entry in listed(open_storage())}
        lost = {what for what, why in found.lost if "body" in why}
        assert 0 < len(left) == found.saved
        assert set(ids) == left | lost
        assert not left & lost

    def test_a_lost_body_holds_its_message(self, ids, database, recover, open_storage):
        leaves = pages_of(database, "body", 13)
        spoil(database, leaves[0], leaves[-1])

        found = recover()

        held = [entry for entry in listed(open_storage()) if entry.state is State.HELD]
        assert 0 < len(held) == len(found.set_aside)
        assert {what for what, _ in found.set_aside} == {entry.queue_id for entry in held}
        assert {"the body is missing or damaged"} == {entry.held for entry in held}
        assert len(ids) == found.saved + len(found.set_aside)

    def test_what_was_over_stays_over(self, ids, database, recover, open_storage, clock):
        """Nobody gets again what free pages still hold of the delivered."""
        storage = open_storage()
        clock.advance(3600)
        while claims := storage.claim("main", 50):
            for claim in claims:
                message = storage.read(claim)
                done = {one.number: DELIVERED for one in message.envelope.recipients}
                storage.settle(claim, Settlement(closed=done))
        (kept,) = storage.write([new(clock)], queue="main")
        storage.stop()
        spoil(database, root_of(database, "lane"), root_of(database, "message_other"))

        recover()

        assert [kept] == [entry.queue_id for entry in listed(open_storage())]

    def test_free_pages_are_not_searched(self, ids, database, recover, open_storage, clock):
        """The way to the messages is lost, so the whole file is searched; what was over stays over all the same."""
        storage = open_storage()
        clock.advance(3600)
        gone = storage.claim("main", 45)
        for claim in gone:
            storage.read(claim)
            storage.settle(claim, Settlement(closed={0: DELIVERED, 1: DELIVERED}))
        storage.stop()
        spoil(database, *pages_of(database, "message", 5))

        found = recover()

        assert {entry.queue_id for entry in listed(open_storage())} == set(ids) - {claim.queue_id for claim in gone}
        assert MAYBE_REPEATED not in found.notes

    def test_what_is_in_the_log_only_is_saved(self, context, ids, path, database, recover, open_storage, clock):
        """A crash, and the damage found after it: the newest pages are in the write-ahead log."""
        script = (
            "import os, sys; from pathlib import Path\n"
            "from mdacore.testing import ManualClock, make_context\n"
            "from mdacore.testing.storage_samples import new\n"
            "from mdacore_storage_shelve import ShelveConfig, ShelveStorage\n"
            "clock = ManualClock(float(sys.argv[2]))\n"
            "context = make_context('x', state_path=Path(sys.argv[1]), clock=clock)\n"
            "storage = ShelveStorage(ShelveConfig(), context); storage.start()\n"
            "print(*storage.write([new(clock) for _ in range(5)], queue='main'), flush=True); os._exit(9)\n"
        )
        command = [sys.executable, "-c", script, str(context.state_path), str(clock.now())]
        later = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        assert 5 == len(later)
        assert (path / "queue.db-wal").stat().st_size > 0
        spoil(database, root_of(database, "body"))

        found = recover()

        assert set(later) <= {entry.queue_id for entry in listed(open_storage())}
        assert (found.kept_at / "queue.db-wal").exists()
        assert KEYS_FORGOTTEN in found.notes

    def test_the_next_ids_are_new_even_where_the_counter_is_lost(self, ids, database, recover, open_storage, clock):
        spoil(database, 1, root_of(database, "store"))

        recover()

        (later,) = open_storage().write([new(clock)], queue="main")
        assert later > max(ids)
        assert later[:4] == ids[0][:4]

    def test_nor_are_they_those_of_all_that_came_and_went_since(self, database, recover, open_storage, clock):
        """An old message may wait while millions are delivered."""
        (waits,) = open_storage().write([new(clock)], queue="main")
        open_storage().stop()
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE store SET next_id = next_id + 1000000000")
        connection.close()
        (gone,) = open_storage().write([new(clock)], queue="main")
        open_storage().amend(Query(queue_ids=[gone]), Change.DISCARD)
        open_storage().stop()
        spoil(database, root_of(database, "store"))

        recover()

        storage = open_storage()
        assert storage.write([new(clock)], queue="main")[0] > gone
        assert waits in {entry.queue_id for entry in listed(storage)}

    @pytest.mark.parametrize("name", ["readme", "f" * 16])
    def test_what_lies_among_the_bodies_and_is_none_is_no_number(
        self, ids, database, path, recover, open_storage, clock, name
    ):
        spoil(database, 1, root_of(database, "store"))
        (path / "bodies" / name).write_bytes(b"")

        recover()

        assert open_storage().write([new(clock)], queue="main")[0] > max(ids)

    def test_without_a_header_the_operator_is_told_what_may_be_repeated(self, ids, database, recover):
        spoil(database, 1, root_of(database, "message"))

        assert MAYBE_REPEATED in recover().notes

    def test_a_damaged_or_missing_marker_is_made_anew(self, ids, path, recover, open_storage):
        for damage in (lambda marker: marker.write_text("?"), lambda marker: marker.unlink()):
            damage(path / "mdacore-store")
            with pytest.raises(StorageError, match="mdacore queue recover"):
                open_storage()

            assert len(ids) == recover().saved

            assert set(ids) == {entry.queue_id for entry in listed(open_storage())}
            open_storage().stop()

    def test_random_damage_never_makes_anything_up(self, ids, database, path, recover, open_storage):
        """What is there afterwards was there before, or is held; and it always ends."""
        sound = database.read_bytes()
        refused = []
        for seed in range(12):
            chance = random.Random(seed)
            octets = bytearray(sound)
            for _ in range(chance.choice((1, 8, 200))):
                at = chance.randrange(len(octets))
                piece = chance.randbytes(chance.choice((1, 4, 600)))
                octets[at : at + len(piece)] = piece
            database.write_bytes(octets[: len(sound)])

            try:
                found = recover()
            except StorageError as error:
                refused.append(str(error))
                continue
            if found.damage:
                with open_shelf(path) as shelf:
                    assert set(shelf) <= set(ids), seed
        assert len(refused) < 4, refused


class TestBodyFiles:
    def test_those_of_lost_messages_are_kept_and_those_of_others_stay(
        self, open_storage, clock, path, database, recover, tmp_path
    ):
        storage = open_storage()
        spooled = storage.spool_path / "large"
        spooled.write_bytes(b"Subject: large\r\n\r\n" + bytes(300_000))
        large = Content(FileBody(spooled, spooled.stat().st_size))
        (one,) = storage.write([new(clock, envelope=make_envelope(clock, content=large))], queue="main")
        storage.stop()
        (body,) = (path / "bodies").iterdir()
        (path / "bodies" / "ff").write_bytes(b"whose?")
        spoil(database, root_of(database, "lane"))

        found = recover()

        assert [one] == [entry.queue_id for entry in listed(open_storage())]
        assert body.exists()
        assert b"whose?" == (found.kept_at / "lost-bodies" / "ff").read_bytes()
        assert not (path / "bodies" / "ff").exists()
        assert any("as ff" in why for _, why in found.lost)

    def test_a_missing_one_holds_its_message(self, open_storage, clock, path, database, recover):
        storage = open_storage()
        spooled = storage.spool_path / "large"
        spooled.write_bytes(bytes(300_000))
        large = Content(FileBody(spooled, 300_000))
        (one,) = storage.write([new(clock, envelope=make_envelope(clock, content=large))], queue="main")
        storage.stop()
        next((path / "bodies").iterdir()).unlink()
        spoil(database, root_of(database, "lane"))

        assert [one] == [what for what, _ in recover().set_aside]


class TestRefusal:
    def test_beside_an_owner_nothing_is_done(self, storage, recover):
        with pytest.raises(StorageError, match="in use by process"):
            recover()

    def test_without_a_store_it_says_so_and_makes_nothing(self, path, recover):
        with pytest.raises(StorageError, match="nothing can be recovered"):
            recover()

        assert not path.exists()

    def test_a_later_versions_database_is_left_alone(self, ids, database, path, recover):
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        before = everything(path)

        with pytest.raises(StorageError, match="newer version"):
            recover()

        assert before == everything(path)

    def test_two_stores_mixed_are_no_damage(self, ids, path, recover):
        other = Store.open(path.with_name("other"))
        other.close()
        Folder(path).mark(other.store_id)

        with pytest.raises(StorageError, match="this is no damage"):
            recover()

    def test_where_nothing_is_readable_nothing_is_replaced(self, ids, database, path, recover):
        database.write_bytes(random.Random(1).randbytes(20 * PAGE))
        before = everything(path)

        with pytest.raises(StorageError, match="nothing can be read"):
            recover()

        assert before == everything(path)


class TestDryRun:
    def test_it_says_the_same_and_changes_nothing(self, ids, database, path, recover):
        leaves = pages_of(database, "message", 13)
        spoil(database, leaves[0], pages_of(database, "body", 13)[3])
        before = everything(path)

        dry = recover(is_dry_run=True)

        assert before == everything(path)
        assert None is dry.kept_at
        assert dry == attrs.evolve(recover(), kept_at=None)


class TestCutOff:
    @pytest.mark.parametrize("moved", [0, 1, 2])
    def test_a_replacement_is_finished_by_the_next_start(self, ids, database, path, recover, open_storage, moved):
        """The process dies between the moves of the old files; from the commit on the new database counts."""
        spoil(database, root_of(database, "lane"))
        damaged = database.read_bytes()
        recover()
        sound = database.rename(path / "queue.db.new")
        for name in ("queue.db", "queue.db-wal")[moved:]:
            (path / name).write_bytes(damaged if name == "queue.db" else b"log")

        storage = open_storage()

        assert set(ids) == {entry.queue_id for entry in listed(storage)}
        assert not sound.exists()
        assert damaged in [p.read_bytes() for p in path.glob("damaged-*/queue.db")]

    def test_bodies_of_lost_messages_are_kept_by_the_next_start(
        self, ids, database, path, recover, open_storage, monkeypatch
    ):
        """Which removes from the bodies whatever its database does not name."""
        (path / "bodies" / "ff").write_bytes(b"whose?")
        spoil(database, root_of(database, "lane"))
        with monkeypatch.context() as cut:
            cut.setattr(Folder, "finish_replacing", interrupted)
            with pytest.raises(KeyboardInterrupt):
                recover()

        open_storage()

        assert [b"whose?"] == [p.read_bytes() for p in path.glob("damaged-*/lost-bodies/ff")]

    def test_an_unfinished_copy_is_made_anew(self, ids, database, path, recover, open_storage):
        spoil(database, root_of(database, "lane"))
        (path / "queue.db.salvaged").write_bytes(b"SQLite for")

        assert len(ids) == recover().saved


def test_it_offers_what_the_command_looks_for(context):
    assert isinstance(ShelveStorage(ShelveConfig(), context), RecoverableStorage)


def test_listing_a_recovered_store_needs_no_start(ids, database, recover, context):
    spoil(database, root_of(database, "lane"))
    recover()
    reading = ShelveStorage(ShelveConfig(), context)
    reading.start_reading()

    assert len(ids) == len(list(reading.entries(Query())))
    reading.stop()
