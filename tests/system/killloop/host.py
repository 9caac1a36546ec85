"""One state folder, and the processes of `mdacore run` that serve from it and are killed, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs

PATIENCE_S = 120.0
PLUGINS = Path(__file__).parent / "plugins"
MDACORE = str(Path(sys.executable).parent / "mdacore")
CONFIG = """
plugins = ["edge_smtp", "storage_shelve", "relay_maildir", "recorder"]
[edges.mx]
kind = "smtp"
listen = ["127.0.0.1:0"]
domains = ["recorded.test", "boxes.test"]
[queues.main]
storage = "spool"
relay = "boxes"
retry = "1s"
[[queues.main.routes]]
domains = ["recorded.test"]
relay = "recorder"
[storages.spool]
kind = "shelve"
[relays.boxes]
kind = "maildir"
[relays.recorder]
kind = "recorder"
loses = {loses}
"""


@attrs.define
class Host:
    """A service that dies often.

    Attributes:
        port: where it accepts now; None = it does not.
        killed_at: epoch seconds, by pid.
    """

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    port: int | None = None
    killed_at: dict[int, float] = attrs.field(factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    def configure(self, *, loses: bool = False) -> None:
        """Write the configuration, once."""
        self.folder.mkdir(parents=True)
        (self.folder / "mda.toml").write_text(CONFIG.format(loses="true" if loses else "false"))

    def launch(self) -> None:
        """Start a process without waiting for it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command("run"), stdout=log, stderr=log, cwd=self.folder, env=self._environment()
            )

    def wait_until_it_accepts(self) -> None:
        """Read its port from its log. Raises AssertionError if it ends or takes too long."""
        process = self._running
        end = time.monotonic() + PATIENCE_S
        while True:
            for line in self._new_lines():
                if b'"service.started"' in line and b'"addresses"' in line:
                    (address,) = json.loads(line)["addresses"]["edges.mx"]
                    self.port = int(address.rpartition(":")[2])
                    return
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"it does not start, status {process.poll()}:\n{self.tail()}")
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL."""
        process = self._running
        self.port = None
        process.kill()
        process.wait()
        self.killed_at[process.pid] = time.time()
        self._read_to = self.log.stat().st_size

    def terminate(self) -> None:
        """SIGTERM. Raises AssertionError if it does not end well."""
        process = self._running
        self.port = None
        process.terminate()
        status = process.wait(PATIENCE_S)
        self._read_to = self.log.stat().st_size
        if status != 0:
            raise AssertionError(f"it ended with {status} after SIGTERM:\n{self.tail()}")

    def entries(self) -> list[dict[str, Any]]:
        """What is queued."""
        command = [*self._command("queue", "list"), "--json"]
        listed = subprocess.run(command, capture_output=True, check=True, env=self._environment(), timeout=PATIENCE_S)
        return [json.loads(line) for line in listed.stdout.splitlines()]

    def release_suspects(self) -> None:
        """Let go what was in hand at four kills: the service holds it, as it should, and an operator finds it sound."""
        command = [*self._command("queue", "release"), "--only", "held", "--reason", "attempts have ended the service"]
        subprocess.run(command, capture_output=True, check=False, env=self._environment(), timeout=PATIENCE_S)

    def bodies(self) -> list[Path]:
        """The files of large bodies, and those that edges were writing."""
        spool = self.state / "spool"
        return [path for part in ("bodies", "spool") for path in (spool / part).glob("*")]

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-3000:]

    _read_to: int = 0

    def _new_lines(self) -> list[bytes]:
        with self.log.open("rb") as log:
            log.seek(self._read_to)
            return log.read().split(b"\n")[:-1]

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise RuntimeError("launch it first")
        return self.process

    def _command(self, *words: str) -> list[str]:
        return [MDACORE, *words, "--config", str(self.folder / "mda.toml"), "--state", str(self.state)]

    def _environment(self) -> dict[str, str]:
        """With its bytecode kept in a folder of ours: compiling it is a third of each start."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**environment, "PYTHONPATH": str(PLUGINS), "PYTHONPYCACHEPREFIX": str(self.folder.parent / "bytecode")}
