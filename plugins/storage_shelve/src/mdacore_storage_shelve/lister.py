"""The lister: streams a store's entries, page by page, without holding up the hub or a claim's reading."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator

from mdacore import PeekedMessage, Query, QueueEntry, QueueId, StorageError
from mdacore_storage_shelve.reader import Reader
from mdacore_storage_shelve.record import RecordError
from mdacore_storage_shelve.threads import make_threads


class Lister:
    """A reader with a thread of its own."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._thread = make_threads(1)

    def pages(self, query: Query) -> Iterator[list[QueueEntry]]:
        """What fits, by arrival, some at a time. Between two pages nothing is held. Raises StorageError."""
        left = math.inf if query.limit is None else query.limit
        after: int | None = 0
        while after is not None and left > 0:
            try:
                page, after = self._thread.call(self._reader.page, query, after)
            except sqlite3.Error as error:
                raise StorageError(f"the entries cannot be read: {error}") from error
            if len(page) > left:
                del page[int(left) :]
            left -= len(page)
            yield page

    def peek(self, queue_id: QueueId) -> PeekedMessage | None:
        """One message; None = there is none. Raises StorageError."""
        try:
            return self._thread.call(self._reader.peek, queue_id)
        except (sqlite3.Error, OSError, RecordError) as error:
            raise StorageError(f"{queue_id} cannot be read: {error}") from error

    def close(self) -> None:
        """End the thread and disconnect. Idempotent."""
        self._thread.stop()
        self._reader.close()
