"""Content: what the message says, exactly as it was received, and the header edits made on its way.

A body is immutable and may be shared by many envelopes; nothing in here parses it with `email` or writes it again.
Invariant: line ends are CRLF, whatever edge the message came through; with no edits, the bytes that come out are the
bytes that came in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

import attrs

CHUNK_SIZE_BYTES = 65_536
_FIELD_NAME = re.compile(rb"[!-9;-~]+")
_FIELD = re.compile(rb"[!-9;-~]+:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")


def _lower(name: bytes) -> bytes:
    return name.lower()


class Body(Protocol):
    """Immutable octets with CRLF line ends."""

    @property
    def size_bytes(self) -> int:
        """How many octets `chunks` gives in all."""

    def chunks(self, size_bytes: int = CHUNK_SIZE_BYTES) -> Iterator[bytes]:
        """The octets in order, in pieces of at most `size_bytes`. May block on a disk."""


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

    The file belongs to whoever made it until a storage has taken it (see `QueueStorage.write`).
    """

    path: Path
    size_bytes: int

    def chunks(self, size_bytes: int = CHUNK_SIZE_BYTES) -> Iterator[bytes]:
        with self.path.open("rb", buffering=0) as file:
            while piece := file.read(size_bytes):
                yield piece


@attrs.frozen
class PrependField:
    """Put a header field before all others: ``b"Name: value\\r\\n"``, with its folded lines (RFC 5322 §2.2)."""

    field: bytes = attrs.field()

    @field.validator
    def _check(self, _: attrs.Attribute[bytes], field: bytes) -> None:
        if not _FIELD.fullmatch(field):
            raise ValueError(f"not one header field with CRLF: {field[:80]!r}")


@attrs.frozen
class RemoveFields:
    """Take out every header field of this name (any case) that stands there when the edit is made."""

    name: bytes = attrs.field(converter=_lower)

    @name.validator
    def _check(self, _: attrs.Attribute[bytes], name: bytes) -> None:
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError(f"not a header field name: {name[:80]!r}")


HeaderEdit = PrependField | RemoveFields


@attrs.frozen
class Content:
    """A body and the header edits on top of it, oldest first."""

    body: Body
    edits: tuple[HeaderEdit, ...] = ()

    def prepend(self, field: bytes) -> Content:
        """The same with one more field on top. Raises ValueError if `field` is not one header field."""
        return Content(self.body, (*self.edits, PrependField(field)))

    def remove(self, name: bytes) -> Content:
        """The same without the fields of this name."""
        return Content(self.body, (*self.edits, RemoveFields(name)))

    @property
    def size_bytes(self) -> int:
        """The size with all edits made."""
        return self.body.size_bytes + len(self.header) - len(self._received_header)

    @cached_property
    def header(self) -> bytes:
        """The header block with all edits made: every line with its CRLF, without the empty line that ends it."""
        header = self._received_header
        for edit in self.edits:
            header = edit.field + header if isinstance(edit, PrependField) else _without(header, edit.name)
        return header

    def fields(self, name: bytes) -> list[bytes]:
        """The values of the fields of this name, top down, as they stand: still folded, spaces and final CRLF kept."""
        return [field.partition(b":")[2] for field in _field_pattern(name).findall(self.header)]

    def chunks(self) -> Iterator[bytes]:
        """The whole message, edits made, in order. May block on a disk when the body is a file."""
        if all(isinstance(edit, PrependField) for edit in self.edits):
            prefix = b"".join(edit.field for edit in reversed(self.edits) if isinstance(edit, PrependField))
            yield prefix
            yield from self.body.chunks()
            return
        yield self.header
        to_skip = len(self._received_header)
        for piece in self.body.chunks():
            yield piece[to_skip:]
            to_skip = max(0, to_skip - len(piece))

    @cached_property
    def _received_header(self) -> bytes:
        head = bytearray()
        for piece in self.body.chunks():
            seen = max(0, len(head) - 3)
            head += piece
            if head.startswith(b"\r\n"):
                return b""
            end = head.find(b"\r\n\r\n", seen)
            if end >= 0:
                return bytes(head[: end + 2])
        return bytes(head)


def _without(header: bytes, name: bytes) -> bytes:
    return _field_pattern(name).sub(b"", header)


def _field_pattern(name: bytes) -> re.Pattern[bytes]:
    folded = rb"[ \t]*:.*\r\n(?:[ \t].*\r\n)*"
    return re.compile(rb"^" + re.escape(name) + folded, re.IGNORECASE | re.MULTILINE)


def with_lf(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Map CRLF to LF, also where a CRLF lies across two pieces; a CR alone stays."""
    held = b""
    for chunk in chunks:
        piece = held + chunk
        held = b"\r" if piece.endswith(b"\r") else b""
        yield (piece[:-1] if held else piece).replace(b"\r\n", b"\n")
    if held:
        yield held
