"""A connection's manners towards other greenlets."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import gevent
from gevent import socket

from mdacore_edge_smtp import SmtpConfig
from mdacore_edge_smtp.connection import PIECE_SIZE_BYTES
from mdacore_edge_smtp.factory import ConnectionFactory


class EagerSocket:
    """A client that is never waited for: every piece is there, every reply is taken."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.sent = b""
        self._always_readable, other_end = os.pipe()
        os.close(other_end)

    def fileno(self) -> int:
        return self._always_readable

    def recv(self, size_bytes: int) -> bytes:
        return next(self._pieces, b"")[:size_bytes]

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def settimeout(self, seconds: float | None) -> None:
        """It never waits."""

    def close(self) -> None:
        os.close(self._always_readable)


def test_a_client_that_never_makes_it_wait_does_not_have_the_hub_for_itself(make_context):
    """Others get a turn after each piece of `PIECE_SIZE_BYTES`, in a message and between commands."""
    turns = 0

    def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    pieces = [b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n", *[b"x" * PIECE_SIZE_BYTES] * 50]
    sock = EagerSocket(iter(pieces))
    factory = ConnectionFactory(SmtpConfig(domains=("example.test",), strict_synchronization=False), make_context())
    other = gevent.spawn(count_turns)

    factory.new(sock, "192.0.2.7").run()

    other.kill()
    assert turns >= 50
    assert b"354 " in sock.sent


def test_replies_that_a_client_is_slow_to_read_reach_it_whole_and_in_order(make_context):
    """The outbox sends what the socket takes; the rest is sent as the client makes room."""
    client, server = socket.socketpair()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    factory = ConnectionFactory(
        SmtpConfig(domains=("example.test",), max_refused_recipients=0, strict_synchronization=False), make_context()
    )
    rcpts = [b"RCPT TO:<r%d@%s>\r\n" % (n, b"example.test" if n % 3 else b"other.test") for n in range(60)]

    serving = gevent.spawn(factory.new(server, "192.0.2.7").run)
    client.sendall(b"EHLO c\r\n" + (b"MAIL FROM:<>\r\n" + b"".join(rcpts) + b"RSET\r\n") * 20)
    gevent.idle()
    one_transaction = [b"250", *[b"250" if n % 3 else b"550" for n in range(60)], b"250"]
    expected = [b"220", b"250", *one_transaction * 20]
    with client, client.makefile("rb") as replies, gevent.Timeout(60):
        finals = (line[:3] for line in replies if line[3:4] == b" ")
        received = list(itertools.islice(finals, len(expected)))

    serving.join(60)
    assert expected == received
