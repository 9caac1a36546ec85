"""The lister: streams entries page by page, without holding up the hub.

What is kept for a whole listing is one short text for each message; everything else is read for its page alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from mdacore import PeekedMessage, Query, QueueEntry, QueueId, StorageError, fits
from mdacore_storage_disk.files import MESSAGE, MessageFiles
from mdacore_storage_disk.folder import SHARDS, Folder
from mdacore_storage_disk.ids import BRANCH_CHARS, QueueIds
from mdacore_storage_disk.index import Index
from mdacore_storage_disk.listing import entries_of, is_as_asked, stored_entries
from mdacore_storage_disk.retrieval import peeked
from mdacore_storage_disk.state import Message
from mdacore_storage_disk.threads import make_threads

PAGE: Final = 100
T = TypeVar("T")


class Lister:
    """Lists what the index has."""

    def __init__(self, files: MessageFiles, index: Index) -> None:
        self._files = files
        self._index = index
        self._thread = make_threads(1)

    def pages(self, query: Query) -> Iterator[list[QueueEntry]]:
        """What fits, by arrival, some at a time. Between two pages nothing is held. Raises StorageError."""
        ids = self._thread.call(sorted, set(query.queue_ids) or list(self._index))  # by number: as they arrived
        return _limited(query, _pages_of(ids, lambda some: self._thread.call(self._read, self._wanted(some, query))))

    def peek(self, queue_id: QueueId) -> PeekedMessage | None:
        """One message as it is on the disk; None = there is none. Raises StorageError."""
        message = self._index.get(queue_id)
        if message is None:
            return None
        path = self._files.path(message.acceptance, MESSAGE)
        return self._thread.call(peeked, self._files.folder.fs, path, queue_id)

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._thread.stop()

    def _wanted(self, ids: Sequence[str], query: Query) -> list[tuple[Path, Message]]:
        messages = [message for message in map(self._index.get, ids) if message is not None]
        return [
            (self._files.path(message.acceptance, MESSAGE), message)
            for message in messages
            if is_as_asked(message, query)
        ]

    def _read(self, wanted: list[tuple[Path, Message]]) -> list[QueueEntry]:
        return list(entries_of(self._files.folder.fs, wanted))


class Reader:
    """Lists what the files of a store say, beside whoever owns it. Takes no lock and changes nothing."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._ids = QueueIds.of_store(folder.read_marker())
        self._thread = make_threads(1)

    def pages(self, query: Query) -> Iterator[list[QueueEntry]]:
        """What fits, by arrival, some at a time. Raises StorageError."""
        try:
            paths = self._thread.call(self._paths, query)
        except OSError as error:
            raise StorageError(f"{self._folder.messages} cannot be read: {error}") from error
        return _limited(query, _pages_of(paths, lambda some: self._thread.call(self._read, some)))

    def peek(self, queue_id: QueueId) -> PeekedMessage | None:
        """One message as it is on the disk; None = there is none. Raises StorageError."""
        if self._ids.split(queue_id) is None:
            return None
        paths = self._thread.call(self._paths, Query(queue_ids=[queue_id]))
        found = (self._thread.call(peeked, self._folder.fs, path, queue_id) for path in paths)
        return next((message for message in found if message is not None), None)

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._thread.stop()

    def _paths(self, query: Query) -> list[Path]:
        wanted = {queue_id[:-BRANCH_CHARS] for queue_id in query.queue_ids}
        found = [
            (name, shard)
            for shard in SHARDS
            for name in self._folder.fs.names(self._folder.shard(shard))
            if name.endswith(MESSAGE) and self._ids.split(name.removesuffix(MESSAGE)) is not None
        ]
        return [
            self._folder.shard(shard) / name
            for name, shard in sorted(found)
            if not wanted or name.removesuffix(MESSAGE)[:-BRANCH_CHARS] in wanted
        ]

    def _read(self, paths: Sequence[Path]) -> list[QueueEntry]:
        return [entry for path in paths for entry in stored_entries(self._folder.fs, path)]


def _pages_of(names: Sequence[T], read: Callable[[Sequence[T]], list[QueueEntry]]) -> Iterator[list[QueueEntry]]:
    for start in range(0, len(names), PAGE):
        yield read(names[start : start + PAGE])


def _limited(query: Query, pages: Iterator[list[QueueEntry]]) -> Iterator[list[QueueEntry]]:
    left = math.inf if query.limit is None else query.limit
    for page in pages:
        fitting = [entry for entry in page if fits(entry, query)]
        if left <= len(fitting):
            yield fitting[: int(left)]
            return
        left -= len(fitting)
        yield fitting
