"""Channel: lines and octets over one UNIX connection, with a limit to each line and to each wait. Both sides use it.

Invariant: whatever the other side sends or does not read, a call ends in time and holds no more than one line.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, ParamSpec, TypeVar

import attrs
from gevent import socket

from mdacore.runtime import Deadline
from mdacore.service.control.requests import Malformed, decode, encode

P = ParamSpec("P")
T = TypeVar("T")

PIECE_SIZE_BYTES: Final = 65_536
_CREDENTIALS: Final = struct.Struct("3i")


class Unheard(Exception):
    """The other side has gone, or took too long."""


@attrs.frozen
class Peer:
    """Who is on the other side, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int


def peer_of(connection: socket.socket) -> Peer:
    """Whoever connected, or listens. Raises OSError."""
    octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _gid = _CREDENTIALS.unpack(octets)
    return Peer(pid, uid)


class Channel:
    """One connection."""

    def __init__(self, connection: socket.socket, *, line_max_bytes: int, patience_s: float) -> None:
        """`line_max_bytes`: of a line that is received; `patience_s`: how long a whole line, or a piece, may take."""
        self._connection = connection
        self._line_max_bytes = line_max_bytes
        self._patience_s = patience_s
        self._pending = b""

    def send(self, message: Mapping[str, object]) -> None:
        """Raises Unheard."""
        self._within_patience(self._connection.sendall, encode(message))

    def send_octets(self, pieces: Iterable[bytes]) -> None:
        """What was announced in a line before. Raises Unheard; OSError of `pieces` is passed on."""
        for piece in pieces:
            self._within_patience(self._connection.sendall, piece)

    def line(self) -> bytes:
        """The next line. Raises Unheard, Malformed."""
        return self._within_patience(self._read_line)

    def receive(self) -> Mapping[str, Any]:
        """The message in the next line. Raises Unheard, Malformed."""
        return decode(self.line())

    def octets(self, size_bytes: int) -> Iterator[bytes]:
        """Exactly so many octets, in pieces. Raises Unheard."""
        while size_bytes:
            piece, self._pending = self._pending[:size_bytes], self._pending[size_bytes:]
            piece = piece or self._within_patience(self._connection.recv, min(size_bytes, PIECE_SIZE_BYTES))
            if not piece:
                raise Unheard("the connection ended early")
            size_bytes -= len(piece)
            yield piece

    def _read_line(self) -> bytes:
        received = bytearray(self._pending)
        while (end := received.find(b"\n")) < 0:
            if len(received) > self._line_max_bytes:
                raise Malformed(f"a line of more than {self._line_max_bytes} octets")
            piece = self._connection.recv(PIECE_SIZE_BYTES)
            if not piece:
                raise Unheard("the connection ended early")
            received += piece
        self._pending = bytes(received[end + 1 :])
        return bytes(received[:end])

    def _within_patience(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with Deadline(self._patience_s) as deadline:
            try:
                return function(*args, **kwargs)
            except Deadline as expired:
                if expired is not deadline:
                    raise
                raise Unheard(f"nothing for {self._patience_s:g} s") from expired
            except OSError as error:
                raise Unheard(str(error)) from error
