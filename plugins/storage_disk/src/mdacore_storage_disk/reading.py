"""Reading message files with their logs, beside whoever writes them. Changes nothing, and blocks on the disk.

Invariant: what is given is whole: a body's checksum has been compared before anybody gets to see it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from mdacore import Body, MemoryBody
from mdacore_storage_disk import journal, message
from mdacore_storage_disk.fs import Fs
from mdacore_storage_disk.journal import Event
from mdacore_storage_disk.message import BodyFacts, Head, StoredMessage
from mdacore_storage_disk.record import RecordError
from mdacore_storage_disk.state import Acceptance, Progress

IN_MEMORY_BYTES: Final = 256 * 1024
"""A larger body is read piece by piece, each time that somebody wants it."""
_PIECE_BYTES: Final = 65_536
_CHECKED_AT_ONCE_BYTES: Final = 2**20


@attrs.frozen
class BodyInFile:
    """A body that lies in a message file. It stays readable as long as one of the file's messages is not over."""

    fs: Fs
    path: Path
    offset: int
    size_bytes: int

    def chunks(self, size_bytes: int = _PIECE_BYTES) -> Iterator[bytes]:
        fd = self.fs.open(self.path)
        try:
            for start in range(0, self.size_bytes, size_bytes):
                yield self.fs.read(fd, min(size_bytes, self.size_bytes - start), self.offset + start)
        finally:
            self.fs.close(fd)


@attrs.frozen(kw_only=True)
class Found:
    """A message file and its log as they were read.

    Attributes:
        head_bytes: the first body begins there.
        log_bytes: how many octets of the log are sound; what follows is a crash's tail.
    """

    path: Path
    head: Head
    head_bytes: int
    events: Sequence[Event] = ()
    log_bytes: int = 0

    def acceptance(self) -> Acceptance:
        """Its state by all that its log says. Raises RecordError: they do not fit together."""
        acceptance = Acceptance.of(self.head, self.path.parent.name)
        if acceptance.stem != self.path.stem or len(acceptance.messages) != len(self.head.messages):
            raise RecordError(f"it is the file of {acceptance.stem}, or names an id twice")
        for event in self.events:
            acceptance.apply(event)
        acceptance.log_bytes = self.log_bytes
        return acceptance

    def message(self, queue_id: str) -> StoredMessage:
        """This message as it was written. Raises RecordError."""
        for stored in self.head.messages:
            if stored.queue_id == queue_id:
                return stored
        raise RecordError(f"{queue_id} is not in it")

    def progress(self, stored: StoredMessage) -> Progress:
        """What became of this message's recipients."""
        return Progress.after(stored, self.events)


def read_message_file(fs: Fs, path: Path) -> Found:
    """A message file without its bodies, and without its log.

    Raises:
        RecordError: it is damaged.
        OSError: it cannot be read now, or is gone.
    """
    fd = fs.open(path)
    try:
        first_line = fs.read(fd, message.FIRST_LINE_BYTES, 0)
        rest = fs.read(fd, message.rest_size(first_line), message.FIRST_LINE_BYTES)
    finally:
        fs.close(fd)
    head = message.decode(first_line + rest)
    found = Found(path=path, head=head, head_bytes=len(first_line + rest))
    expected = found.head_bytes + sum(body.size_bytes for body in head.bodies)
    size_bytes = fs.status(path).size_bytes
    if size_bytes != expected:
        raise RecordError(f"it has {size_bytes} octets, and {expected} were stored")
    return found


def read_log(fs: Fs, path: Path) -> tuple[Sequence[Event], int]:
    """The events of a log, and how many octets they take; none if it is not there. Raises RecordError, OSError."""
    try:
        fd = fs.open(path)
    except FileNotFoundError:
        return (), 0
    try:
        return journal.decode(fs.read(fd, fs.status(path).size_bytes, 0))
    finally:
        fs.close(fd)


def read_both(fs: Fs, path: Path) -> Found:
    """A message file with its log. Raises RecordError, OSError."""
    found = read_message_file(fs, path)
    events, log_bytes = read_log(fs, path.with_suffix(".log"))
    return attrs.evolve(found, events=events, log_bytes=log_bytes)


def read_body(fs: Fs, found: Found, index: int) -> Body:
    """One of its bodies, checked. Raises RecordError, OSError."""
    if not 0 <= index < len(found.head.bodies):
        raise RecordError(f"it has no body {index}")
    facts = found.head.bodies[index]
    offset = found.head_bytes + sum(body.size_bytes for body in found.head.bodies[:index])
    body = BodyInFile(fs, found.path, offset, facts.size_bytes)
    if facts.size_bytes > IN_MEMORY_BYTES:
        return _checked(body, facts, body.chunks(_CHECKED_AT_ONCE_BYTES))
    pieces = list(body.chunks(IN_MEMORY_BYTES))
    return _checked(MemoryBody(b"".join(pieces)), facts, pieces)


def _checked(body: Body, facts: BodyFacts, pieces: Sequence[bytes] | Iterator[bytes]) -> Body:
    size_bytes = crc = 0
    for piece in pieces:
        size_bytes += len(piece)
        crc = zlib.crc32(piece, crc)
    if (size_bytes, crc) != (facts.size_bytes, facts.crc):
        raise RecordError("its body is damaged: the checksum is wrong")
    return body
