"""Commits: one transaction for each batch, in the commit thread, and what follows from its errors.

Invariant: a batch is in the database and in the ledger, or in neither. After an error that leaves this in doubt (a
failed sync, a damaged page) nothing is accepted any more: Linux may drop the pages that it could not write and report
success on the next try, so a sync is never tried again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from mdacore import OutcomeUnknown, StorageError, StorageFull
from mdacore_storage_shelve import sql
from mdacore_storage_shelve.batch import Batch
from mdacore_storage_shelve.ids import QueueIds
from mdacore_storage_shelve.jobs import Job
from mdacore_storage_shelve.ledger import Ledger

_FATAL: Final = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY}
)


class Committer:
    """Commits batches on one connection.

    Attributes:
        broken: why nothing is accepted any more; ``""`` = all is well.
        pages: about how many pages were changed so far.
    """

    def __init__(self, connection: sqlite3.Connection, ids: QueueIds, ledger: Ledger) -> None:
        self._connection = connection
        self._ids = ids
        self._ledger = ledger
        self.broken = ""
        self.pages = 0

    def __call__(self, jobs: Sequence[Job[object]]) -> Sequence[object]:
        """Commit the batch; gives each job's result or the MdaError that it ends with."""
        if self.broken:
            return [StorageError(self.broken) for _ in jobs]
        batch = Batch(self._connection, self._ids, self._ledger)
        is_committing = False
        try:
            self._connection.execute(sql.BEGIN)
            results = batch.run(jobs)
            is_committing = True
            self._connection.execute(sql.COMMIT)
        except sqlite3.Error as error:
            self._roll_back()
            return self._explained(jobs, error, is_committing=is_committing)
        except BaseException:
            self._roll_back()
            raise
        batch.enter()
        self.pages += batch.pages
        return results

    def fail(self, reason: str) -> None:
        """Accept nothing any more; the first reason is kept."""
        self.broken = self.broken or reason

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute(sql.ROLLBACK)
            except sqlite3.Error as error:
                self.fail(f"a transaction could not be rolled back: {error}")

    def _explained(self, jobs: Sequence[Job[object]], error: sqlite3.Error, *, is_committing: bool) -> Sequence[object]:
        code = primary_code(error)
        if code == sqlite3.SQLITE_FULL:  # also at the commit: without its last frame no transaction is in the log
            return [_because(error, StorageFull(f"no room: {error}")) for _ in jobs]
        if is_unwritten(error):
            return [_because(error, StorageError(f"it could not be written: {error}")) for _ in jobs]
        if is_committing:
            self.fail(f"a commit failed: {error}")
            return [_because(error, OutcomeUnknown(self.broken)) for _ in jobs]
        if is_fatal(error):
            self.fail(f"the database failed: {error}")
        elif len(jobs) > 1:  # perhaps one job's fault: then it is that job's alone
            return [result for job in jobs for result in self([job])]
        return [_because(error, StorageError(f"the database refused: {error}")) for _ in jobs]


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 0 if the error did not come from SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_fatal(error: sqlite3.Error) -> bool:
    """After this error the database is not to be trusted: damage, or a disk that fails."""
    return primary_code(error) in _FATAL and not is_unwritten(error)


def is_unwritten(error: sqlite3.Error) -> bool:
    """A write was refused (a quota, a file system that is read-only now, a bad block), so its transaction is not there.

    Nothing is believed that the system has not taken; a failed sync is another thing.
    """
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_WRITE


def _because(cause: BaseException, error: StorageError) -> StorageError:
    error.__cause__ = cause
    return error
