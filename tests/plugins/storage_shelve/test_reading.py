"""Reading beside whoever owns the store: everything is seen, nothing is changed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mdacore import Query, State, StorageError
from mdacore.testing.storage_samples import new
from mdacore_storage_shelve import ShelveConfig, ShelveStorage, open_shelf, schema
from mdacore_storage_shelve.folder import Folder
from mdacore_storage_shelve.reader import PAGE_ROWS

CRASH = """
import os, sys
from pathlib import Path
from mdacore import Context
from mdacore.log import get_log
from mdacore.testing import ManualClock
from mdacore.testing.storage_samples import new
from mdacore_storage_shelve import ShelveConfig, ShelveStorage
clock = ManualClock()
context = Context(instance="x", state_path=Path(sys.argv[1]), hostname="h", clock=clock, log=get_log())
storage = ShelveStorage(ShelveConfig(), context)
storage.start()
storage.write([new(clock), new(clock, claim=True)], queue="main")
os._exit(1)
"""


def names_and_octets(path):
    """What is in the folder; SQLite's index of its log is left out, it is no data."""
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file() and not p.name.endswith("-shm")}


@pytest.fixture
def reader(context):
    """A storage for reading, not started."""
    reader = ShelveStorage(ShelveConfig(), context)
    yield reader
    reader.stop()


class TestStartReading:
    def test_without_a_store_it_says_so_and_makes_none(self, reader, path):
        with pytest.raises(StorageError, match="there is no store in"):
            reader.start_reading()

        assert not path.exists()

    def test_beside_its_owner_it_sees_what_the_owner_does(self, storage, reader, clock):
        reader.start_reading()
        storage.write([new(clock, claim=True), new(clock)], queue="main")

        assert [State.ACTIVE, State.DUE] == [entry.state for entry in reader.entries(Query())]
        storage.write([new(clock)], queue="main")
        assert 3 == len(list(reader.entries(Query())))

    def test_without_an_owner_nothing_is_made_or_changed(self, open_storage, reader, clock, path):
        storage = open_storage()
        storage.write([new(clock)], queue="main")
        storage.stop()
        before = names_and_octets(path)

        reader.start_reading()
        assert 1 == len(list(reader.entries(Query())))
        reader.stop()

        assert before == names_and_octets(path)
        assert not schema.wal_of(Folder(path).database).exists()

    def test_after_a_crash_it_sees_everything_and_changes_nothing(self, context, reader, path):
        crashed = subprocess.run([sys.executable, "-c", CRASH, str(context.state_path)])
        assert 1 == crashed.returncode
        before = names_and_octets(path)

        reader.start_reading()
        assert [State.DUE, State.ACTIVE] == [entry.state for entry in reader.entries(Query())]
        reader.stop()

        assert before == names_and_octets(path)

    def test_an_owner_that_comes_later_is_not_disturbed_and_seen(self, open_storage, reader, clock):
        storage = open_storage()
        storage.write([new(clock)], queue="main")
        storage.stop()
        reader.start_reading()
        assert 1 == len(list(reader.entries(Query())))

        owner = open_storage()
        owner.write([new(clock)], queue="main")

        assert 2 == len(list(reader.entries(Query())))

    def test_its_lock_is_free(self, open_storage, reader):
        open_storage().stop()
        reader.start_reading()

        open_storage()

    def test_a_damaged_database_is_refused(self, open_storage, reader, path):
        open_storage().stop()
        Folder(path).database.write_bytes(b"garbage" * 1000)

        with pytest.raises(StorageError, match="cannot be opened"):
            reader.start_reading()

    def test_stop_may_be_called_again(self, storage, reader):
        reader.start_reading()
        reader.stop()
        reader.stop()


class TestEntries:
    def test_many_pages_are_all_and_in_order(self, storage, clock):
        ids = [
            queue_id
            for _ in range(5)
            for queue_id in storage.write([new(clock) for _ in range(PAGE_ROWS // 2)], queue="main")
        ]

        assert ids == [entry.queue_id for entry in storage.entries(Query())]
        assert ids[: PAGE_ROWS + 1] == [entry.queue_id for entry in storage.entries(Query(limit=PAGE_ROWS + 1))]
        assert [] == list(storage.entries(Query(limit=0)))

    def test_a_long_list_of_ids_is_looked_up_in_pages(self, storage, clock):
        ids = storage.write([new(clock) for _ in range(3 * PAGE_ROWS)], queue="main")
        wanted = ids[10:-10]

        found = [entry.queue_id for entry in storage.entries(Query(queue_ids=[*reversed(wanted), "../../x", "0" * 14]))]

        assert list(wanted) == found

    def test_ids_that_are_none_find_nothing(self, storage, clock):
        """Case 72: they are not a missing filter either."""
        storage.write([new(clock)], queue="main")

        assert [] == list(storage.entries(Query(queue_ids=["../../x\0", "--help", "x" * 300])))

    def test_between_two_pages_nothing_is_held(self, storage, clock):
        """A message that came after the first page is in a later one, and the log can be emptied meanwhile."""
        storage.write([new(clock) for _ in range(PAGE_ROWS)], queue="main")
        entries = storage.entries(Query())
        next(entries)

        storage.write([new(clock)], queue="main")

        assert PAGE_ROWS == len(list(entries))

    def test_a_listing_that_outlives_the_storage_ends_with_an_error(self, storage, clock):
        storage.write([new(clock) for _ in range(PAGE_ROWS + 1)], queue="main")
        entries = storage.entries(Query())
        next(entries)

        storage.stop()

        with pytest.raises(StorageError):
            list(entries)


class TestShelf:
    def test_it_maps_ids_to_envelopes(self, storage, clock, path):
        first, second = storage.write([new(clock), new(clock)], queue="main")

        with open_shelf(path) as shelf:
            assert 2 == len(shelf)
            assert [first, second] == list(shelf)
            assert "alice@example.org" == shelf[first].sender
            assert first in shelf
            assert b"Subject: hello" in b"".join(shelf[second].content.chunks())

    @pytest.mark.parametrize("queue_id", ["", "0" * 14, "../../x", 7])
    def test_what_is_not_there_is_a_key_error(self, storage, path, queue_id):
        with open_shelf(path) as shelf:
            assert queue_id not in shelf
            with pytest.raises((KeyError, TypeError)):
                shelf[queue_id]

    def test_without_a_store_it_says_so(self, path):
        with pytest.raises(StorageError, match="there is no store"), open_shelf(path):
            pass

    def test_it_needs_no_event_loop(self, open_storage, clock, path):
        """For scripts: no hub is made and nothing is patched."""
        storage = open_storage()
        storage.write([new(clock)], queue="main")
        storage.stop()
        script = "import sys; from pathlib import Path; from mdacore_storage_shelve import open_shelf\n"
        script += f"with open_shelf(Path({str(path)!r})) as shelf: print(len(shelf))"

        shown = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
        )

        assert "1\n" == shown.stdout
