"""The open store of its owner: lock, folder, connection and ledger, acquired and released together. No greenlets."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from pathlib import Path

import attrs

from mdacore import StorageError
from mdacore_storage_shelve import schema, sql
from mdacore_storage_shelve.commit import Committer
from mdacore_storage_shelve.folder import Folder
from mdacore_storage_shelve.ids import QueueIds
from mdacore_storage_shelve.ledger import Ledger
from mdacore_storage_shelve.lock import StoreLock
from mdacore_storage_shelve.reader import Reader


@attrs.frozen(kw_only=True)
class Store:
    """What one run of the store works with.

    Attributes:
        checkpoints: a connection for nothing but checkpoints.
        first_number: the numbers of this run begin here.
        crashed: how many claims of the run before were found without an end.
    """

    folder: Folder
    store_id: uuid.UUID
    ids: QueueIds
    ledger: Ledger
    committer: Committer
    checkpoints: sqlite3.Connection
    first_number: int
    crashed: int
    _lock: StoreLock
    _connection: sqlite3.Connection

    @classmethod
    def open(cls, path: Path, *, may_init: bool = False) -> Store:
        """Become the owner of the store in this folder; make it if there is none. Blocks on the disk.

        `may_init`: also in a folder that is there and empty.

        Raises:
            StorageError: with one sentence for the operator; nothing stays acquired.
        """
        folder = Folder(path)
        lock = StoreLock(folder.lock)
        with contextlib.ExitStack() as on_error:
            try:
                folder.make(may_init=may_init)
                lock.acquire()
                on_error.callback(lock.release)
                store_id = folder.prepare()
                connection = schema.open_writing(folder.database, store_id)
                on_error.callback(connection.close)
                checkpoints = schema.open_writing(folder.database, store_id)
                on_error.callback(checkpoints.close)
                checkpoints.execute(sql.NEVER_WAIT)
                run = _Run.begin(connection)
            except (OSError, sqlite3.Error) as error:
                raise StorageError(f"the store in {path} cannot be opened: {error}") from error
            ids = QueueIds.of_store(store_id)
            ledger = Ledger(run=run.number, aside=run.aside)
            on_error.pop_all()
        return cls(
            folder=folder,
            store_id=store_id,
            ids=ids,
            ledger=ledger,
            committer=Committer(connection, ids, ledger),
            checkpoints=checkpoints,
            first_number=run.first_number,
            crashed=run.crashed,
            lock=lock,
            connection=connection,
        )

    def reader(self) -> Reader:
        """One more connection for reading."""
        return Reader(self.folder, self.store_id)

    def close(self, *readers: Reader) -> None:
        """Release everything; these readers are the last ones. Raises sqlite3.Error, with everything released."""
        # Whoever closes the last writing connection empties the log into the database, with a sync. After a failed
        # sync that must not be tried again; while a reader is connected, SQLite does not.
        self.checkpoints.close()
        order = [self._connection.close, *(reader.close for reader in readers)]
        with contextlib.ExitStack() as steps:
            steps.callback(self._lock.release)
            for close in order if not self.committer.broken else reversed(order):
                steps.callback(close)


@attrs.frozen(kw_only=True)
class _Run:
    """The time from one start to the next, as the database counts it."""

    number: int
    first_number: int
    crashed: int
    aside: int

    @classmethod
    def begin(cls, connection: sqlite3.Connection) -> _Run:
        connection.execute(sql.BEGIN)
        connection.execute(sql.START_RUN)
        crashed = connection.execute(sql.FREE_CRASHED).rowcount
        numbers = [connection.execute(query).fetchone()[0] for query in (sql.RUN, sql.NEXT_ID, sql.COUNT_ASIDE)]
        connection.execute(sql.COMMIT)
        return cls(number=numbers[0], first_number=numbers[1], crashed=crashed, aside=numbers[2])
