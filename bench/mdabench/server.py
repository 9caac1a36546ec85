"""What a target is, and how one is started, awaited and stopped.

Each runs in a process session of its own, so that its CPU time can be told from everybody else's and nothing outlives
it, with an empty data folder, on a loopback port, logging to a file as a service does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mdabench import machine

GREETING_LIMIT_S = 20.0
STOP_LIMIT_S = 15.0


class Failed(Exception):
    """A target did not start, or ended too early; the text has the end of its log."""


class Target:
    """One server. A subclass gives the name, what is on disk at the 250, and the command."""

    name: str
    keeps: str

    def need(self) -> None:
        """Raise Unavailable, with what to install, if it cannot run here."""

    def version(self) -> str:
        """Name and number of what is measured."""
        raise NotImplementedError

    def prepare(self, data: Path, port: int) -> None:
        """Write the configuration into the empty folder."""

    def command(self, data: Path, port: int) -> list[str]:
        """A command that stays in front and ends at SIGTERM."""
        raise NotImplementedError


class Server:
    """A running target."""

    def __init__(self, target: Target, process: subprocess.Popen[bytes], *, port: int, log: Path) -> None:
        self.target = target
        self.port = port
        self._process = process
        self._log = log

    @property
    def session(self) -> int:
        """The process session that holds its processes."""
        return self._process.pid

    def cpu_s(self) -> float:
        """CPU seconds that its processes have used since the start."""
        return machine.session_cpu_s(self._process.pid)

    def read_bytes(self) -> int:
        """What its processes have read from disks since the start."""
        return machine.session_read_bytes(self._process.pid)

    def must_run(self) -> None:
        """Raise Failed if it has ended."""
        if self._process.poll() is not None:
            raise Failed(f"{self.target.name} ended with {self._process.returncode}: {self._tail()}")

    def wait_for_greeting(self) -> None:
        """Return when a client would be served."""
        end = time.monotonic() + GREETING_LIMIT_S
        while time.monotonic() < end:
            self.must_run()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                if client.recv(512).startswith(b"220"):
                    client.sendall(b"QUIT\r\n")
                    client.recv(512)
                    return
            time.sleep(0.05)
        raise Failed(f"{self.target.name} gave no greeting in {GREETING_LIMIT_S:g} s: {self._tail()}")

    def stop(self) -> None:
        """SIGTERM, time to finish, and SIGKILL for whatever of its process group is left then."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_LIMIT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-1500:].strip() or "it said nothing"


@contextlib.contextmanager
def running(target: Target, data: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """The target as a server that has greeted, stopped at the end. ``data`` is an empty folder. Raises Failed.

    The `environment` is added to our own.
    """
    port = free_port()
    target.prepare(data, port)
    log = data / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            target.command(data, port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=data,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    server = Server(target, process, port=port, log=log)
    try:
        server.wait_for_greeting()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A loopback port that nobody has now; servers that cannot choose one themselves need to be told."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
