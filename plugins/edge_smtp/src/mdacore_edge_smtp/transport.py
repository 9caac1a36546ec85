"""Transport: one session's socket: who waits for it, what it has not taken yet, and its end; SecureTransport: with TLS.

Invariants: one greenlet receives; others only post replies (`send_now`, for the outbox) and wake it (`interrupt`), so
that no exception strikes between two of its statements; once a SecureTransport is there nothing leaves in clear.
"""

from __future__ import annotations

import contextlib
import enum

import gevent
from gevent import socket

from mdacore_edge_smtp.tls import ChooseContext, TlsLayer

PIECE_SIZE_BYTES = 65_536
"""What is read at once, and what is thrown away at most before a close."""

_READ = 1
"""libev's EV_READ, which `loop.io` takes as a number."""


class _RepliesLeft(Exception):
    """Thrown into the greenlet that waits for its client: the client has not taken all that was sent."""


class Doing(enum.Enum):
    """What the session's greenlet is doing."""

    WORKING = enum.auto()
    RECEIVING = enum.auto()
    SENDING = enum.auto()


class Transport:
    """One accepted socket, in clear. `open` is called by the greenlet that serves it; `send_now` needs no greenlet.

    Attributes:
        tls_version: ``"TLSv1.3"``; ``""`` in clear.
        is_in_flow: more is probably there: try to receive before waiting.
        unsent: octets for the wire that the socket has not taken: `send_rest` before anything else is sent.
    """

    tls_version = ""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._doing = Doing.WORKING
        self.is_in_flow = False
        self.unsent = b""

    @property
    def is_waiting(self) -> bool:
        """It waits for the client."""
        return self._doing is not Doing.WORKING

    def open(self) -> None:
        """Get ready to wait."""
        self._sock.settimeout(0)  # it never waits by itself: its greenlet knows what for
        self._hub = gevent.get_hub()
        self._readable = self._hub.loop.io(self._sock.fileno(), _READ)

    def send_now(self, octets: bytes) -> None:
        """For the outbox: send what the socket takes; the rest, and any error, is the greenlet's."""
        if self.unsent:
            self.unsent += octets
            return
        try:
            sent_bytes = self._sock.send(octets)
        except OSError:
            sent_bytes = 0
        if sent_bytes < len(octets):
            self.unsent = octets[sent_bytes:]
            if self._doing is Doing.RECEIVING:
                self._hub.cancel_wait(self._readable, _RepliesLeft())

    def receive(self) -> bytes | None:
        """Wait for the client: its octets, ``b""`` at the end, None = look whether there is something to do, and wait
        again. Raises OSError: the connection is lost.
        """
        self._doing = Doing.RECEIVING
        try:
            if not self.is_in_flow:  # nothing is there yet, and to find that out by `recv` costs an exception
                self._hub.wait(self._readable)
            return self._sock.recv(PIECE_SIZE_BYTES)
        except (BlockingIOError, _RepliesLeft):
            self.is_in_flow = False
            return None
        finally:
            self._doing = Doing.WORKING

    def receive_at_once(self) -> bytes | None:
        """What is there already; None = nothing."""
        self.is_in_flow = True
        return self.receive()

    def send_rest(self) -> None:
        """Wait until the client has taken what is `unsent`. Raises OSError: it never will."""
        self._doing = Doing.SENDING
        rest, self.unsent = self.unsent, b""
        self._sock.settimeout(None)
        self._sock.sendall(rest)
        self._sock.settimeout(0)
        self._doing = Doing.WORKING

    def interrupt(self, *, receiving: bool, sending: bool) -> None:
        """End its greenlet's wait for the client: no more is received then, or nothing goes either way any more.

        The greenlet gets an end of file, or an OSError. One that does not wait is not interrupted.
        """
        with contextlib.suppress(OSError):  # the client may be gone already
            if receiving and self._doing is Doing.RECEIVING:
                self._sock.shutdown(socket.SHUT_RD)
            elif sending and self._doing is Doing.SENDING:
                self._sock.shutdown(socket.SHUT_RDWR)

    def say_goodbye(self) -> None:
        """Send what comes after the last reply. Never blocks, raises nothing."""

    def linger(self) -> None:
        """Let the client read our last words: closing with octets unread would reset the connection under them."""
        self._doing = Doing.RECEIVING
        self._sock.settimeout(None)
        left_bytes = PIECE_SIZE_BYTES
        with contextlib.suppress(OSError):  # whatever goes wrong now, it is over
            self._sock.shutdown(socket.SHUT_WR)
            while left_bytes > 0 and (data := self._sock.recv(left_bytes)):
                left_bytes -= len(data)

    def close(self) -> None:
        """Close the socket, whatever is unsent."""
        self._readable.close()
        self._sock.close()


class SecureTransport(Transport):
    """The same socket from the first octet of a handshake on; it takes the place of `plain`, which is open."""

    def __init__(self, plain: Transport, choose_context: ChooseContext) -> None:
        super().__init__(plain._sock)
        self._hub, self._readable = plain._hub, plain._readable
        self._tls = TlsLayer(choose_context)

    @property
    def is_established(self) -> bool:
        """The handshake is done."""
        return self._tls.is_established

    @property
    def tls_version(self) -> str:  # type: ignore[override]  # it is not known from the start
        """``"TLSv1.3"``; ``""`` before the handshake is done."""
        return self._tls.version

    def send_now(self, octets: bytes) -> None:
        """For the outbox: as in clear, but encrypted; what is said before the handshake is done is not sent at all."""
        super().send_now(self._tls.encrypt(octets))

    def receive(self) -> bytes | None:
        """As in clear, but decrypted; None also while the handshake goes on. Raises OSError: TlsError as well."""
        data = b"" if self._tls.is_ended else super().receive()
        if not data:
            return data
        try:
            plaintext = self._tls.receive(data)
        finally:
            if octets := self._tls.to_send():
                super().send_now(octets)
        # Records that carry nothing must not keep others from their turn.
        self.is_in_flow = self.is_in_flow and bool(plaintext)
        return plaintext or (b"" if self._tls.is_ended else None)

    def say_goodbye(self) -> None:
        """Say that nothing more comes (close_notify)."""
        super().send_now(self._tls.farewell())
