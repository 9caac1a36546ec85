"""Case 103: thousands of clients that send an octet now and then do not stop a good one."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import quantiles

import pytest

from .conftest import PATIENCE_S

WANTED_CLIENTS = 5000
LEAST_CLIENTS = 1000
KEPT_DESCRIPTORS = 500
"""For all else that a process has open, and for what the edge keeps back."""
MESSAGES = 100
TRICKLES = 50
"""Octets between two messages: each client sends one every few seconds, more often than those of the case."""
MAIL = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<r@example.test>\r\n"


@pytest.fixture
def client_count() -> Iterator[int]:
    """As many as the descriptors of one process suffice for, here and in the service, which inherits the limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = before[1] if before[1] != resource.RLIM_INFINITY else WANTED_CLIENTS + KEPT_DESCRIPTORS
    count = min(WANTED_CLIENTS, hard - KEPT_DESCRIPTORS)
    if count < LEAST_CLIENTS:
        pytest.skip(f"{hard} descriptors are too few for {LEAST_CLIENTS} clients")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], count + KEPT_DESCRIPTORS), before[1]))
    yield count
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_case_103_thousands_of_slow_clients_do_not_stop_a_good_one(service, open_client, client_count, record_property):
    """A third each sits before EHLO, in DATA and in a chunk; p99 of the good one's messages is below a second."""
    service.configure('kind = "blackhole"')
    config = service.folder / "mda.toml"
    limits = f'max_sessions = {client_count + 10}\ndomains = ["example.test"]'
    config.write_text(config.read_text().replace('domains = ["example.test"]', limits))
    service.start()

    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), PATIENCE_S))
            for _ in range(client_count)
        ]
        sit_down(slow)
        good = stack.enter_context(open_client(service.port))
        waits_s = []
        for number in range(MESSAGES):
            for at in range(TRICKLES):
                slow[(number * TRICKLES + at) % client_count].send(b"x")
            waits_s.append(send_message(good))

        assert [] == service.events("edge.session_closed")
        assert [] == service.events("edge.client_refused")

    assert MESSAGES == len(service.events("queue.accepted"))
    p99_s = quantiles(waits_s, n=100)[98]
    record_property("clients", client_count)
    record_property("p99_s", round(p99_s, 3))
    print(f"{client_count} slow clients, p99 of a message: {p99_s * 1000:.0f} ms")  # noqa: T201 - with `pytest -rP`
    assert p99_s < 1.0


def sit_down(slow: list[socket.socket]) -> None:
    """Each step of all of them goes out before anybody waits for an answer."""
    in_message = [client for number, client in enumerate(slow) if number % 3]
    read_all(slow, b"220 ")
    for client in in_message:
        client.sendall(b"EHLO client.example.org\r\n")
    read_all(in_message, b"250 ")
    for number, client in enumerate(in_message):
        client.sendall(MAIL + (b"DATA\r\n" if number % 2 else b"BDAT 1000\r\n"))
    read_all([client for number, client in enumerate(in_message) if number % 2], b"354 ")


def read_all(clients: list[socket.socket], last: bytes) -> None:
    """Until a line that begins so has come to each of them."""
    for client in clients:
        said = b""
        while not (said.endswith(b"\r\n") and said.splitlines()[-1].startswith(last)):
            piece = client.recv(65_536)
            assert piece, said
            said += piece


def send_message(client) -> float:
    """How long it took in seconds."""
    began_at = time.monotonic()
    client.send(MAIL + b"DATA\r\n")
    assert ["250", "250", "354"] == [client.reply()[:3] for _ in range(3)]
    client.send(b"Subject: x\r\n\r\ny\r\n.\r\n")
    assert "250" == client.reply()[:3]
    return time.monotonic() - began_at
