"""Peers: servers as a dialogue talks to them, behind a socket or without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

PATIENCE_S = 60.0


class Peer(Protocol):
    """The server, as a dialogue talks to it."""

    def send(self, data: bytes) -> None:
        """Give it these octets. Blocks until it has taken them. Raises ConnectionError if it has closed."""

    def receive(self) -> bytes:
        """More of what it says; ``b""`` = it has closed. Blocks. Raises TimeoutError if it says nothing."""

    def pending(self) -> bytes | None:
        """What it has already said and nobody has received, without blocking; ``b""`` = nothing that is known of.

        None = it has closed, where that is certain: a socket's peer may close a moment later.
        """


class Socket(Protocol):
    """What is used of a socket, gevent's or the standard library's."""

    def settimeout(self, value: float | None, /) -> None: ...
    def sendall(self, data: bytes, /) -> object: ...
    def recv(self, size_bytes: int, /) -> bytes: ...


@attrs.define
class SocketPeer:
    """A server behind a connected socket, which is the caller's to close; waits `timeout_s` for each of its answers."""

    sock: Socket
    timeout_s: float = PATIENCE_S

    def send(self, data: bytes) -> None:
        self.sock.settimeout(self.timeout_s)
        self.sock.sendall(data)

    def receive(self) -> bytes:
        self.sock.settimeout(self.timeout_s)
        try:
            return self.sock.recv(65_536)
        except ConnectionError:  # reset is as good as closed
            return b""

    def pending(self) -> bytes:
        self.sock.settimeout(0.0)
        try:
            return self.sock.recv(65_536)
        except (BlockingIOError, ConnectionError):
            return b""


class SessionPeer:
    """A session without a socket: `converse` takes octets, none at first for the greeting, and gives its answer."""

    def __init__(self, converse: Callable[[bytes], bytes], *, is_closed: Callable[[], bool]) -> None:
        self._converse = converse
        self._is_closed = is_closed
        self._said = bytearray(converse(b""))

    def send(self, data: bytes) -> None:
        self._said += self._converse(data)

    def receive(self) -> bytes:
        said = self.pending()
        if said == b"":
            raise TimeoutError
        return said or b""

    def pending(self) -> bytes | None:
        said, self._said = bytes(self._said), bytearray()
        return said or (None if self._is_closed() else b"")
