"""SMTP clients that note what they were told about each message, in this process, which nobody kills."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from random import Random

import attrs
from host import Host

TIMEOUT_S = 60.0
ACCEPTED_MIN = 20
"""A loop that kills sooner proves nothing."""
LARGE_BYTES = 300_000
"""More than the 256 KB from which on a body is a file."""


@attrs.define
class Sent:
    """One message, and how far it came.

    Attributes:
        state: ``"unsent"`` before its last octet was sent, ``"unknown"`` until it is answered, ``"accepted"``,
            ``"refused"``.
    """

    token: str
    sender: str
    recipients: tuple[str, ...]
    digest: str
    state: str = "unsent"


class Clients:
    """Some threads that send to one host until they are stopped."""

    def __init__(self, host: Host, *, name: str, count: int, seed: int) -> None:
        self.messages: dict[str, Sent] = {}
        self.errors: list[str] = []
        self._host = host
        self._name = name
        self._stopping = threading.Event()
        chances = [Random(f"{seed} {name} {number}") for number in range(count)]
        self._threads = [
            threading.Thread(target=self._run, args=(number, chance), name=f"client {name}.{number}")
            for number, chance in enumerate(chances)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let them finish, and wait for it."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @property
    def has_accepted(self) -> bool:
        """`ACCEPTED_MIN` messages were accepted, ever."""
        return sum(message.state == "accepted" for message in list(self.messages.values())) >= ACCEPTED_MIN

    def wait_for_answers(self) -> None:
        """Until as many were accepted, for a while."""
        end = time.monotonic() + TIMEOUT_S
        while not self.has_accepted and time.monotonic() < end:
            time.sleep(0.005)

    def _run(self, number: int, chance: Random) -> None:
        count = 0
        while not self._stopping.is_set():
            port = self._host.port
            if port is None:
                time.sleep(0.002)
                continue
            try:
                with (
                    socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection,
                    connection.makefile("rb") as lines,
                ):
                    session = _Session(connection, lines)
                    session.open()
                    while not self._stopping.is_set():
                        count += 1
                        message, body = self._message(f"{self._name}c{number}n{count}", chance)
                        session.send(message, body)
                        time.sleep(chance.uniform(0, 0.02))
            except UnexpectedReplyError as unexpected:
                self.errors.append(f"client {self._name}.{number}: {unexpected}")
                return
            except OSError:  # it was killed
                continue

    def _message(self, token: str, chance: Random) -> tuple[Sent, bytes]:
        recipients = []
        for index in range(chance.choice((1, 1, 2, 3))):
            user = f"{token}.{index}.{chance.choice(('ok', 'ok', 'ok', 'later', 'never'))}"
            recipients.append(chance.choice((f"{user}@recorded.test", f"box{chance.randrange(5)}+{user}@boxes.test")))
        size_bytes = LARGE_BYTES if chance.random() < 0.08 else chance.randrange(20, 4000)
        body = (token.encode() + b"\r\n") * (size_bytes // (len(token) + 2) + 1)
        sender = "" if chance.random() < 0.1 else f"sender+{token}@boxes.test"
        message = Sent(token, sender, tuple(recipients), hashlib.sha256(body).hexdigest())
        self.messages[token] = message
        return message, b"Subject: %s\r\n\r\n%s" % (token.encode(), body)


class UnexpectedReplyError(Exception):
    """The server lives, and says what nobody expects."""


class _Session:
    """One connection."""

    def __init__(self, connection: socket.socket, lines: object) -> None:
        self._connection = connection
        self._lines = lines

    def open(self) -> None:
        self._expect("220")
        self._connection.sendall(b"EHLO client.example.org\r\n")
        self._expect("250")

    def send(self, message: Sent, octets: bytes) -> None:
        commands = [f"MAIL FROM:<{message.sender}>", *(f"RCPT TO:<{one}>" for one in message.recipients), "DATA"]
        self._connection.sendall("".join(f"{command}\r\n" for command in commands).encode())
        for command in commands:
            self._expect("354" if command == "DATA" else "250")
        self._connection.sendall(octets)
        message.state = "unknown"
        self._connection.sendall(b".\r\n")
        reply = self._reply()
        message.state = "accepted" if reply.startswith("250 ") else "refused"
        if not reply.startswith(("250 ", "4")):
            raise UnexpectedReplyError(f"{message.token} was answered {reply!r}")

    def _expect(self, code: str) -> None:
        reply = self._reply()
        if not reply.startswith(code):
            raise UnexpectedReplyError(f"{reply!r} instead of {code}")

    def _reply(self) -> str:
        while True:
            line = self._lines.readline(4096)  # type: ignore[attr-defined] # a buffered reader
            if not line.endswith(b"\n"):
                raise ConnectionResetError("the connection ended within a reply")
            if line[3:4] != b"-":
                return line.decode("ascii", "replace").strip()
