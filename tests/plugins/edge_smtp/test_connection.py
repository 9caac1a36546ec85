"""A connection's manners towards other greenlets."""

from __future__ import annotations

import os
from collections.abc import Iterator

import gevent

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
    factory = ConnectionFactory(SmtpConfig(domains=("example.test",)), make_context())
    other = gevent.spawn(count_turns)

    factory.new(sock, ("192.0.2.7", 1)).run()

    other.kill()
    assert turns >= 50
    assert b"354 " in sock.sent
