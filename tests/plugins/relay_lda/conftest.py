"""Relays over small programs, and the real dovecot and maildrop where they are installed."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import gevent
import pytest

from mdacore import Attempt, Content, Context, Envelope, MemoryBody, QueueId, Recipient, Reply
from mdacore.runtime import SystemClock
from mdacore_relay_lda import LdaRelay, PipeConfig, kinds
from mdacore_relay_lda.child import Child, SpawnLauncher
from mdacore_relay_lda.program import Command

PATIENCE_S = 60.0
MESSAGE = b"From: <alice@example.org>\r\nSubject: hello\r\n\r\nHow are you?\r\n"


@attrs.define
class Lines:
    """An EventLog that remembers."""

    written: list[tuple[str, str, dict[str, object]]] = attrs.field(factory=list)

    def debug(self, event: str, **fields: object) -> None:
        self.written.append(("debug", event, fields))

    def info(self, event: str, **fields: object) -> None:
        self.written.append(("info", event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.written.append(("warning", event, fields))

    def error(self, event: str, **fields: object) -> None:
        self.written.append(("error", event, fields))


@attrs.define
class RecordingLauncher:
    """Starts real processes and remembers them; or raises what it is told to."""

    error: OSError | None = None
    children: list[Child] = attrs.field(factory=list)
    commands: list[Command] = attrs.field(factory=list)
    _real: SpawnLauncher = attrs.field(factory=SpawnLauncher)

    def start(self) -> None:
        self._real.start()

    def launch(self, command: Command, *, stdin_fd: int, output_fd: int) -> Child:
        if self.error:
            raise self.error
        child = self._real.launch(command, stdin_fd=stdin_fd, output_fd=output_fd)
        self.commands.append(command)
        self.children.append(child)
        return child


def make_envelope(*addresses: str, sender: str = "alice@example.org", body: bytes = MESSAGE, **changes: object) -> Any:
    envelope = Envelope(
        sender=sender,
        recipients=tuple(Recipient(number=n, address=address) for n, address in enumerate(addresses, 1)),
        content=Content(MemoryBody(body)),
        received_at=1_700_000_000.0,
    )
    return attrs.evolve(envelope, **changes)


@pytest.fixture(name="make_envelope")
def _make_envelope() -> Callable[..., Envelope]:
    """An envelope for these addresses, numbered from 1."""
    return make_envelope


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def launcher() -> RecordingLauncher:
    return RecordingLauncher()


@pytest.fixture
def context(tmp_path: Path, lines: Lines) -> Context:
    return Context(
        instance="relays.local",
        state_path=tmp_path / "state",
        hostname="mx.example.test",
        clock=SystemClock(),
        log=lines,
    )


@pytest.fixture
def started() -> Iterator[Callable[[Any], Any]]:
    """Start a component; stopped at the end of the test."""
    running: list[Any] = []

    def start(component: Any) -> Any:
        component.start()
        running.append(component)
        return component

    yield start
    for component in running:
        component.stop()


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """A shell script as an executable file; returns its path."""
    numbers = count()

    def make(script: str, interpreter: str = "#!/bin/sh\n") -> str:
        path = tmp_path / f"program{next(numbers)}"
        path.write_text(f"{interpreter}{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def make_relay(context: Context, started: Callable[[Any], Any]) -> Callable[..., LdaRelay]:
    """A started relay of the kind `pipe` for this command."""

    def make(*command: str, **config: Any) -> LdaRelay:
        relay: LdaRelay = started(kinds.pipe(PipeConfig(command=command, **config), context))
        return relay

    return make


@pytest.fixture
def attempt() -> Attempt:
    return Attempt(queue_id=QueueId("q123456789"), queue="main", number=1, deadline_s=60.0)


@pytest.fixture
def deliver(make_relay: Callable[..., LdaRelay], attempt: Attempt) -> Callable[..., Reply]:
    """Deliver to one address by a command; returns the reply."""

    def run(
        *command: str, to: str = "bob@example.test", envelope: Mapping[str, Any] | None = None, **config: Any
    ) -> Reply:
        relay = make_relay(*command, **config)
        return relay.attempt(make_envelope(to, **(envelope or {})), attempt)[1]

    return run


def wait_until(condition: Callable[[], object], what: str = "it") -> None:
    """Let other processes go on until something is true."""
    with gevent.Timeout(PATIENCE_S, AssertionError(f"{what} did not happen in {PATIENCE_S} s")):
        while not condition():
            gevent.sleep(0.005)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def count_fds() -> Callable[[], int]:
    """How many descriptors this process has open, without those that garbage holds."""

    def count() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    return count


def is_gone(pid: int) -> bool:
    """The process does not run any more; as an orphan it may wait for init to reap it."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return text.rpartition(")")[2].split()[0] in "ZX"


@pytest.fixture(name="is_gone")
def _is_gone() -> Callable[[int], bool]:
    return is_gone


@pytest.fixture(scope="session")
def make_public_folder() -> Iterator[Callable[[], Path]]:
    """A short path that other users may enter, unlike `tmp_path`; sockets have 107 bytes for theirs."""
    folders: list[Path] = []

    def make() -> Path:
        folders.append(Path(tempfile.mkdtemp(prefix="mdacore-", dir="/tmp")))
        folders[-1].chmod(0o755)
        return folders[-1]

    yield make
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture
def public_folder(make_public_folder: Callable[[], Path]) -> Path:
    return make_public_folder()


def need(*programs: str, root: bool = False) -> None:
    """Leave the test out where a program is missing, or root's rights; never with CI=true."""
    missing = [program for program in programs if not os.access(program, os.X_OK)]
    missing += ["root"] if root and os.geteuid() != 0 else []
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"missing: {', '.join(missing)}")
    if missing:
        pytest.skip(f"missing: {', '.join(missing)}")


@pytest.fixture(name="need", scope="session")
def _need() -> Callable[..., None]:
    return need
