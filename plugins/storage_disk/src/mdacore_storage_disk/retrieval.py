"""One message with its body, from its message file and its log. Blocks on the disk."""

from __future__ import annotations

from pathlib import Path

import attrs

from mdacore import Content, PeekedMessage, QueuedMessage, QueueId, StorageError
from mdacore_storage_disk.fs import Fs
from mdacore_storage_disk.message import StoredMessage
from mdacore_storage_disk.reading import Found, read_body, read_both
from mdacore_storage_disk.record import RecordError
from mdacore_storage_disk.state import Message, Progress


def retrieve(fs: Fs, path: Path, queue_id: QueueId) -> tuple[QueuedMessage, Progress]:
    """What a claim gives the right to read, and what became of its recipients so far.

    Raises:
        RecordError: the file, its log or the body is damaged.
        OSError: they cannot be read now, or are gone.
    """
    found = read_both(fs, path)
    stored = found.message(queue_id)
    progress = found.progress(stored)
    return _queued(fs, found, stored, found.acceptance().messages[queue_id]), progress


def peeked(fs: Fs, path: Path, queue_id: QueueId) -> PeekedMessage | None:
    """What an operator may read of it; None = it is not in this file, or is over. Raises StorageError."""
    try:
        found = read_both(fs, path)
        message = found.acceptance().messages.get(queue_id)
        if message is None or message.is_over:
            return None
        stored = found.message(queue_id)
        queued = _queued(fs, found, stored, message)
    except FileNotFoundError:
        return None
    except (OSError, RecordError) as error:
        raise StorageError(f"{queue_id} cannot be read: {error}") from error
    closed = found.progress(stored).closed
    ended = [(rcpt, closed[rcpt.number]) for rcpt in stored.envelope.recipients if rcpt.number in closed]
    return PeekedMessage(message=queued, closed=ended)


def _queued(fs: Fs, found: Found, stored: StoredMessage, message: Message) -> QueuedMessage:
    open_numbers = found.progress(stored).open_numbers
    recipients = tuple(rcpt for rcpt in stored.envelope.recipients if rcpt.number in open_numbers)
    if not recipients:
        raise RecordError("every recipient has met its end, and the message is still there")
    content = Content(read_body(fs, found, stored.body), stored.envelope.content.edits)
    envelope = attrs.evolve(stored.envelope, recipients=recipients, content=content)
    return QueuedMessage(
        envelope=envelope,
        accepted_at=envelope.received_at,
        must_bounce=message.must_bounce,
        queue_id=stored.queue_id,
        is_delay_reported=message.is_delay_reported,
    )
