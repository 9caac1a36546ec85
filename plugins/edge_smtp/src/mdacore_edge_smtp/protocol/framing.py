"""Framing: where a command line ends, and where a message ends. Nothing in here knows what a command means.

Invariants: only CRLF ends a command line and only CRLF.CRLF ends a message, however the octets were cut into pieces
(RFC 5321 §2.3.8, §4.1.1.4); nothing is kept but what could still become such an end, or a line up to its limit.
"""

from __future__ import annotations

_CR = 0x0D
_DOT_LINE = b"\r\n."
_END_OF_DATA = b"\r\n.\r\n"


class LineTooLong(Exception):
    """A command line over the limit (RFC 5321 §4.5.3.1.4); where the next would begin is not known."""


class BareLineFeed(Exception):
    """A LF without its CR. The rest up to the next CRLF belongs to the same line and is skipped."""


class LineBuffer:
    """Octets that have arrived and are not used up: lines, and the rest that belongs to something else.

    Attributes:
        is_used_up: there are none.
    """

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
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
        if (end if end >= 0 else len(buffer)) - start >= self._max_line_bytes:
            raise LineTooLong
        if end < 0:
            return None
        self._position = end + 1
        self.is_used_up = self._position == len(buffer)
        if end == start or buffer[end - 1] != _CR:
            self._is_skipping = True
            raise BareLineFeed
        return buffer[start : end - 1]

    def take(self) -> bytes:
        """Everything that is left, which is then the caller's."""
        rest = self._buffer[self._position :] if self._position else self._buffer
        self._buffer, self._position = b"", 0
        self.is_used_up = True
        return rest

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


class DataReader:
    """The body after DATA: un-stuffs dots, finds the end, and sees every CR and LF that stands alone.

    After a fault (`has_bare_line_end`, `is_too_big`) no more octets come out; what is left is only searched for its
    end, so that it is never taken for commands.

    Attributes:
        size_bytes: octets so far, as RFC 1870 §5 counts them: with every CRLF, without stuffed dots and the final dot.
        is_ended: the end has arrived.
        rest: what came behind the end.
    """

    def __init__(self, max_size_bytes: int) -> None:
        self._max_size_bytes = max_size_bytes
        # The CRLF of the command line takes part in the end of an empty message (RFC 5321 §4.1.1.4), but not in it.
        self._held = b"\r\n"
        self._to_drop = 2
        self.size_bytes = 0
        self.is_ended = False
        self.rest = b""
        self.has_bare_line_end = False
        self.is_too_big = False

    @property
    def excess_bytes(self) -> int:
        """How far the message is over the limit."""
        return max(0, self.size_bytes - self._max_size_bytes)

    def feed(self, data: bytes) -> bytes:
        """The un-stuffed octets that this piece makes known."""
        window = self._held + data
        dot = window.find(_DOT_LINE)
        if dot < 0:
            has_stuffed, end = False, -1
        else:
            # The end itself is the first line with a dot in nearly every message: then there is nothing to un-stuff.
            end = window.find(_END_OF_DATA, dot)
            has_stuffed = end != dot
        if end >= 0:
            self.is_ended = True
            self.rest = window[end + len(_END_OF_DATA) :]
            lines = window[: end + 2]
        else:
            held = _length_of_possible_end(window)
            self._held = window[len(window) - held :]
            lines = window[: len(window) - held]
        return self._checked(lines.replace(_DOT_LINE, b"\r\n") if has_stuffed else lines)

    def _checked(self, lines: bytes) -> bytes:
        # A CR at the end of a window is held back, so no CRLF is cut in two here.
        crlf_count = lines.count(b"\r\n")
        if lines.count(b"\n") != crlf_count or lines.count(b"\r") != crlf_count:
            self.has_bare_line_end = True
        if self._to_drop and lines:
            lines = lines[self._to_drop :]
            self._to_drop = 0
        self.size_bytes += len(lines)
        self.is_too_big = self.is_too_big or self.size_bytes > self._max_size_bytes
        return b"" if self.is_too_big or self.has_bare_line_end else lines


def _length_of_possible_end(window: bytes) -> int:
    """How many of the last octets could be the beginning of the end."""
    last = window[-1:]
    if last not in b"\r\n.":
        return 0
    return next((length for length in (4, 3, 2, 1) if window.endswith(_END_OF_DATA[:length])), 0)
