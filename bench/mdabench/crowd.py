"""Many clients that do next to nothing: connected and silent, or with one octet now and then.

They are plain sockets of this process: what they do costs so little that no generator is needed.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence

from mdabench.load import Unavailable
from mdabench.server import Failed

REPLY_LIMIT_S = 20.0
REPLY_ROOM_BYTES = 4096
DESCRIPTORS_BESIDE = 200  # what this process and a server need beside the clients


def need_descriptors(clients: int) -> None:
    """Allow this process, and those that it starts, so many clients at once. Raises Unavailable."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + DESCRIPTORS_BESIDE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Unavailable(f"{clients} clients need {wanted} open files, and the limit is {hard}: ulimit -Hn")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextlib.contextmanager
def connected(port: int, clients: int) -> Iterator[Sequence[socket.socket]]:
    """So many that have been greeted and have said EHLO; closed at the end. Raises Failed."""
    with contextlib.ExitStack() as opened:
        sockets: list[socket.socket] = []
        for _ in range(clients):
            try:
                client = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=REPLY_LIMIT_S))
                _expect(client, b"220")
                client.sendall(b"EHLO crowd.test\r\n")
                _expect(client, b"250")
            except OSError as error:
                raise Failed(f"client {len(sockets) + 1} of {clients}: {error}") from None
            sockets.append(client)
        yield sockets


@contextlib.contextmanager
def trickling(clients: Sequence[socket.socket], *, interval_s: float) -> Iterator[None]:
    """Meanwhile each sends one octet of an endless command in every interval, one client after the other.

    Raises Failed, at the end, if the server has said a word to one of them or has let it go.
    """
    over = threading.Event()
    thread = threading.Thread(target=_trickle, args=(clients, interval_s, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    must_be_silent(clients)


def must_be_silent(clients: Sequence[socket.socket]) -> None:
    """Raise Failed if one of them has something to read: a reply, or an end."""
    poller = select.poll()
    for client in clients:
        poller.register(client, select.POLLIN)
    answered = poller.poll(0)
    if answered:
        raise Failed(f"{len(answered)} of {len(clients)} waiting clients were answered or disconnected")


def _trickle(clients: Sequence[socket.socket], interval_s: float, over: threading.Event) -> None:
    step_s = interval_s / len(clients)
    due_at = time.monotonic()
    while True:
        for client in clients:
            due_at += step_s
            if over.wait(max(0.0, due_at - time.monotonic())):
                return
            with contextlib.suppress(OSError):  # found out at the end
                client.send(b"x")


def _expect(client: socket.socket, code: bytes) -> None:
    reply = b""
    while not reply.endswith(b"\r\n") or reply.splitlines()[-1][3:4] == b"-":
        piece = client.recv(REPLY_ROOM_BYTES)
        reply += piece
        if not piece or len(reply) > REPLY_ROOM_BYTES:
            raise Failed(f"the server closed the connection after {reply[:80]!r}")
    if not reply.startswith(code):
        raise Failed(f"a client was told {reply[:80]!r}")
