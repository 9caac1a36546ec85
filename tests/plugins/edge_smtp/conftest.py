"""An SMTP edge to test with: in memory, without sockets; or listening, with clients that speak octets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import gevent
import pytest
from gevent import socket

from mdacore import Chain, Reply
from mdacore.testing import CapturedLog, ManualClock, RecordingHandoff, SessionPeer, make_edge_context
from mdacore_edge_smtp import SmtpConfig, SmtpEdge
from mdacore_edge_smtp.factory import ConnectionFactory
from mdacore_edge_smtp.protocol import CLOSED, NEED_DATA, NEED_TLS

PATIENCE_S = 120.0
ACCEPTED = Reply(code=250, enhanced="2.0.0", text="queued as Q")


@attrs.define
class Wire:
    """Protocol and session without a socket: octets in, replies out."""

    connection: Any
    handoff: RecordingHandoff

    @property
    def protocol(self) -> Any:
        return self.connection._protocol

    @property
    def session(self) -> Any:
        return self.connection._session

    @property
    def is_closed(self) -> bool:
        return bool(self.protocol.end_reason)

    def send(self, data: bytes = b"", *, piece_bytes: int = 0) -> list[str]:
        """Give the data in pieces, or whole; the lines of all replies to it."""
        pieces = [data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes)] if piece_bytes else [data]
        return b"".join(map(self.converse, pieces)).decode("ascii").split("\r\n")[:-1]

    def converse(self, data: bytes) -> bytes:
        """Octets in, octets out."""
        output = self._advance()
        self.protocol.receive(data)
        return output + self._advance()

    def peer(self) -> SessionPeer:
        """For a dialogue."""
        return SessionPeer(self.converse, is_closed=lambda: self.is_closed)

    def greet(self, line: bytes = b"EHLO client.example.org") -> Wire:
        """Past the greeting and EHLO."""
        self.send(line + b"\r\n")
        return self

    def begin(self, *, rcpts: int = 1) -> Wire:
        """In a message: after 354."""
        self.greet()
        rcpt_lines = b"".join(b"RCPT TO:<r%d@example.test>\r\n" % number for number in range(rcpts))
        assert self.send(b"MAIL FROM:<a@example.org>\r\n" + rcpt_lines + b"DATA\r\n")[-1].startswith("354")
        return self

    def _advance(self) -> bytes:
        while (event := self.protocol.next_event()) not in (NEED_DATA, CLOSED):
            if event is NEED_TLS:  # the handshake is the client's next thought: octets stay readable
                self.protocol.tls_started()
                self.session.tls_started()
            else:
                self.session.handle(event)
        return self.protocol.data_to_send()


@pytest.fixture
def log() -> CapturedLog:
    return CapturedLog()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def handoff() -> RecordingHandoff:
    return RecordingHandoff(ACCEPTED)


@pytest.fixture
def make_context(tmp_path: Path, log: CapturedLog, clock: ManualClock, handoff: RecordingHandoff) -> Any:
    """Builds an edge's context around the recording fakes."""
    return partial(
        make_edge_context, state_path=tmp_path, hostname="mx.example.com", clock=clock, log=log, handoff=handoff
    )


@pytest.fixture
def make_wire(make_context: Any, handoff: RecordingHandoff) -> Callable[..., Wire]:
    """Builds sessions in memory, for example.test."""

    def make(
        validators: Chain | None = None, *, kind: type[SmtpConfig] = SmtpConfig, ip: str = "192.0.2.7", **config: Any
    ) -> Wire:
        config.setdefault("domains", ("example.test",))
        factory = ConnectionFactory(kind(**config), make_context(validators=validators))
        return Wire(factory.new(None, ip), handoff)  # type: ignore[arg-type]  # it has no socket

    return make


@pytest.fixture
def wire(make_wire: Callable[..., Wire]) -> Wire:
    return make_wire()


@attrs.define
class Client:
    """An SMTP client that sends octets as they are."""

    sock: socket.socket

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def lines(self, count: int) -> list[str]:
        """The next so many lines; fewer if the connection ends."""
        data = b""
        while data.count(b"\r\n") < count and (piece := self.sock.recv(65_536)):
            data += piece
        return data.decode("ascii").split("\r\n")[:-1]

    def reply(self) -> list[str]:
        """The lines of one reply."""
        lines = self.lines(1)
        while lines[-1][3:4] == "-":
            lines += self.lines(1)
        return lines

    def ask(self, line: bytes, count: int = 1) -> list[str]:
        self.send(line + b"\r\n")
        return self.lines(count)

    def rest(self) -> list[str]:
        """All lines until the server closes."""
        return self.lines(1 << 30)

    def greet(self) -> Client:
        self.lines(1)
        self.send(b"EHLO client.example.org\r\n")
        self.reply()
        return self

    def begin(self) -> Client:
        """In a message: after 354."""
        self.greet()
        self.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        assert self.lines(3)[-1].startswith("354")
        return self


@pytest.fixture
def make_edge(make_context: Any) -> Iterator[Callable[..., SmtpEdge]]:
    """Builds, binds and starts edges on ports of the system's choice; stops them with the test."""
    edges = []

    def make(validators: Chain | None = None, **config: Any) -> SmtpEdge:
        edge = SmtpEdge(
            SmtpConfig(**{"listen": ("127.0.0.1:0",), "domains": ("example.test",), **config}),
            make_context(validators=validators),
        )
        edge.bind()
        edge.start()
        edges.append(edge)
        return edge

    with gevent.Timeout(PATIENCE_S):
        yield make
        for edge in edges:
            edge.stop()


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Connects clients to an edge; closes them with the test."""
    clients = []

    def open_client(edge: SmtpEdge, address: str = "") -> Client:
        host, _, port = (address or edge.addresses[0]).rpartition(":")
        sock = socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S)
        clients.append(sock)
        return Client(sock)

    yield open_client
    for sock in clients:
        sock.close()
