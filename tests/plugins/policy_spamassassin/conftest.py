"""A scripted spamd over real sockets, the real one with all its rules, and what a policy is built with."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import gevent
import pytest
from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer

from mdacore import Context
from mdacore.runtime import SystemClock
from mdacore.testing import CapturedLog, make_context
from mdacore_policy_spamassassin import SpamAssassinConfig, SpamAssassinPolicy

CLEAN = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 23\r\nSpam: False ; -0.1 / 5.0\r\n\r\n" + b"DKIM_SIGNED,NO_RECEIVED"
PATIENCE_S = 60.0

Script = Callable[[socket.socket], None]


class FakeSpamd:
    """Does with each connection what its `script` says; by default it reads the request and sends `answer`."""

    def __init__(self) -> None:
        self.answer = CLEAN
        self.script: Script = self.read_and_answer
        self.requests: list[bytes] = []
        self.connections = 0
        self._servers: list[StreamServer] = []

    def listen(self, path: Path | None = None) -> str:
        """Accept connections, at `path` or at a port of the system's choice; returns the address to configure."""
        if path is None:
            listener: socket.socket | tuple[str, int] = ("127.0.0.1", 0)
        else:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(path))
            listener.listen()
        server = StreamServer(listener, self._handle, spawn=Pool())
        server.start()
        self._servers.append(server)
        return f"127.0.0.1:{server.server_port}" if path is None else f"unix:{path}"

    def stop(self) -> None:
        for server in self._servers:
            server.stop(timeout=0)

    def read_and_answer(self, connection: socket.socket) -> None:
        self.requests.append(read_all(connection))
        connection.sendall(self.answer)

    def _handle(self, connection: socket.socket, _: object) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):  # the client may hang up when it likes
            self.script(connection)


def read_all(connection: socket.socket) -> bytes:
    """All that comes until the client has said everything."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.fixture
def fake() -> Iterator[FakeSpamd]:
    fake = FakeSpamd()
    yield fake
    fake.stop()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for sockets, which may not lie deep, and for other users to enter."""
    folder = Path(tempfile.mkdtemp(prefix="mda-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def dead_address() -> str:
    """Where nobody listens."""
    return f"127.0.0.1:{free_port()}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def log() -> CapturedLog:
    return CapturedLog()


@pytest.fixture
def context(log: CapturedLog) -> Context:
    return make_context("policies.spam", clock=SystemClock(), log=log)


MakePolicy = Callable[..., SpamAssassinPolicy]


@pytest.fixture
def make_policy(context: Context) -> MakePolicy:
    """A policy with these keys of its configuration."""

    def make(**keys: object) -> SpamAssassinPolicy:
        return SpamAssassinPolicy(SpamAssassinConfig(**keys), context)

    return make


@attrs.frozen
class RealSpamd:
    """Where the real one listens; the same process at both."""

    tcp: str
    unix: str


@pytest.fixture(scope="session")
def spamd() -> Iterator[RealSpamd]:
    """The real spamd with the rules of its package, without networks and without a memory."""
    program = shutil.which("spamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("spamd is not installed")
    folder = Path(tempfile.mkdtemp(prefix="mda-spamd-"))
    with (folder / "log").open("wb") as log:
        address = RealSpamd(tcp=f"127.0.0.1:{free_port()}", unix=f"unix:{folder}/sock")
        process = subprocess.Popen(spamd_command(program, folder, address), stdout=log, stderr=log, cwd=folder)
    try:
        wait_until_ready(process, folder)
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        shutil.rmtree(folder)


def spamd_command(program: str, folder: Path, address: RealSpamd) -> list[str]:
    settings, home = folder / "etc", folder / "home"
    folder.chmod(0o755)
    settings.mkdir()
    home.mkdir()
    for file in Path("/etc/spamassassin").glob("*.pre"):
        shutil.copy(file, settings)
    (settings / "local.cf").write_text(
        "use_bayes 0\nskip_rbl_checks 1\ndns_available no\nreport_safe 0\nrequired_score 5.0\nlock_method flock\n"
    )
    user = []
    if os.geteuid() == 0:  # spamd refuses to scan as root
        shutil.chown(home, "debian-spamd")
        user = ["-u", "debian-spamd"]
    host, _, port = address.tcp.rpartition(":")
    listen = ["-i", f"{host}:{port}", f"--socketpath={folder}/sock", "--socketmode=666"]
    children = ["-m", "2", "--min-children=1", "--min-spare=1", "--max-spare=1"]
    return [
        program,
        *listen,
        "-L",
        "-x",
        *user,
        *children,
        "-s",
        "stderr",
        f"--siteconfigpath={settings}",
        "-H",
        str(home),
    ]


def wait_until_ready(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until it answers at its UNIX socket, which it opens last."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe, gevent.Timeout(PATIENCE_S):
                probe.connect(str(folder / "sock"))
                probe.sendall(b"PING SPAMC/1.5\r\n\r\n")
                assert probe.recv(100).startswith(b"SPAMD/")
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"spamd did not start:\n{(folder / 'log').read_text()[-4000:]}") from None
            time.sleep(0.02)  # another process's progress: there is nothing to wait on but the clock
