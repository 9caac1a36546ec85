"""The database: refused when it is not what it should be, and quick however long the queue is."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdacore import StorageError
from mdacore_storage_shelve import schema, sql
from mdacore_storage_shelve.store import Store

ROW = "INSERT INTO message VALUES (?, ?, ?, ?, ?, '', 0, 0, 0, ?, 0, 0, x'', NULL)"


@pytest.fixture
def closed(path):
    """A store without an owner: its folder."""
    store = Store.open(path)
    store.close()
    return store.folder


@pytest.fixture
def connection(tmp_path):
    schema.create(tmp_path / "queue.db", uuid.UUID(int=1))
    with contextlib.closing(schema.open_writing(tmp_path / "queue.db", uuid.UUID(int=1))) as connection:
        yield connection


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory):
    """Makes connections to empty databases without a disk."""
    path = tmp_path_factory.mktemp("schema") / "queue.db"
    schema.create(path, uuid.UUID(int=1))

    def connect():
        connection = sqlite3.connect(":memory:", isolation_level=None)
        with contextlib.closing(sqlite3.connect(path)) as empty:
            empty.backup(connection)
        return contextlib.closing(connection)

    return connect


def alter(folder, *statements):
    with contextlib.closing(sqlite3.connect(folder.database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


class TestRefusal:
    """Case 68: one clear sentence, and never an empty queue in its place."""

    def refuse(self, folder, match):
        before = folder.database.read_bytes()
        with pytest.raises(StorageError, match=match):
            Store.open(folder.path)
        assert before == folder.database.read_bytes()

    def test_case_068_an_emptied_file(self, closed):
        closed.database.write_bytes(b"")

        self.refuse(closed, "not a database of this storage")

    def test_case_068_a_file_of_something_else(self, closed):
        closed.database.write_bytes(b"text " * 5000)

        self.refuse(closed, "cannot be opened: file is not a database")

    def test_case_068_a_damaged_header(self, closed):
        octets = bytearray(closed.database.read_bytes())
        octets[16:24] = b"\xff" * 8
        closed.database.write_bytes(octets)

        self.refuse(closed, "cannot be opened")

    def test_case_068_a_damaged_schema(self, closed):
        octets = closed.database.read_bytes()
        closed.database.write_bytes(octets[:100] + b"\xa5" * 8000 + octets[8100:])

        self.refuse(closed, "cannot be opened")

    def test_case_068_a_schema_that_is_no_text(self, closed):
        """The sqlite3 module quotes it in its message, and fails to decode that."""
        octets = bytearray(closed.database.read_bytes())
        at = octets.index(b"tablestorestore")
        octets[at + 5 : at + 10] = b"\xa6\xfa\xff\xfe\xfd"
        octets[at + 16 : at + 22] = b"CREASE"
        closed.database.write_bytes(octets)

        self.refuse(closed, "cannot be opened")

    def test_case_068_a_wrong_application_id(self, closed):
        alter(closed, "PRAGMA application_id = 7")

        self.refuse(closed, "not a database of this storage")

    def test_case_078_a_newer_schema(self, closed):
        """Case 78."""
        alter(closed, "PRAGMA user_version = 2")

        self.refuse(closed, "written by another mdacore-storage-shelve: its schema version is 2")

    def test_case_068_another_stores_database(self, closed):
        alter(closed, "UPDATE store SET uuid = 'other'")

        self.refuse(closed, "belongs to store other")

    def test_case_068_no_store_in_it(self, closed):
        alter(closed, "DELETE FROM store")

        self.refuse(closed, "belongs to store none")

    def test_after_a_refusal_the_lock_is_free(self, closed):
        alter(closed, "PRAGMA application_id = 7")
        with pytest.raises(StorageError):
            Store.open(closed.path)
        alter(closed, f"PRAGMA application_id = {schema.APPLICATION_ID}")

        Store.open(closed.path).close()


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [("journal_mode", "wal"), ("synchronous", 2), ("wal_autocheckpoint", 0), ("page_size", schema.PAGE_SIZE_BYTES)],
    )
    def test_a_writing_connection_has(self, connection, name, value):
        assert (value,) == connection.execute(f"PRAGMA {name}").fetchone()


class TestPlans:
    """Nothing that a running queue asks is answered by reading a whole table."""

    @pytest.mark.parametrize(
        "statement",
        [
            sql.FREE_CRASHED,
            sql.COUNT_ASIDE,
            sql.FIND_KEY,
            sql.FORGET_KEYS,
            sql.REMOVE,
            sql.SET_ASIDE,
            sql.FIND_DUE,
            sql.CLAIM,
            sql.NEXT_DUE,
            sql.FIND_AMENDABLE,
            sql.HOLD,
            sql.DUE_NOW,
            sql.PAGE,
            sql.NAMED,
            sql.MESSAGE,
            sql.USES_OF_BODY,
        ],
    )
    def test_it_searches(self, connection, statement):
        names = ("queue", "now", "limit", "full_lanes", "ids", "id", "reason", "key", "forgotten_at", "after", "body")
        names += ("states", "attempts")

        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", dict.fromkeys(names, "[]")).fetchall()

        steps = [step for *_, step in plan]
        assert [] == [s for s in steps if s.startswith("SCAN") and s.split()[1] in ("message", "lane", "body", "key")]
        assert any(step.startswith("SEARCH") for step in steps)

    def test_deferring_finds_each_row_by_its_number(self, connection):
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql.defer_messages(2)}", [0] * 10).fetchall()

        assert "SEARCH message USING INTEGER PRIMARY KEY (rowid=?)" in [step for *_, step in plan]

    def test_giving_back_finds_each_row_by_its_number(self, connection):
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql.release_messages(2)}", [0] * 4).fetchall()

        assert "SEARCH message USING INTEGER PRIMARY KEY (rowid=?)" in [step for *_, step in plan]

    def test_a_claim_goes_along_the_lanes_fronts(self, connection):
        values = {"queue": "main", "now": 1, "limit": 1, "full_lanes": "[]"}

        plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql.FIND_DUE}", values)]

        assert "SEARCH lane USING COVERING INDEX lane_front (queue=? AND front<?)" in plan
        assert "USE TEMP B-TREE FOR ORDER BY" not in plan


class TestLanes:
    """The triggers keep `lane` exact, whatever happens to messages."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["insert", "state", "due", "delete"]),
                st.integers(1, 8),
                st.sampled_from(["a", "b"]),
                st.integers(0, 5),
                st.integers(0, 3),
            ),
            max_size=40,
        )
    )
    def test_each_front_is_the_first_free_message(self, in_memory, changes):
        with in_memory() as connection:
            for change, number, lane, due_at, state in changes:
                if change == "insert":
                    with contextlib.suppress(sqlite3.IntegrityError):
                        connection.execute(ROW, (number, "main", lane, due_at, state, number))
                elif change == "state":
                    connection.execute("UPDATE message SET state = ? WHERE id = ?", (state, number))
                elif change == "due":
                    connection.execute("UPDATE message SET due_at = ? WHERE id = ?", (due_at, number))
                else:
                    connection.execute("DELETE FROM message WHERE id = ?", (number,))

            wanted = "SELECT queue, lane, min(due_at) FROM message WHERE state = 0 GROUP BY queue, lane ORDER BY 1, 2"
            assert (
                connection.execute(wanted).fetchall()
                == connection.execute("SELECT * FROM lane ORDER BY queue, name").fetchall()
            )


class TestFindDue:
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 6), st.sampled_from([0, 0, 0, 1, 2])), max_size=40),
        st.sets(st.sampled_from("abcd")),
        st.integers(1, 12),
    )
    def test_it_is_what_sorting_all_would_give(self, in_memory, messages, full_lanes, limit):
        with in_memory() as connection:
            connection.executemany(
                ROW, [(n, "main", lane, due_at, state, n) for n, (lane, due_at, state) in enumerate(messages, 1)]
            )
            connection.execute(ROW, (1000, "other", "a", 0, 0, 1000))
            values = {
                "queue": "main",
                "now": 4,
                "limit": limit,
                "full_lanes": str(sorted(full_lanes)).replace("'", '"'),
            }

            (found,) = connection.execute(sql.FIND_DUE, values).fetchone()

            wanted = {
                number: due_at
                for number, (lane, due_at, state) in enumerate(messages, 1)
                if state == 0 and due_at <= 4 and lane not in full_lanes
            }
            rows = sorted(json.loads(found))
            assert sorted(wanted.values())[:limit] == [due_at for due_at, *_ in rows]
            assert len(rows) == len({number for due_at, number, *_ in rows if due_at == wanted[number]})


class TestBodies:
    def count(self, connection):
        return connection.execute("SELECT count(*) FROM body").fetchone()[0]

    @pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 1, 3)])
    def test_a_shared_body_goes_with_its_last_user(self, connection, order):
        connection.execute("INSERT INTO body VALUES (1, 0, x'00')")
        for number in (1, 2, 3):
            connection.execute(ROW, (number, "main", "a", 0, 0, 1))

        left = []
        for number in order:
            connection.execute("DELETE FROM message WHERE id = ?", (number,))
            left.append(self.count(connection))

        assert [1, 1, 0] == left

    def test_a_body_of_one_goes_with_it_and_no_other_does(self, connection):
        for number in (1, 2):
            connection.execute("INSERT INTO body VALUES (?, 0, x'00')", (number,))
            connection.execute(ROW, (number, "main", "a", 0, 0, number))

        connection.execute("DELETE FROM message WHERE id = 1")

        assert [(2,)] == connection.execute("SELECT id FROM body").fetchall()
