"""TlsLayer: one session's TLS without I/O: octets of the wire in, plaintext out, and the reverse.

OpenSSL works on buffers in memory here, so the socket stays with who waits for it, and nothing blocks the hub. Which
certificate is shown is decided elsewhere (`ChooseContext`). Invariants: nothing comes out of `encrypt` in clear, not
even after a failure; memory holds at most what was given and one record.
"""

from __future__ import annotations

import contextlib
import errno
from typing import Protocol

from gevent import ssl

from mdacore_edge_smtp.client_hello import server_name

MAX_READ_BYTES = 65_536


class ChooseContext(Protocol):
    """Gives the context for the name that a client asks for; ``""`` = for none."""

    def __call__(self, name: str, /) -> ssl.SSLContext: ...


class TlsError(OSError):
    """The other side does not keep to TLS, or wants what it cannot have; `strerror` has OpenSSL's reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPROTO, f"TLS: {reason}")


class TlsLayer:
    """The server's side.

    Attributes:
        is_established: the handshake is done.
        is_ended: the client has said that nothing more comes (close_notify); a truncation attack cannot say it.
    """

    def __init__(self, choose: ChooseContext) -> None:
        self._choose = choose
        self._hello = b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object: ssl.SSLObject | None = None
        self.is_established = False
        self.is_ended = False

    @property
    def version(self) -> str:
        """``"TLSv1.3"``; ``""`` before it is established."""
        return (self._object and self._object.version()) or ""

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the cipher; ``""`` before it is established."""
        cipher = self._object and self._object.cipher()
        return cipher[0] if cipher else ""

    def receive(self, data: bytes) -> bytes:
        """Octets of the wire in, plaintext out; ``b""`` = none yet. `to_send` may have something afterwards.

        Raises:
            TlsError: the session cannot go on; what `to_send` has then is an alert.
        """
        try:
            if self._object is None:
                data = self._begin(data)
            self._incoming.write(data)
            return self._advance()
        except ssl.SSLError as error:
            raise TlsError((error.reason or "unknown").replace("_", " ").lower()) from error

    def encrypt(self, octets: bytes) -> bytes:
        """Plaintext in, octets for the wire out; without a session that works, ``b""``. Raises nothing."""
        if self._object is not None and self.is_established:
            rest = memoryview(octets)
            with contextlib.suppress(ssl.SSLError):  # a broken session: whoever reads from it is told
                while rest:
                    rest = rest[self._object.write(rest) :]
        return self._outgoing.read()

    def to_send(self) -> bytes:
        """What TLS itself has to say."""
        return self._outgoing.read()

    def farewell(self) -> bytes:
        """The close_notify that is sent last. Raises nothing."""
        if self._object is not None and self.is_established:
            with contextlib.suppress(ssl.SSLError):  # it wants the other side's, for which nobody waits
                self._object.unwrap()
        return self._outgoing.read()

    def _begin(self, data: bytes) -> bytes:
        self._hello += data
        name = server_name(self._hello)
        if name is None:
            return b""
        self._object = self._choose(name).wrap_bio(self._incoming, self._outgoing, server_side=True)
        data, self._hello = self._hello, b""
        return data

    def _advance(self) -> bytes:
        pieces: list[bytes] = []
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            if self._object is not None and not self.is_established:
                self._object.do_handshake()
                self.is_established = True
            if self._object is not None:
                while piece := self._object.read(MAX_READ_BYTES):
                    pieces.append(piece)
                self.is_ended = True
        return b"".join(pieces)
