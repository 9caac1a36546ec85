"""Postfix as a client: a private instance that sends to the server in each way that a test wants.

It shares the programs of Debian's package and nothing else; the system's own instance is never read or written. The
sender of a message says which way it goes: the keys of `ways` are the local parts. Postfix takes messages with BDAT but
never sends them so; for that there is Exim.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import attrs

from .programs import PATIENCE_S, filled, run
from .server import HOSTNAME, PASSWORD, USER, Server

_RESULT = re.compile(
    r" (?P<id>\w+): to=<(?P<rcpt>[^>]+)>,.* dsn=(?P<dsn>[\d.]+), status=(?P<status>\w+) \((?P<said>.*)\)$", re.MULTILINE
)
_DIALOGUE = re.compile(r"/smtp\[\d+\]: ([<>]) \S+\[127\.0\.0\.1\]:\d+: (.*)$", re.MULTILINE)


def ways(server: Server) -> Mapping[str, str]:
    """What a sender's local part stands for, as Postfix's transport:nexthop."""
    mx = f"[127.0.0.1]:{server.port('mx')}"
    return {
        **{way: f"{way}:{mx}" for way in ("clear", "cached", "secure", "plain", "login")},
        "wrapped": f"wrapped:[127.0.0.1]:{server.port('submissions')}",
        **{way: f"{way}:inet:{server.address('lmtp')}" for way in ("lmtp_tcp", "lmtp_tls")},
        "lmtp_unix": f"lmtp_unix:{server.address('lmtp_unix')}",
    }


@attrs.frozen
class Result:
    """What became of one recipient: ``"sent"``, ``"bounced"`` or ``"deferred"``, and the server's words about it."""

    status: str
    dsn: str
    said: str


@attrs.frozen
class Sent:
    """What Postfix has logged, from a message's arrival until it knew what became of all of its recipients."""

    log: str
    recipients: frozenset[str]

    @property
    def results(self) -> dict[str, Result]:
        return {match["rcpt"]: Result(match["status"], match["dsn"], match["said"]) for match in self._matches()}

    @property
    def statuses(self) -> dict[str, str]:
        return {rcpt: result.status for rcpt, result in self.results.items()}

    @property
    def queue_id(self) -> str:
        (queue_id,) = {match["id"] for match in self._matches()}
        return queue_id

    @property
    def dialogue(self) -> list[str]:
        """The lines of the way `clear`, the client's with ``"> "`` in front and the server's with ``"< "``."""
        return [f"{match[1]} {match[2]}" for match in _DIALOGUE.finditer(self.log)]

    def _matches(self) -> list[re.Match[str]]:
        return [match for match in _RESULT.finditer(self.log) if match["rcpt"] in self.recipients]


@attrs.define
class Postfix:
    """One instance. Whoever starts it stops it."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.folder / "etc"

    def start(self, server: Server) -> None:
        """Start it; what is sent before it is ready waits for it."""
        self._write(server)
        made = run("postfix", "-c", self.config, "check")
        assert 0 == made[0], made
        master = f"{_default('daemon_directory')}/master"
        # Not `postfix start-fg`: a shell would stand between us and the process that has to get the signal.
        self.process = subprocess.Popen([master, "-s", "-c", str(self.config)])

    def stop(self) -> None:
        """SIGTERM: all of its processes end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def send(self, message: bytes, *recipients: str, way: str = "clear", options: Sequence[str] = ()) -> Sent:
        """Send, and wait until it is known what became of each recipient."""
        position = len(self.log())
        self._submit(message, *recipients, way=way, options=options)
        return self._sent(position, recipients)

    def send_to_each(self, message: bytes, recipients: Sequence[str], way: str) -> Sent:
        """Send one message to each of them, without waiting in between, and wait until it is known what became of all.

        Of the way `cached` they go one after the other.
        """
        position = len(self.log())
        for recipient in recipients:
            self._submit(message, recipient, way=way)
        return self._sent(position, recipients)

    def _submit(self, message: bytes, *recipients: str, way: str, options: Sequence[str] = ()) -> None:
        command = [_default("sendmail_path"), "-C", self.config, "-i", "-f", f"{way}@client.test", *options]
        status, said = run(*command, "--", *recipients, stdin=message)
        assert 0 == status, said

    def _sent(self, position: int, recipients: Sequence[str]) -> Sent:
        def sent() -> Sent:
            return Sent(self.log()[position:].rpartition("\n")[0], frozenset(recipients))

        self._wait_until(lambda: set(recipients) == set(sent().results))
        return sent()

    def log(self) -> str:
        path = self.folder / "mail.log"
        return path.read_text() if path.exists() else ""

    def log_until_removed(self, queue_id: str) -> str:
        """What it has logged about this message until that left the queue: every notice about it has been made."""
        self._wait_until(lambda: f" {queue_id}: removed\n" in self.log())
        return "\n".join(line for line in self.log().splitlines() if f" {queue_id}: " in line)

    def wait_until_queued(self, queue_id: str, *recipients: str) -> None:
        """Wait until these recipients of the message, and no others, are still in the queue."""
        self._wait_until(lambda: list(recipients) == self._queued(queue_id))

    def _queued(self, queue_id: str) -> list[str]:
        status, said = run("postqueue", "-c", self.config, "-j")
        assert 0 == status, said
        messages = [json.loads(line) for line in said.splitlines()]
        return [rcpt["address"] for one in messages if one["queue_id"] == queue_id for rcpt in one["recipients"]]

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, self.log()[-8000:]
            time.sleep(0.02)  # another process's progress: there is nothing to wait on but the clock

    def _write(self, server: Server) -> None:
        self.config.mkdir()
        main = filled("main.cf", folder=self.folder, certificate=server.certificate, hostname=HOSTNAME)
        (self.config / "main.cf").write_text(main)
        (self.config / "master.cf").write_text(filled("master.cf"))
        lines = [f"{way}@client.test {hop}\n" for way, hop in ways(server).items()]
        (self.config / "ways").write_text("".join(lines))
        ports = [server.port("mx"), server.port("submissions")]
        (self.config / "passwords").write_text("".join(f"[127.0.0.1]:{port} {USER}:{PASSWORD}\n" for port in ports))
        (self.folder / "lib").mkdir()
        owner = pwd.getpwnam("postfix")
        os.chown(self.folder / "lib", owner.pw_uid, owner.pw_gid)
        (self.folder / "queue").mkdir()


@cache
def _default(name: str) -> str:
    return subprocess.run(["postconf", "-d", "-h", name], capture_output=True, text=True, check=True).stdout.strip()
