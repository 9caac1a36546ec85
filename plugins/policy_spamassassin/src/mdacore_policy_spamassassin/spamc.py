"""The spamc protocol without its socket: the request as bytes, and the answer read as it arrives.

The protocol is what `spamd` speaks (SpamAssassin's spamd/PROTOCOL); of its commands only SYMBOLS is in here, whose
answer is the verdict and the names of the rules that hit: the message itself never comes back. Invariants: an answer is
believed whole or not at all, however it was cut into pieces; what is kept of it is bounded; a parsed Scan holds finite
numbers, and symbols that can stand in a header field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

MAX_HEADER_BYTES = 4096
"""spamd's own are below 100 octets."""

MAX_BODY_BYTES = 16_384
"""Some 600 names of rules; a message that hits a hundred is rare."""

_STATUS_LINE = re.compile(rb"SPAMD/1\.[0-9]{1,3} ([0-9]{1,3})(?: ([ -~]*))?")
_HEADER_LINE = re.compile(rb"([A-Za-z0-9-]{1,64}):[ \t]*([ -~]*)")
_LENGTH = re.compile(r"[0-9]{1,9}")
_NUMBER = r"(-?[0-9]{1,9}(?:\.[0-9]{1,15})?)"  # so neither nan nor inf, nor a line of its own
_VERDICT = re.compile(rf"(True|Yes|False|No) *; *{_NUMBER} */ *{_NUMBER} *")
_SYMBOL = rb"[A-Za-z0-9_]{1,100}"  # SpamAssassin ignores rules with other or longer names
_SYMBOLS = re.compile(rb"(?:(%b(?:,%b)*)|)(?:\r\n)?" % (_SYMBOL, _SYMBOL))


class BadResponse(Exception):
    """The answer is none that can be believed, or says that there is no verdict. The text is for the log."""


@attrs.frozen(kw_only=True)
class Scan:
    """spamd's verdict on one message.

    Attributes:
        is_spam: by spamd's own word: a score that is shown as `required` may be just below it.
        score: finite, often negative.
        required: the score from which spamd's configuration calls a message spam.
        symbols: the names of the rules that hit, each of letters, digits and underscores.
    """

    is_spam: bool
    score: float
    required: float
    symbols: tuple[str, ...] = ()


def request_head(size_bytes: int, *, user: str = "") -> bytes:
    """What goes before a message of `size_bytes`; without a `user` spamd applies its own settings.

    From SPAMC/1.3 on, the answer to SYMBOLS has a Content-length.
    """
    user_line = f"User: {user}\r\n" if user else ""
    return f"SYMBOLS SPAMC/1.5\r\n{user_line}Content-length: {size_bytes}\r\n\r\n".encode()


class ResponseParser:
    """Reads one answer. Feed it all that comes until the peer closes, then ask for the `result`.

    Both raise BadResponse, `feed` as soon as nothing that follows could make the answer good; the parser is then of no
    further use.
    """

    def __init__(self, *, user: str = "") -> None:
        self._user = user
        self._buffer = bytearray()  # what is not a whole header line yet, then the body
        self._header_bytes = 0
        self._headers: dict[str, str] | None = None  # None until there is a status line
        self._verdict: Scan | None = None  # None until the header is complete
        self._length_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take the next octets, of any number."""
        self._buffer += data
        while self._verdict is None:
            end = self._buffer.find(b"\r\n")
            line = self._buffer[: end + 2] if end >= 0 else self._buffer
            if self._header_bytes + len(line) > MAX_HEADER_BYTES:
                raise BadResponse(f"the answer's header is longer than {MAX_HEADER_BYTES} bytes")
            if end < 0:
                return
            del self._buffer[: len(line)]
            self._header_bytes += len(line)
            self._take_line(bytes(line[:end]))
        if len(self._buffer) > self._length_bytes:
            raise BadResponse(f"the answer is longer than its Content-length of {self._length_bytes}")

    def result(self) -> Scan:
        """The verdict, now that the peer has closed."""
        if self._verdict is None:
            is_empty = self._headers is None and not self._buffer
            raise BadResponse("closed without an answer" if is_empty else "the answer ends inside its header")
        if len(self._buffer) < self._length_bytes:
            raise BadResponse(f"the answer ends after {len(self._buffer)} of {self._length_bytes} bytes")
        return attrs.evolve(self._verdict, symbols=_symbols(bytes(self._buffer)))

    def _take_line(self, line: bytes) -> None:
        if self._headers is None:
            _check_status(line)
            self._headers = {}
        elif line:
            name, value = _header(line)
            if name in self._headers:
                raise BadResponse(f"the answer has two headers {name}")
            self._headers[name] = value
        else:
            self._take_headers(self._headers)

    def _take_headers(self, headers: Mapping[str, str]) -> None:
        if headers.get("user", self._user) != self._user:
            raise BadResponse("the answer is for another user")
        self._length_bytes = _length_bytes(headers)
        self._verdict = _verdict(headers)


def _check_status(line: bytes) -> None:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise BadResponse(f"not an answer of SPAMD/1.x: {line[:80]!r}")
    if int(match[1]) != 0:
        raise BadResponse(f"spamd said {match[1].decode()} {(match[2] or b'').decode()}")


def _header(line: bytes) -> tuple[str, str]:
    match = _HEADER_LINE.fullmatch(line)
    if match is None:
        raise BadResponse(f"not a header line: {line[:80]!r}")
    return match[1].decode().lower(), match[2].decode().rstrip()


def _length_bytes(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "")
    if not _LENGTH.fullmatch(text) or int(text) > MAX_BODY_BYTES:
        raise BadResponse(f"not a Content-length up to {MAX_BODY_BYTES}: {text[:80]!r}")
    return int(text)


def _verdict(headers: Mapping[str, str]) -> Scan:
    text = headers.get("spam", "")
    match = _VERDICT.fullmatch(text)
    if match is None:
        raise BadResponse(f"not a verdict: {text[:80]!r}")
    return Scan(is_spam=match[1] in ("True", "Yes"), score=float(match[2]), required=float(match[3]))


def _symbols(body: bytes) -> tuple[str, ...]:
    match = _SYMBOLS.fullmatch(body)
    if match is None:
        raise BadResponse(f"not a list of symbols: {body[:80]!r}")
    return tuple(match[1].decode().split(",")) if match[1] else ()
