"""The shelf: a store as a read-only mapping, for whoever wants to look.

    with open_shelf(Path("/var/lib/mdacore/spool")) as shelf:
        for queue_id, envelope in shelf.items():
            print(queue_id, envelope.sender)

It may be opened while a service owns the store, and changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from mdacore import Envelope, Query, QueueId
from mdacore_storage_shelve.folder import Folder
from mdacore_storage_shelve.reader import Reader
from mdacore_storage_shelve.record import RecordError


@contextlib.contextmanager
def open_shelf(path: Path) -> Iterator[Shelf]:
    """The messages of the store in this folder. Blocks on the disk. Raises StorageError: there is no store there."""
    folder = Folder(path)
    reader = Reader(folder, folder.read_marker())
    reader.open()
    try:
        yield Shelf(reader)
    finally:
        reader.close()


class Shelf(Mapping[QueueId, Envelope]):
    """Envelopes by their ids, with the recipients that are still open. Each look-up reads the disk.

    Raises:
        KeyError: no such message; it may have been delivered since its id was listed.
        RecordError: its record is damaged.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __getitem__(self, queue_id: QueueId) -> Envelope:
        number = self._reader.ids.decode(queue_id)
        message = None if number is None else self._reader.message(number)
        if message is None:
            raise KeyError(queue_id)
        return message.queued.envelope

    def __contains__(self, queue_id: object) -> bool:
        if not isinstance(queue_id, str):
            return False
        try:
            self[QueueId(queue_id)]
        except KeyError:
            return False
        except RecordError:
            return True
        return True

    def __iter__(self) -> Iterator[QueueId]:
        after: int | None = 0
        while after is not None:
            page, after = self._reader.page(Query(), after)
            yield from (entry.queue_id for entry in page)

    def __len__(self) -> int:
        return sum(1 for _ in self)
