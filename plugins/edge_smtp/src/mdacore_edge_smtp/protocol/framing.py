"""Framing: where a command line ends. Nothing in here knows what a command means; messages are in bodies.py.

Invariants: only CRLF ends a line, however the octets were cut into pieces (RFC 5321 §2.3.8), unless the operator has
bare LFs normalized; a line is kept up to its limit.
"""

from __future__ import annotations

_CR = 0x0D


class LineTooLong(Exception):
    """A command line over the limit (RFC 5321 §4.5.3.1.4); where the next would begin is not known."""


class BareLineFeed(Exception):
    """A LF without its CR. The rest up to the next CRLF belongs to the same line and is skipped.

    Attributes:
        line: what was in front of it.
    """

    def __init__(self, line: bytes) -> None:
        super().__init__(line)
        self.line = line


class LineBuffer:
    """Octets that have arrived and are not used up: lines, and the rest that belongs to something else.

    Attributes:
        is_used_up: there are none.
        limit_bytes: of the line that is next; set it to make an exception for that one.
    """

    __slots__ = ("_buffer", "_is_skipping", "_max_line_bytes", "_normalizes", "_position", "is_used_up", "limit_bytes")

    def __init__(self, max_line_bytes: int, *, normalizes: bool = False) -> None:
        """`normalizes`: a bare LF ends a line as CRLF does."""
        self._max_line_bytes = self.limit_bytes = max_line_bytes
        self._normalizes = normalizes
        self._buffer = b""
        self._position = 0
        self._is_skipping = False
        self.is_used_up = True

    def append(self, data: bytes) -> None:
        """Add what has arrived."""
        self._buffer = self._buffer[self._position :] + data if self._position < len(self._buffer) else data
        self._position = 0
        self.is_used_up = not self._buffer

    def next_line(self) -> bytes | None:
        """The next line without its CRLF, or None until it is complete.

        Raises:
            LineTooLong: no CRLF within the limit, which counts the CRLF.
            BareLineFeed: raised once for a line, when its LF is found; what follows is the next line.
        """
        if self._is_skipping and not self._skip():
            return None
        buffer, start = self._buffer, self._position
        end = buffer.find(b"\n", start)
        if (end if end >= 0 else len(buffer)) - start >= self.limit_bytes:
            raise LineTooLong
        if end < 0:
            return None
        self.limit_bytes = self._max_line_bytes
        self._position = end + 1
        self.is_used_up = self._position == len(buffer)
        if end == start or buffer[end - 1] != _CR:
            if self._normalizes:
                return buffer[start:end]
            self._is_skipping = True
            raise BareLineFeed(buffer[start:end])
        return buffer[start : end - 1]

    def starts_with(self, text: bytes) -> bool:
        """Whether the next line begins so, in any case; `text` is upper case."""
        return not self._is_skipping and self._buffer[self._position : self._position + len(text)].upper() == text

    def take(self) -> bytes:
        """Everything that is left, which is then the caller's."""
        rest = self._buffer[self._position :] if self._position else self._buffer
        self._buffer, self._position = b"", 0
        self.is_used_up = True
        return rest

    def take_some(self, max_bytes: int) -> bytes:
        """What is left, but no more than this; the rest stays where it is, uncopied."""
        some = self._buffer[self._position : self._position + max_bytes]
        self._position += len(some)
        self.is_used_up = self._position == len(self._buffer)
        if self.is_used_up:
            self._buffer, self._position = b"", 0  # an idle connection is not to keep it
        return some

    def _skip(self) -> bool:
        end = self._buffer.find(b"\r\n", self._position)
        if (end + 1 if end >= 0 else len(self._buffer)) - self._position >= self._max_line_bytes:
            raise LineTooLong
        if end < 0:
            return False
        self._position = end + 2
        self._is_skipping = False
        self.is_used_up = self._position == len(self._buffer)
        return True
