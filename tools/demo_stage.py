"""What both tours of the demo stand on: its folder, the processes that it starts, mail into them, and their log.

Signals that end the demo are blocked from its first line to its last and taken only in `pause`: whatever was started
is known by then, and is ended whole, however often somebody presses Ctrl-C.
"""

from __future__ import annotations

import contextlib
import email.policy
import fcntl
import json
import os
import shutil
import signal
import smtplib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from email.message import EmailMessage
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SENDER = "newcomer@example.org"
RECIPIENT = "you@localhost"
PATIENCE_S = 30.0
END_LIMIT_S = 40.0  # more than the service's own grace time
ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
_STEP_S = 0.05

Process = subprocess.Popen[bytes]


class Failed(Exception):
    """The demo could not show what it promised."""


class Stopped(Exception):
    """Somebody wants the demo to end."""


def pause() -> None:
    """Let others go on for a moment. Raises Stopped."""
    time.sleep(_STEP_S)
    if signal.sigpending() & ENDING:
        raise Stopped


@contextlib.contextmanager
def signals_are_taken_in_pause() -> Iterator[None]:
    """Until the end of the block; one that came in the meantime is not left to the rest of the program."""
    blocked_before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        while pending := signal.sigpending() & ENDING:
            signal.sigwait(pending)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked_before)


class Stage:
    """The demo's folder, and the service's log in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.log = self.folder / "log.jsonl"

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Empty the folder of what an earlier demo has left, and keep other demos out of it. Raises Failed."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder_fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(folder_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failed(f"another demo is running in {shown(self.folder)}") from None
            self._empty()
            self.log.touch()
            yield
        finally:
            os.close(folder_fd)

    def _empty(self) -> None:
        left = list(self.folder.iterdir())
        if left and self.log not in left:
            raise Failed(f"{shown(self.folder)} has things in it that are not a demo's")
        for path in left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    @contextlib.contextmanager
    def service(self, *options: str) -> Iterator[Process]:
        """`mdacore run` with these options; it accepts mail when the block begins."""
        command = ["mdacore", "run", *options, "--state", shown(self.folder)]
        print(f"     {' '.join(command)}", flush=True)
        with running(command, self.log) as process:
            wait_for(lambda: self.has_event("service.started"), process, "the service did not start", self.log)
            yield process

    @property
    def port(self) -> int:
        """Where the started service listens."""
        started = next(event for event in self.events() if event["event"] == "service.started")
        addresses = started["addresses"]
        assert isinstance(addresses, dict)  # noqa: S101 - our own log
        ((address,),) = addresses.values()
        return int(address.rpartition(":")[2])

    def has_event(self, name: str, count: int = 1) -> bool:
        """The service has logged it so often."""
        return sum(event["event"] == name for event in self.events()) >= count

    def story(self) -> Iterator[str]:
        """What the log says about sessions and their messages, short."""
        for event in self.events():
            if "session_id" in event:
                details = {key: event[key] for key in _TELLING if key in event}
                yield f"{event['session_id']}  {event['event']:<22}" + "  ".join(f"{k}={v}" for k, v in details.items())

    def events(self) -> Iterator[dict[str, object]]:
        """What it has logged so far."""
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):  # the last one may not be whole yet
                yield json.loads(line)


_TELLING = ("queue_id", "rcpts", "reply", "size_bytes", "is_spam", "score")


@contextlib.contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[Process]:
    """A process in a group of its own, so that Ctrl-C is ours alone; ended at the end, with all that it started."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING),
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_LIMIT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(condition: Callable[[], bool], process: Process, otherwise: str, log: Path) -> None:
    """Look again and again until the condition holds; Failed if the process ends first or patience does."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise Failed(f"{otherwise}; what was said is in {shown(log)}:\n{log.read_text(errors='replace')[-2000:]}")
        pause()


def stay(process: Process) -> int:
    """Until the service ends by itself; returns its status. Raises Stopped."""
    while process.poll() is None:
        pause()
    return process.returncode


def send(port: int, *, subject: str, text: str) -> str:
    """One message over SMTP; returns the service's reply to it."""
    message = EmailMessage()
    message["From"] = f"Newcomer <{SENDER}>"
    message["To"] = f"<{RECIPIENT}>"
    message["Subject"] = subject
    message.set_content(text)
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE_S) as client:
        client.ehlo()
        client.mail(SENDER)
        client.rcpt(RECIPIENT)
        code, reply = client.data(message.as_bytes(policy=email.policy.SMTP))
    if code != 250:
        raise Failed(f"the service refused the message: {code} {reply.decode(errors='replace')}")
    return f"{code} {reply.decode()}"


def only_file(folder: Path) -> Path | None:
    """A message in a maildir's ``new``, if there is one."""
    return next(folder.glob("new/*"), None)


def quote(text: str) -> str:
    """For the terminal, with a bar in front of each line."""
    return "".join(f"     | {line}\n" for line in text.splitlines())


def shown(path: Path) -> str:
    """A path as people like to read it: from the checkout, if it is in there."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
