"""A client of spamd: one connection for each message, over TCP or a UNIX socket.

What the octets mean is not in here (`spamc`). Invariants: one deadline covers a scan, from waiting for a free place to
the last octet of the answer; a connection never outlives its scan, whatever interrupts it.
"""

from __future__ import annotations

import gevent
from gevent import socket
from gevent.lock import BoundedSemaphore

from mdacore import Content
from mdacore_policy_spamassassin.address import Address, UnixAddress
from mdacore_policy_spamassassin.spamc import BadResponse, ResponseParser, Scan, request_head

_RECEIVE_BYTES = 8192


class ScanFailed(Exception):
    """There is no verdict. The text is the cause, for the log."""


class SpamdClient:
    """Has messages scanned, a limited number at once."""

    def __init__(self, address: Address, *, user: str, timeout_s: float, concurrency: int) -> None:
        self._address = address
        self._user = user
        self._timeout_s = timeout_s
        self._concurrency = concurrency
        self._free_places = BoundedSemaphore(concurrency)

    @property
    def in_hand(self) -> int:
        """How many messages are being scanned."""
        return self._concurrency - int(self._free_places.counter)

    def scan(self, content: Content) -> Scan:
        """spamd's verdict on the message. Blocks this greenlet; on a disk as well when the body is a file.

        Raises:
            ScanFailed: there is none, whatever the reason.
        """
        timer = gevent.Timeout.start_new(self._timeout_s)
        try:
            with self._free_places, self._connect() as connection:
                self._send(connection, content)
                return self._receive(connection)
        except gevent.Timeout as expired:
            if expired is not timer:
                raise
            raise ScanFailed(f"{self._address}: no verdict within {self._timeout_s} s") from expired
        except (OSError, BadResponse) as error:
            raise ScanFailed(f"{self._address}: {error}") from error
        finally:
            timer.close()

    def _connect(self) -> socket.socket:
        if not isinstance(self._address, UnixAddress):
            return socket.create_connection((self._address.host, self._address.port))
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A UNIX socket connects at once or, when spamd's backlog is full, not at all: there is nothing to wait for,
            # and gevent would ask again without a pause.
            connection.setblocking(False)
            connection.connect(str(self._address.path))
            connection.setblocking(True)
        except BaseException:
            connection.close()
            raise
        return connection

    def _send(self, connection: socket.socket, content: Content) -> None:
        connection.sendall(request_head(content.size_bytes, user=self._user))
        for chunk in content.chunks():
            connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)  # spamd looks for the end of an empty message

    def _receive(self, connection: socket.socket) -> Scan:
        """Up to the end of the connection: only then is it sure that nothing contradicts the answer."""
        parser = ResponseParser(user=self._user)
        while data := connection.recv(_RECEIVE_BYTES):
            parser.feed(data)
        return parser.result()
