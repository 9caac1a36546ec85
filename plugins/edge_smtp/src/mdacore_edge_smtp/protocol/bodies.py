"""The octets of a message: after DATA up to CRLF.CRLF, or chunk by chunk after BDAT. No commands and no replies here.

Invariants: what comes out holds CR and LF only as CRLF, or a fault is noted; after a fault no more octets come out,
and what is left is only read to its end, so that it is never taken for commands (RFC 5321 §2.3.8, §4.1.1.4, RFC 3030).
"""

from __future__ import annotations

import re
from io import IncrementalNewlineDecoder

import attrs

_DOT_LINE = b"\r\n."
_END_OF_DATA = b"\r\n.\r\n"
# A search of `re` for fixed octets runs from CR to CR with memchr, and is more than twice as fast as `bytes.find`.
_SEARCH_DOT_LINE = re.compile(re.escape(_DOT_LINE)).search
_SEARCH_END = re.compile(re.escape(_END_OF_DATA)).search
_LINE_END = re.compile(rb"\r\n|\r|\n")


@attrs.frozen
class Chunk:
    """So many octets of a message, whatever they are (RFC 3030 §2)."""

    size_bytes: int
    is_last: bool


class Body:
    """What both ways to send a message have in common.

    Attributes:
        size_bytes: octets so far, as RFC 1870 §5 counts them: with every CRLF, without stuffed dots and the final dot.
        has_bare_line_end: a CR or LF stood alone, and was not normalized.
        is_too_big: there are more octets than the limit.
    """

    __slots__ = ("_max_size_bytes", "_normalizes", "has_bare_line_end", "is_too_big", "size_bytes")

    def __init__(self, max_size_bytes: int, *, normalizes: bool = False) -> None:
        self._max_size_bytes = max_size_bytes
        self._normalizes = normalizes
        self.size_bytes = 0
        self.has_bare_line_end = False
        self.is_too_big = False

    @property
    def excess_bytes(self) -> int:
        """How far the message is over the limit."""
        return max(0, self.size_bytes - self._max_size_bytes)

    def _checked(self, lines: bytes) -> bytes:
        """The octets that may go on. No CRLF may be cut in two here."""
        if _has_bare_line_end(lines):
            if self._normalizes:
                lines = _LINE_END.sub(b"\r\n", lines)
            else:
                self.has_bare_line_end = True
        self.size_bytes += len(lines)
        self.is_too_big = self.is_too_big or self.size_bytes > self._max_size_bytes
        return b"" if self.is_too_big or self.has_bare_line_end else lines


class DataReader(Body):
    """The body after DATA: un-stuffs dots, finds the end, and sees every CR and LF that stands alone.

    Attributes:
        is_ended: the end has arrived.
        rest: what came behind the end.
    """

    __slots__ = ("_held", "_to_drop", "is_ended", "rest")

    def __init__(self, max_size_bytes: int, *, normalizes: bool = False) -> None:
        super().__init__(max_size_bytes, normalizes=normalizes)
        # The CRLF of the command line takes part in the end of an empty message (RFC 5321 §4.1.1.4), but not in it.
        self._held = b"\r\n"
        self._to_drop = 2
        self.is_ended = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The un-stuffed octets that this piece makes known."""
        window = self._held + data
        dot = _SEARCH_DOT_LINE(window)
        # The end itself is the first line with a dot in nearly every message: then there is nothing to un-stuff.
        end = dot and _SEARCH_END(window, dot.start())
        has_stuffed = dot is not None and (end is None or end.start() != dot.start())
        if end:
            self.is_ended = True
            self.rest = window[end.end() :]
            lines = window[: end.start() + 2]
        else:
            held = _length_of_possible_end(window)
            self._held = window[len(window) - held :]
            lines = window[: len(window) - held]
        if has_stuffed:
            lines = lines.replace(_DOT_LINE, b"\r\n")
        if self._to_drop and lines:
            lines = lines[self._to_drop :]
            self._to_drop = 0
        return self._checked(lines)


class ChunkReader(Body):
    """The body of a message in chunks: nothing is stuffed, and a CRLF may lie across a border (RFC 3030 §2)."""

    __slots__ = ("_held",)

    def __init__(self, max_size_bytes: int, *, normalizes: bool = False) -> None:
        super().__init__(max_size_bytes, normalizes=normalizes)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The octets that this piece makes known."""
        window = self._held + data
        self._held = b"\r" if window.endswith(b"\r") else b""
        return self._checked(window[:-1] if self._held else window)

    def finish(self) -> bytes:
        """The last chunk is whole: the octets that were held back. Again, there are none."""
        held, self._held = self._held, b""
        return self._checked(held)


def _has_bare_line_end(octets: bytes) -> bool:
    """Whether a CR or LF stands alone: what the universal newlines of `io` note, in one pass over the octets."""
    kinds = IncrementalNewlineDecoder(None, translate=False)
    kinds.decode(octets.decode("latin-1"), final=True)
    return kinds.newlines not in (None, "\r\n")


def _length_of_possible_end(window: bytes) -> int:
    """How many of the last octets could be the beginning of the end."""
    last = window[-1:]
    if last not in b"\r\n.":
        return 0
    return next((length for length in (4, 3, 2, 1) if window.endswith(_END_OF_DATA[:length])), 0)
