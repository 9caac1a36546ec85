"""Reading a store, beside whoever owns it: messages, entries in pages, and what nothing uses any more.

Invariant: nothing is changed, and no transaction outlasts one call, so that the write-ahead log can be emptied.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from mdacore import (
    Body,
    Closing,
    Envelope,
    FileBody,
    MemoryBody,
    PeekedMessage,
    Query,
    QueuedMessage,
    QueueEntry,
    QueueId,
    Recipient,
    State,
    fits,
)
from mdacore_storage_shelve import schema, sql
from mdacore_storage_shelve.bodies import BodyFiles
from mdacore_storage_shelve.folder import Folder
from mdacore_storage_shelve.ids import QueueIds
from mdacore_storage_shelve.record import Progress, RecordError, decode_envelope, decode_progress

PAGE_ROWS: Final = 100

STATES: Final = {
    schema.FREE: State.DUE,
    schema.SUSPECT: State.DUE,
    schema.CLAIMED: State.ACTIVE,
    schema.HELD: State.HELD,
    schema.ASIDE: State.HELD,
}


@attrs.frozen(kw_only=True)
class StoredMessage:
    """A message as its claim reads it, with what its settlement needs to know."""

    queued: QueuedMessage
    progress: Progress

    closed: Sequence[tuple[Recipient, Closing]] = ()

    @property
    def open_numbers(self) -> frozenset[int]:
        """The numbers of the recipients without an end."""
        return frozenset(recipient.number for recipient in self.queued.envelope.recipients)


class Reader:
    """One connection for reading, for one thread at a time."""

    def __init__(self, folder: Folder, store_id: uuid.UUID) -> None:
        self._folder = folder
        self._store_id = store_id
        self._bodies = BodyFiles(folder.bodies)
        self._connection: sqlite3.Connection | None = None
        self._is_unowned = False
        self.ids = QueueIds.of_store(store_id)

    def open(self) -> None:
        """Connect now. Raises StorageError."""
        self._connected()

    def close(self) -> None:
        """Disconnect. Idempotent; the next call connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def interrupt(self) -> None:
        """End the running query of another thread with an sqlite3.OperationalError."""
        if self._connection is not None:
            self._connection.interrupt()

    def message(self, number: int) -> StoredMessage | None:
        """A message with its open recipients; None = there is none.

        Raises:
            RecordError: its record or its body is damaged or missing.
            sqlite3.Error, StorageError: the database could not be read.
        """
        rows = self._query(sql.MESSAGE, {"id": number})
        if not rows:
            return None
        found, must_bounce, envelope, progress, *body = rows[0]
        stored = _stored(decode_envelope(envelope, self._body(*body)), decode_progress(progress))
        queued = attrs.evolve(stored.queued, queue_id=self.ids.encode(found), must_bounce=bool(must_bounce))
        return attrs.evolve(stored, queued=queued)

    def peek(self, queue_id: QueueId) -> PeekedMessage | None:
        """The same by its id, for whoever has not claimed it. Raises as `message` does."""
        number = self.ids.decode(queue_id)
        stored = None if number is None else self.message(number)
        return None if stored is None else PeekedMessage(message=stored.queued, closed=stored.closed)

    def has_suspect(self, queue: str, now: float) -> bool:
        """Whether there is a message that is due and has to be attempted alone. Raises sqlite3.Error, StorageError."""
        ((found,),) = self._query(sql.HAS_SUSPECT, {"queue": queue, "now": now})
        return bool(found)

    def page(self, query: Query, after: int) -> tuple[list[QueueEntry], int | None]:
        """What fits of the next messages after this number, and the number to go on from; None = that was all.

        Raises:
            sqlite3.Error, StorageError: the database could not be read.
        """
        if query.queue_ids:
            numbers = sorted(n for n in map(self.ids.decode, set(query.queue_ids)) if n is not None and n > after)
            some = numbers[:PAGE_ROWS]
            rows = self._query(sql.NAMED, {"ids": json.dumps(some)})
            last = some[-1] if len(numbers) > PAGE_ROWS else None
        else:
            rows = self._query(sql.PAGE, {"after": after, "limit": PAGE_ROWS})
            last = rows[-1][0] if len(rows) == PAGE_ROWS else None
        entries = [self._entry(_EntryRow(*row)) for row in rows]
        return [entry for entry in entries if fits(entry, query)], last

    def is_body_used(self, body: int) -> bool:
        """Some message uses the body with this number."""
        return bool(self._query(sql.USES_OF_BODY, {"body": body})[0][0])

    def check(self) -> str:
        """Read the whole database; ``""`` = it is sound, else what is wrong. Takes its time."""
        ((found,),) = self._query(sql.CHECK, {})
        return "" if found == "ok" else str(found)

    def _query(self, statement: str, values: Mapping[str, object]) -> list[Any]:
        while True:
            try:
                rows = self._connected().execute(statement, values).fetchall()
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if self._is_overtaken():
                    continue
                if isinstance(error, UnicodeDecodeError):  # sqlite3 quotes what is damaged in its message
                    raise sqlite3.DatabaseError(f"damaged text: {error}") from error
                raise
            else:
                if not self._is_overtaken():
                    return rows

    def _connected(self) -> sqlite3.Connection:
        if self._is_overtaken():
            self.close()
        if self._connection is None:
            self._is_unowned = not self._has_log()
            self._connection = schema.open_reading(self._folder.database, self._store_id, is_unowned=self._is_unowned)
        return self._connection

    def _is_overtaken(self) -> bool:
        # Opened as a file that nobody changes, it may have been read while a new owner changed it.
        return self._is_unowned and self._has_log()

    def _has_log(self) -> bool:
        return schema.wal_of(self._folder.database).exists()

    def _body(self, number: int, is_file: int, size_bytes: int, crc: int | None, data: bytes | None) -> Body:
        if is_file:
            path = self._bodies.path(number)
            try:
                found = path.stat().st_size
            except FileNotFoundError as error:
                raise RecordError(f"the body's file {path} is missing") from error
            if found != size_bytes:
                raise RecordError(f"the body's file {path} has {found} octets, and {size_bytes} were stored")
            return FileBody(path, size_bytes)
        if data is None or len(data) != size_bytes or zlib.crc32(data) != crc:
            raise RecordError("the body is missing or damaged")
        return MemoryBody(data)

    def _entry(self, row: _EntryRow) -> QueueEntry:
        held, recipients, sender, accepted_at = row.held, [], "", 0.0
        try:
            stored = _stored(decode_envelope(row.envelope, MemoryBody(b"")), decode_progress(row.progress))
        except RecordError as error:
            held = held or str(error)
        else:
            envelope, replies = stored.queued.envelope, stored.progress.replies
            recipients = [(rcpt.address, replies.get(rcpt.number)) for rcpt in envelope.recipients]
            sender, accepted_at = envelope.sender, envelope.received_at
        return QueueEntry(
            queue_id=self.ids.encode(row.id),
            queue=row.queue,
            lane=row.lane,
            state=STATES[row.state],
            sender=sender,
            recipients=recipients,
            size_bytes=row.body_size,
            accepted_at=accepted_at,
            due_at=row.due_at,
            attempts=row.attempts,
            held=held,
        )


class _EntryRow(NamedTuple):
    """One row of `sql.PAGE` and `sql.NAMED`."""

    id: int
    queue: str
    lane: str
    due_at: float
    state: int
    held: str
    attempts: int
    body_size: int
    envelope: bytes
    progress: bytes | None


def _stored(envelope: Envelope, progress: Progress) -> StoredMessage:
    ends = progress.closed
    closed = [(rcpt, ends[rcpt.number]) for rcpt in envelope.recipients if rcpt.number in ends] if ends else ()
    still_open = tuple(rcpt for rcpt in envelope.recipients if rcpt.number not in progress.closed)
    if not still_open:
        raise RecordError("every recipient has met its end, and the message is still there")
    if len(still_open) < len(envelope.recipients):
        envelope = attrs.evolve(envelope, recipients=still_open)
    queued = QueuedMessage(
        envelope=envelope, accepted_at=envelope.received_at, is_delay_reported=progress.is_delay_reported
    )
    return StoredMessage(queued=queued, progress=progress, closed=closed)
