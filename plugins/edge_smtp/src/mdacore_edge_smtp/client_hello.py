"""The name that a TLS client asks for (SNI, RFC 6066 §3), read from its ClientHello. Pure.

The certificate is chosen before the handshake begins, since the ssl module's own way is no way here: gevent's contexts
call `sni_callback` only for sockets (25.5 to 26.9), and Python prints a traceback for each name that is not ASCII.
Invariant: octets that are no ClientHello have no name; what is wrong with them is for OpenSSL to say.
"""

from __future__ import annotations

MAX_SIZE_BYTES = 16_384
"""What is kept of a ClientHello that does not end: one whole record; real ones have two thousand octets."""

MAX_RECORDS = 64
"""Where a name is looked for: whenever octets arrive all are gone through again; real clients need one or two."""

_HANDSHAKE = 22
_CLIENT_HELLO = b"\x01"
_SERVER_NAME = 0
_HOST_NAME = 0
_RECORD_HEADER_BYTES = 5
_BEFORE_SESSION_ID_BYTES = 4 + 2 + 32
"""Type and length, version, random."""


def server_name(data: bytes) -> str | None:
    """The name, in lower case, ``""`` if there is none; None while the ClientHello is not whole."""
    hello = _hello(data)
    if hello is None:
        return None if len(data) <= MAX_SIZE_BYTES else ""
    try:
        return _name_in(_Reader(hello)).decode("ascii").lower()
    except (IndexError, UnicodeDecodeError):
        return ""


def _hello(data: bytes) -> bytes | None:
    """The handshake message, put together from its records; None = more is to come."""
    message, position = b"", 0
    for _ in range(MAX_RECORDS):
        if position >= len(data):
            return None
        if data[position] != _HANDSHAKE:
            return b""
        end = position + _RECORD_HEADER_BYTES + int.from_bytes(data[position + 3 : position + 5])
        message += data[position + _RECORD_HEADER_BYTES : end]
        size_bytes = 4 + int.from_bytes(message[1:4])
        if message[:1] not in (b"", _CLIENT_HELLO) or size_bytes > MAX_SIZE_BYTES:
            return b""
        if 4 <= size_bytes <= len(message):
            return message[:size_bytes]
        position = end
    return b""


class _Reader:
    """Reads fields one behind the other; IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bool__(self) -> bool:
        return bool(self._data)

    def take(self, size_bytes: int) -> bytes:
        if size_bytes > len(self._data):
            raise IndexError
        taken, self._data = self._data[:size_bytes], self._data[size_bytes:]
        return taken

    def number(self, size_bytes: int) -> int:
        return int.from_bytes(self.take(size_bytes))

    def vector(self, length_bytes: int) -> _Reader:
        return _Reader(self.take(self.number(length_bytes)))


def _name_in(hello: _Reader) -> bytes:
    hello.take(_BEFORE_SESSION_ID_BYTES)
    hello.vector(1)  # session id
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression methods
    extensions = hello.vector(2)
    while extensions:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            names = content.vector(2)
            return names.vector(2).take(0) if names.number(1) != _HOST_NAME else names.take(names.number(2))
    return b""
