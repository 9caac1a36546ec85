"""A real `mdacore run` as a process, on a port of the system's choice, with its log to read."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

PATIENCE_S = 120.0
MDACORE = str(Path(sys.executable).parent / "mdacore")

CONFIG = """
plugins = ["edge_smtp", "storage_shelve", "policy_headers", "relay_maildir", "relay_blackhole"]
[edges.mx]
kind = "smtp"
listen = ["127.0.0.1:0"]
domains = ["example.test"]
[queues.main]
storage = "spool"
policies = ["headers"]
relay = "local"
[policies.headers]
kind = "headers"
[storages.spool]
kind = "shelve"
[relays.local]
{relay}
"""
MAILDIR = 'kind = "maildir"'


@attrs.define
class Service:
    """One state folder and the processes that serve from it, one after the other."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    def configure(self, relay: str = MAILDIR) -> None:
        """Write the configuration with this `[relays.local]`."""
        (self.folder / "mda.toml").write_text(CONFIG.format(relay=relay))

    def command(self, *words: str) -> list[str]:
        return [MDACORE, *words, "--config", str(self.folder / "mda.toml"), "--state", str(self.state)]

    def start(self, *options: str) -> Service:
        """Start and wait until it accepts."""
        self.log.write_bytes(b"")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*self.command("run"), *options], stdout=log, stderr=log, cwd=self.folder)
        started = self.wait_for_event("service.started")
        (address,) = started["addresses"]["edges.mx"]
        self.port = int(address.rpartition(":")[2])
        return self

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def events(self, name: str = "") -> list[dict[str, object]]:
        """What it has logged so far, whole lines only."""
        lines = self.log.read_text().split("\n")[:-1]
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if name in ("", event["event"])]

    def wait_for_event(self, name: str, count: int = 1) -> dict[str, object]:
        """The last of `count` events of this name."""
        self.wait_until(lambda: len(self.events(name)) >= count, f"no {name}")
        return self.events(name)[count - 1]

    def delivered(self) -> list[Path]:
        """The files in the new/ of all maildirs."""
        return sorted((self.state / "maildirs").glob("*/*/new/*"))

    def wait_for_delivery(self, count: int = 1) -> list[Path]:
        self.wait_until(lambda: len(self.delivered()) >= count, f"fewer than {count} delivered")
        return self.delivered()

    def wait_until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Look again and again, for as long as the process lives and patience lasts."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            is_alive = self.process is not None and self.process.poll() is None
            if not is_alive or time.monotonic() > end:
                raise AssertionError(f"{otherwise}; alive: {is_alive}; log:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.01)  # another process's progress: there is nothing to wait on but the clock


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Configured with the embedded defaults, not started; ended with the test."""
    service = Service(tmp_path)
    service.configure()
    yield service
    if service.process is not None and service.process.poll() is None:
        service.kill()


@attrs.define
class Client:
    """An SMTP client that sends bytes as they are and returns whole replies."""

    connection: socket.socket
    lines: Iterator[bytes]

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def reply(self) -> str:
        """The next reply, its lines joined with spaces."""
        texts = []
        while True:
            line = next(self.lines).decode().rstrip("\r\n")
            texts.append(line)
            if line[3:4] != "-":
                return " ".join(texts)

    def ask(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.reply()


@contextlib.contextmanager
def open_client(port: int) -> Iterator[Client]:
    """Connected, greeted and introduced with EHLO."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection,
        connection.makefile("rb") as lines,
    ):
        client = Client(connection, iter(lines))
        assert client.reply().startswith("220 ")
        assert client.ask("EHLO client.example.org").startswith("250")
        yield client


@pytest.fixture(name="open_client")
def _open_client() -> Callable[[int], contextlib.AbstractContextManager[Client]]:
    return open_client
