"""Entries as an operator sees them, read from message files and logs. Blocks on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from mdacore import Query, QueueEntry, QueueId, State
from mdacore_storage_disk.fs import Fs
from mdacore_storage_disk.reading import Found, read_both
from mdacore_storage_disk.record import RecordError
from mdacore_storage_disk.state import Message


def entries_of(fs: Fs, messages: Iterable[tuple[Path, Message]]) -> Iterator[QueueEntry]:
    """The entries of these messages; one whose files are gone is left out, one that is damaged has its reason."""
    last: tuple[Path | None, Found | None] = (None, None)
    for path, message in messages:
        try:
            found = last[1] if last[0] == path else None
            found = found or read_both(fs, path)
            last = (path, found)
            yield _entry(message, found)
        except FileNotFoundError:
            continue
        except (OSError, RecordError) as error:
            yield _bare_entry(message, str(error))


def stored_entries(fs: Fs, path: Path) -> Iterator[QueueEntry]:
    """The entries of one message file, by what it and its log say."""
    try:
        found = read_both(fs, path)
        messages = [message for message in found.acceptance().messages.values() if not message.is_over]
        yield from (_entry(message, found) for message in messages)
    except FileNotFoundError:
        return
    except (OSError, RecordError) as error:
        yield _unknown_entry(path, str(error))


def state_of(message: Message) -> State:
    """Where it is."""
    if message.is_claimed:
        return State.ACTIVE
    return State.HELD if message.held else State.DUE


def is_as_asked(message: Message, query: Query) -> bool:
    """What of a query can be told without reading its file."""
    return (
        (not query.queue or message.acceptance.queue == query.queue)
        and (not query.states or state_of(message) in query.states)
        and (query.attempts is None or message.attempts == query.attempts)
    )


def _entry(message: Message, found: Found) -> QueueEntry:
    stored = found.message(message.queue_id)
    progress = found.progress(stored)
    body = found.head.bodies[stored.body]
    return attrs.evolve(
        _bare_entry(message, message.held),
        sender=stored.envelope.sender,
        recipients=[
            (rcpt.address, progress.replies.get(rcpt.number))
            for rcpt in stored.envelope.recipients
            if rcpt.number in progress.open_numbers
        ],
        size_bytes=body.size_bytes,
        accepted_at=stored.envelope.received_at,
    )


def _bare_entry(message: Message, held: str) -> QueueEntry:
    return QueueEntry(
        queue_id=message.queue_id,
        queue=message.acceptance.queue,
        lane=message.lane,
        state=state_of(message),
        sender="",
        recipients=(),
        size_bytes=0,
        accepted_at=0.0,
        due_at=message.due_at,
        attempts=message.attempts,
        held=held,
    )


def _unknown_entry(path: Path, reason: str) -> QueueEntry:
    return QueueEntry(
        queue_id=QueueId(path.stem),
        queue="",
        lane="",
        state=State.HELD,
        sender="",
        recipients=(),
        size_bytes=0,
        accepted_at=0.0,
        due_at=0.0,
        attempts=0,
        held=reason,
    )
