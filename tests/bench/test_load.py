"""The load generator against real sockets. It is compiled here if need be: apt-get install gcc libc6-dev."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mdabench import load
from mdabench.cases import CASES, Case
from mdabench.server import Server, free_port, running
from mdabench.targets import Bare

OK = b"250 2.0.0 Ok\r\n"
LIMIT_S = 60.0


class Responder(socketserver.ThreadingTCPServer):
    """Accepts everything, except that it gives the `final_replies` first, and keeps each message's content."""

    request_queue_size = 128

    def __init__(self, *final_replies: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Dialogue)
        self.final_replies = list(final_replies)
        self.contents: list[bytes] = []
        self.port = int(self.server_address[1])


class Dialogue(socketserver.StreamRequestHandler):
    """One connection."""

    server: Responder

    def handle(self) -> None:
        """Until QUIT, or until the client has had enough."""
        self.wfile.write(b"220 test\r\n")
        with contextlib.suppress(ConnectionError):
            while line := self.rfile.readline():
                if line == b"QUIT\r\n":
                    self.wfile.write(b"221 2.0.0 Bye\r\n")
                    return
                self.wfile.write(self.take_content() if line == b"DATA\r\n" else OK)

    def take_content(self) -> bytes:
        """The reply to the final dot."""
        self.wfile.write(b"354 Go on\r\n")
        self.server.contents.append(b"".join(iter(self.rfile.readline, b".\r\n")))
        return self.server.final_replies.pop(0) if self.server.final_replies else OK


@contextlib.contextmanager
def responding(*final_replies: bytes) -> Iterator[Responder]:
    with Responder(*final_replies) as responder:
        thread = threading.Thread(target=responder.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield responder
        responder.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(Bare(), Path(tmp_path_factory.mktemp("bare"))) as server:
        yield server


@pytest.mark.needs("cc")
class TestAgainstTheBareResponder:
    @pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
    def test_every_message_is_accepted(self, bare: Server, case: Case) -> None:
        outcome = load.run(bare.port, case, messages=200, limit_s=LIMIT_S)

        assert (200, 0, "") == (outcome.messages, outcome.errors, outcome.first_error)

    def test_rate_and_latency_describe_the_same_run(self, bare: Server) -> None:
        outcome = load.run(bare.port, Case(name="one", sessions=1), messages=200, limit_s=LIMIT_S)

        assert pytest.approx(200, rel=0.01) == outcome.rate * outcome.seconds
        assert 0 < outcome.p50_ms <= outcome.p99_ms <= outcome.max_ms < outcome.seconds * 1000

    def test_connections_are_as_many_as_the_case_says(self, bare: Server) -> None:
        reused = load.run(bare.port, Case(name="reused", sessions=4), messages=40, limit_s=LIMIT_S)
        single = load.run(
            bare.port, Case(name="single", sessions=1, messages_a_connection=1), messages=40, limit_s=LIMIT_S
        )

        assert (4, 40) == (reused.connections, single.connections)


@pytest.mark.needs("cc")
class TestStrictness:
    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (b"451 4.3.0 Later\r\n", "content: 451 4.3.0 Later"),
            (b"251 Ok\r\n", "content: 251 Ok"),
            (b"250-2.0.0\r\n451 4.3.0\r\n", "content: 451 4.3.0"),
            (b"250 2.0.0 Ok\n", "content: not a reply line"),
            (b"250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n", "DATA: 250 2.0.0 Ok"),
        ],
        ids=["refused", "another code", "mixed codes", "bare LF", "unasked replies"],
    )
    def test_one_wrong_reply_is_reported_and_the_rest_is_sent(self, reply: bytes, error: str) -> None:
        with responding(reply) as responder:
            outcome = load.run(responder.port, Case(name="strict", sessions=2), messages=20, limit_s=LIMIT_S)

        assert (1, error) == (outcome.errors, outcome.first_error)
        assert 20 == len(responder.contents) + ("DATA" in error)

    def test_refused_message_is_not_counted(self) -> None:
        with responding(b"451 4.3.0 Later\r\n") as responder:
            outcome = load.run(responder.port, Case(name="strict"), messages=200, limit_s=LIMIT_S)

        assert (199, 1) == (outcome.messages, outcome.errors)

    def test_refused_connections_are_errors_and_come_to_an_end(self) -> None:
        outcome = load.run(free_port(), Case(name="nobody"), messages=200, limit_s=LIMIT_S)

        assert (0, 0.0) == (outcome.messages, outcome.rate)
        assert 200 <= outcome.errors < 220

    def test_silent_server_is_left_at_the_time_limit(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            outcome = load.run(silent.getsockname()[1], Case(name="silent"), messages=200, limit_s=0.2)

        assert (0, "time limit: reached before the last reply") == (outcome.messages, outcome.first_error)


class TestContent:
    def test_messages_have_the_size_of_the_case_and_legal_lines(self) -> None:
        with responding() as responder:
            load.run(responder.port, Case(name="sizes", size_bytes=5000), messages=30, limit_s=LIMIT_S)

        assert {5000} == {len(content) for content in responder.contents}
        lines = [line for content in responder.contents for line in content.splitlines(keepends=True)]
        assert all(line.endswith(b"\r\n") and len(line) <= 80 and not line.startswith(b".") for line in lines)
        assert 30 == len({line for line in lines if line.startswith(b"Message-ID:")})
