"""The database: its tables, how it is made and opened, and when it is refused. The statements are in `sql`.

A message is one row from its write to its removal; `state` says whose it is. What the queue looks for is kept beside
it by triggers, in the same transaction, so that no other code has to remember it:

- `lane` has one row for each lane that has a free message, with the due time of the first of them (`front`). A claim
  walks the lanes by their fronts and passes over full ones, so it costs the same with ten messages as with a million,
  and with one full lane in front of all. (An index on the due time alone would be read through the full lane.)
- a body goes with the last message that uses it. It has the number of the first of them, so only the parts of a split
  after the first need an index.

Invariant: every message with state 0 is in `message_free`, every other one in `message_other`, and `lane.front` is
exact.
"""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mdacore import StorageError

APPLICATION_ID: Final = 0x6D646171  # "mdaq"
SCHEMA_VERSION: Final = 1
RECOVER: Final = "`mdacore queue recover` saves what can be read"
OLDEST_SQLITE: Final = (3, 33)
"""UPDATE … FROM."""

PAGE_SIZE_BYTES: Final = 8192
"""A body of 2 KB fills half of a page of 4096 and a quarter of this one: a third less to write for such mail."""

FREE, CLAIMED, HELD, ASIDE, SUSPECT = range(5)
"""Values of `message.state`. ASIDE: its record could not be read, `held` says why. SUSPECT: free, to be claimed alone.
"""

_TABLES: Final = """
CREATE TABLE store (
    uuid TEXT NOT NULL,
    next_id INTEGER NOT NULL,
    run INTEGER NOT NULL
);
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    lane TEXT NOT NULL,
    due_at REAL NOT NULL,
    state INTEGER NOT NULL,
    held TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    unsettled INTEGER NOT NULL,
    must_bounce INTEGER NOT NULL,
    body INTEGER NOT NULL,
    body_is_file INTEGER NOT NULL,
    body_size INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    progress BLOB
);
CREATE TABLE body (
    id INTEGER PRIMARY KEY,
    crc INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE TABLE lane (
    queue TEXT NOT NULL,
    name TEXT NOT NULL,
    front REAL NOT NULL,
    PRIMARY KEY (queue, name)
) WITHOUT ROWID;
CREATE TABLE key (
    queue TEXT NOT NULL,
    key TEXT NOT NULL,
    seen_at REAL NOT NULL,
    ids TEXT NOT NULL,
    PRIMARY KEY (queue, key)
) WITHOUT ROWID;

CREATE INDEX message_free ON message (queue, lane, due_at) WHERE state = 0;
CREATE INDEX message_other ON message (state) WHERE state <> 0;
CREATE INDEX message_later_part ON message (body) WHERE body <> id;
CREATE INDEX lane_front ON lane (queue, front);
CREATE INDEX key_seen ON key (seen_at);

CREATE TRIGGER message_added_free AFTER INSERT ON message WHEN new.state = 0
BEGIN
    INSERT INTO lane VALUES (new.queue, new.lane, new.due_at)
    ON CONFLICT DO UPDATE SET front = excluded.front WHERE excluded.front < front;
END;
CREATE TRIGGER message_changed AFTER UPDATE OF state, due_at ON message WHEN old.state = 0 OR new.state = 0
BEGIN
    DELETE FROM lane WHERE queue = new.queue AND name = new.lane;
    INSERT INTO lane SELECT queue, lane, due_at FROM message
    WHERE state = 0 AND queue = new.queue AND lane = new.lane ORDER BY due_at LIMIT 1;
END;
CREATE TRIGGER message_removed_free AFTER DELETE ON message WHEN old.state = 0
BEGIN
    DELETE FROM lane WHERE queue = old.queue AND name = old.lane;
    INSERT INTO lane SELECT queue, lane, due_at FROM message
    WHERE state = 0 AND queue = old.queue AND lane = old.lane ORDER BY due_at LIMIT 1;
END;
CREATE TRIGGER message_removed AFTER DELETE ON message WHEN NOT old.body_is_file
BEGIN
    DELETE FROM body WHERE id = old.body
    AND NOT EXISTS (SELECT 1 FROM message WHERE id = old.body)
    AND NOT EXISTS (SELECT 1 FROM message WHERE body = old.body AND body <> id);
END;
"""

_SETTINGS: Final = """
PRAGMA synchronous = FULL;          -- each commit is synced: what was acknowledged survives a loss of power
PRAGMA fullfsync = ON;              -- on macOS, where fsync alone stops at the disk's cache
PRAGMA checkpoint_fullfsync = ON;
PRAGMA wal_autocheckpoint = 0;      -- checkpoints are Upkeep's, outside the commits
PRAGMA secure_delete = OFF;         -- Debian's default is ON, and would write every removed body once more
PRAGMA temp_store = MEMORY;
PRAGMA cell_size_check = ON;        -- damage is noticed when a page is read
PRAGMA cache_size = -32000;         -- KiB: the inner pages of a million messages
"""

_BUSY_TIMEOUT_S: Final = 5.0
_CACHED_STATEMENTS: Final = 384


def create(path: Path, store_id: uuid.UUID) -> None:
    """Make a new database at this path, complete and synced when it returns. The file must not exist.

    Raises:
        sqlite3.Error, OSError: it could not be made; a part of it may be there.
    """
    path.touch(mode=0o600, exist_ok=False)  # SQLite gives its other files the same mode
    with contextlib.closing(_connect(path, "rw")) as connection:
        connection.executescript(f"PRAGMA page_size = {PAGE_SIZE_BYTES}; {_SETTINGS}")
        connection.executescript(
            f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};{_TABLES} COMMIT;"
        )
        connection.execute("INSERT INTO store VALUES (?, 1, 0)", (str(store_id),))
        _use_wal(connection, path)


def open_writing(path: Path, store_id: uuid.UUID) -> sqlite3.Connection:
    """A connection for the owner, usable from any thread, one at a time.

    Raises:
        StorageError: not our database, another store's, a newer version's, or damaged. Nothing was changed.
    """
    return _open(path, store_id, "rw", is_writing=True)


def open_reading(path: Path, store_id: uuid.UUID, *, is_unowned: bool = False) -> sqlite3.Connection:
    """A connection that changes nothing, for use beside whoever owns the store. Raises StorageError.

    Where nobody owns it there is no write-ahead log, and SQLite would make one in order to read: `is_unowned` lets it
    take the file for one that nobody changes.
    """
    return _open(path, store_id, "ro&immutable=1" if is_unowned else "ro", is_writing=False)


def look(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing and has verified nothing. Raises sqlite3.Error."""
    return _connect(path, "ro&immutable=1")


def scratch() -> sqlite3.Connection:
    """A database in a file that nobody sees and that is gone with the connection, with one empty store in it."""
    connection = sqlite3.connect("", isolation_level=None)
    connection.executescript(f"PRAGMA page_size = {PAGE_SIZE_BYTES};{_TABLES}")
    connection.execute("INSERT INTO store VALUES ('', 1, 0)")
    return connection


def root_pages() -> Mapping[str, int]:
    """Where each table begins in a database that `create` has made."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(f"PRAGMA page_size = {PAGE_SIZE_BYTES};{_TABLES}")
        return dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"))


def wal_of(path: Path) -> Path:
    """Where the database's write-ahead log is, while there is one."""
    return path.with_name(path.name + "-wal")


def _open(path: Path, store_id: uuid.UUID, mode: str, *, is_writing: bool) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old: 3.33 or newer is needed")
    if not path.is_file():
        raise StorageError(f"{path} is missing, though its folder is marked as a store: restore it, or remove both")
    connection = None
    try:
        connection = _connect(path, mode)
        _verify(connection, path, store_id)
        if is_writing:
            connection.executescript(_SETTINGS)
            _use_wal(connection, path)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: sqlite3 quotes what is damaged in its message
        _close(connection)
        raise StorageError(f"{path} cannot be opened: {error}; nothing was changed; {RECOVER}") from error
    except BaseException:
        _close(connection)
        raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()


def _verify(connection: sqlite3.Connection, path: Path, store_id: uuid.UUID) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise StorageError(
            f"{path} is not a database of this storage, or it is damaged; nothing was changed; {RECOVER}"
        )
    if version != SCHEMA_VERSION:
        raise StorageError(
            f"{path} was written by another mdacore-storage-shelve: its schema version is {version}, "
            f"and this one knows {SCHEMA_VERSION}; nothing was changed"
        )
    (found,) = connection.execute("SELECT uuid FROM store").fetchone() or ("none",)
    if found != str(store_id):
        raise StorageError(f"{path} belongs to store {found}, and its folder is marked as store {store_id}")


def _use_wal(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageError(f"{path} cannot have a write-ahead log: is it on a network file system?")
