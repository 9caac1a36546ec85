"""Content: what the message says, exactly as it was received, and the header edits made on its way.

A body is immutable and may be shared by many envelopes; nothing in here parses it with `email` or writes it again.
Invariant: line ends are CRLF, whatever edge the message came through; with no edits, the bytes that come out are the
bytes that came in.

The header ends before the first line that is neither a field nor the continuation of one (RFC 5322 §2.2): as a rule the
empty line, but not every message has one, and what only looks like a field further down is body. An mbox ``From `` line
on top belongs to the header and is no field.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Protocol

import attrs

CHUNK_SIZE_BYTES = 65_536
_FIELD_NAME = re.compile(rb"[!-9;-~]+")
_FIELD = re.compile(rb"[!-9;-~]+:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")
_HEADER_START = re.compile(rb">?From .*\r\n|(?=[!-9;-~]+[ \t]*:)")
_HEADER_LINES = re.compile(rb"(?:(?:[!-9;-~]+[ \t]*:|[ \t]).*(?:\r\n|\Z))*+")
_FIELD_AFTER_NAME = re.compile(rb"[ \t]*:(.*(?:\r\n|\Z)(?:[ \t].*(?:\r\n|\Z))*+)")


def _lower(name: bytes) -> bytes:
    return name.lower()


class Body(Protocol):
    """Immutable octets with CRLF line ends."""

    @property
    def size_bytes(self) -> int:
        """How many octets `chunks` gives in all."""

    def chunks(self, size_bytes: int = CHUNK_SIZE_BYTES) -> Iterator[bytes]:
        """The octets in order, in pieces of `size_bytes`; the last one may be shorter. May block on a disk."""


@attrs.frozen
class MemoryBody:
    """A body held in memory: up to 256 KB as the edges make them."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def chunks(self, size_bytes: int = CHUNK_SIZE_BYTES) -> Iterator[bytes]:
        if len(self.data) <= size_bytes:
            yield self.data
            return
        for start in range(0, len(self.data), size_bytes):
            yield self.data[start : start + size_bytes]


@attrs.frozen
class FileBody:
    """A body in a file that is complete and never changes again.

    The file belongs to whoever made it until a storage has taken it (see `QueueStorage.write`). A file that is not as
    long as it should be makes `chunks` raise OSError at its end: half a message is never taken for a whole one.
    """

    path: Path
    size_bytes: int

    def chunks(self, size_bytes: int = CHUNK_SIZE_BYTES) -> Iterator[bytes]:
        missing = self.size_bytes
        with self.path.open("rb", buffering=0) as file:
            while piece := file.read(size_bytes):
                missing -= len(piece)
                yield piece
        if missing:
            raise OSError(errno.EIO, f"the body's file lacks {missing} of {self.size_bytes} bytes", str(self.path))


@attrs.frozen
class PrependField:
    """Put a header field before all others: ``b"Name: value\\r\\n"``, with its folded lines (RFC 5322 §2.2)."""

    field: bytes = attrs.field()

    @field.validator
    def _check(self, _: attrs.Attribute[bytes], field: bytes) -> None:
        if not _FIELD.fullmatch(field):
            raise ValueError(f"not one header field with CRLF: {field[:80]!r}")


def _as_tuple(at: Iterable[int] | None) -> tuple[int, ...] | None:
    return None if at is None else tuple(at)


@attrs.frozen
class RemoveFields:
    """Take out the header fields of this name (any case) that stand there when the edit is made.

    Attributes:
        at: which of them, counted from 0 at the top, in rising order; those that are not there are passed over.
            None = every one.
    """

    name: bytes = attrs.field(converter=_lower)
    at: tuple[int, ...] | None = attrs.field(default=None, converter=_as_tuple)

    @name.validator
    def _check(self, _: attrs.Attribute[bytes], name: bytes) -> None:
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError(f"not a header field name: {name[:80]!r}")

    @at.validator
    def _check_at(self, _: attrs.Attribute[tuple[int, ...] | None], at: tuple[int, ...] | None) -> None:
        if at is None:
            return
        if not (at and all(isinstance(index, int) for index in at) and at[0] >= 0):
            raise ValueError(f"not places counted from 0: {at[:10]!r}")
        if any(index <= before for before, index in pairwise(at)):
            raise ValueError(f"not in rising order: {at[:10]!r}")


HeaderEdit = PrependField | RemoveFields


@attrs.frozen
class Content:
    """A body and the header edits on top of it, oldest first."""

    body: Body
    edits: tuple[HeaderEdit, ...] = ()

    def prepend(self, field: bytes) -> Content:
        """The same with one more field on top. Raises ValueError if `field` is not one header field."""
        return Content(self.body, (*self.edits, PrependField(field)))

    def remove(self, name: bytes, *, at: Iterable[int] | None = None) -> Content:
        """The same without the fields of this name: all, or those at these places in `fields`.

        Raises ValueError: not a name, or `at` is empty, does not rise, or begins below 0.
        """
        return Content(self.body, (*self.edits, RemoveFields(name, at)))

    @property
    def size_bytes(self) -> int:
        """The size with all edits made. May block on a disk when the body is a file and there are edits."""
        head, replaced_bytes = self._head()
        return self.body.size_bytes + len(head) - replaced_bytes

    @cached_property
    def header(self) -> bytes:
        """The header block with all edits made, without the empty line after it.

        Every line has its CRLF, but for the last one of a message that ends there without.
        """
        header = self._received_header
        for edit in self.edits:
            header = edit.field + header if isinstance(edit, PrependField) else _without(header, edit)
        return header

    def fields(self, name: bytes) -> list[bytes]:
        """The values of the fields of this name, top down, as they stand: still folded, spaces and final CRLF kept."""
        return [match[1] for match in _fields(self.header, self._header_lines, name)]

    def chunks(self) -> Iterator[bytes]:
        """The whole message, edits made, in order. May block on a disk when the body is a file."""
        head, to_skip = self._head()
        if head:
            yield head
        for piece in self.body.chunks():
            if len(piece) > to_skip:
                yield piece[to_skip:]
            to_skip = max(0, to_skip - len(piece))

    def _head(self) -> tuple[bytes, int]:
        """What comes out before the body, and how many of the body's octets it replaces."""
        prepended = [edit.field for edit in reversed(self.edits) if isinstance(edit, PrependField)]
        if len(prepended) == len(self.edits):  # then the header need not be found
            head, replaced_bytes = b"".join(prepended), 0
        else:
            head, replaced_bytes = self.header, len(self._received_header)
        return (head + b"\r\n" if head and self._starts_with_body else head), replaced_bytes

    @property
    def _starts_with_body(self) -> bool:
        """There is neither a header nor its empty line: without one, new fields would run into the body."""
        start = next(iter(self.body.chunks()), b"")
        return bool(start) and not start.startswith(b"\r\n") and not _HEADER_START.match(start)

    @cached_property
    def _received_header(self) -> bytes:
        pieces = iter(self.body.chunks())
        first = next(pieces, b"")
        start = _HEADER_START.match(first)
        if start is None:
            return b""
        head = bytearray()
        end = start.end()
        for piece in chain((first,), pieces):
            lines_end = len(head) + piece.rfind(b"\n") + 1
            head += piece
            if b"\n" in piece:  # each line is looked at once, when all of it is there: a long header stays linear
                end = _header_lines_end(head, end, lines_end)
                if end < lines_end:
                    return bytes(head[:end])
        return bytes(head[: _header_lines_end(head, end, len(head))])

    @cached_property
    def _header_lines(self) -> bytes:
        return _lower_lines(self.header)


def _header_lines_end(head: bytearray, start: int, stop: int) -> int:
    lines = _HEADER_LINES.match(head, start, stop)
    return lines.end() if lines else start


def _lower_lines(header: bytes) -> bytes:
    """What `_fields` searches: lower case, and a line feed before each line, the first one too."""
    return b"\n" + header.lower()


def _fields(header: bytes, lower_lines: bytes, name: bytes) -> Iterator[re.Match[bytes]]:
    """Each field of this name: the match begins behind the name, its first group is the value.

    Searches for the name first: that is many times faster than a regular expression that ignores case.
    """
    line_start = b"\n" + name.lower()
    at = lower_lines.find(line_start)
    while at >= 0:
        if match := _FIELD_AFTER_NAME.match(header, at + len(name)):
            yield match
        at = lower_lines.find(line_start, at + 1)


def _without(header: bytes, edit: RemoveFields) -> bytes:
    at = None if edit.at is None else frozenset(edit.at)
    kept = []
    start = 0
    for index, match in enumerate(_fields(header, _lower_lines(header), edit.name)):
        if at is None or index in at:
            kept.append(header[start : match.start() - len(edit.name)])
            start = match.end()
    return b"".join((*kept, header[start:]))


def with_lf(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Map CRLF to LF, also where a CRLF lies across two pieces; a CR alone stays."""
    held = b""
    for chunk in chunks:
        piece = held + chunk
        held = b"\r" if piece.endswith(b"\r") else b""
        yield (piece[:-1] if held else piece).replace(b"\r\n", b"\n")
    if held:
        yield held
