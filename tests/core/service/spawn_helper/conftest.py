"""A real helper behind a real socket pair: what a service that was taken over could say to it."""

from __future__ import annotations

import array
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from mdacore.service.spawn_helper.messages import (
    MAX_MESSAGE_BYTES,
    Report,
    encode_signal,
    encode_spawn,
    parse_report,
)

HELPER = """
import sys
from mdacore import Command
from mdacore.service.spawn_helper.helper import serve

class Script:
    '''Runs a shell script as a user; both, and the script's arguments, are values.'''
    def run_as(self, values):
        return values[0]
    def command(self, values, account):
        argv = ("/bin/sh", "-c", *values[1:])
        environment = {b"HOME": account.home.encode(), b"PATH": b"/usr/bin:/bin"}
        return Command(argv=tuple(value.encode() for value in argv), environment=environment)

class Program(Script):
    '''Runs a program without arguments.'''
    def command(self, values, account):
        return Command(argv=(values[1].encode(),), environment={})

class Broken(Script):
    def command(self, values, account):
        return values["x"]

serve(int(sys.argv[1]), [Script(), Program(), Broken()], int(sys.argv[2]))
"""
PATIENCE_S = 60.0


@attrs.define
class Peer:
    """The service's end of the socket pair."""

    connection: socket.socket
    process: subprocess.Popen[str]

    def send(self, packet: bytes, *fds: int) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.connection.sendmsg([packet], ancillary)

    def spawn(self, job: int, *values: str, template: int = 0, output: Path | None = None) -> None:
        """Ask for a process that reads nothing and writes to a file."""
        null_fd = os.open(os.devnull, os.O_RDWR)
        output_fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if output else os.dup(null_fd)
        self.send(encode_spawn(job, template, values), null_fd, output_fd)
        os.close(null_fd)
        os.close(output_fd)

    def signal(self, job: int, number: int = signal.SIGTERM) -> None:
        self.send(encode_signal(job, number))

    def report(self) -> Report:
        """The next one."""
        try:
            packet = self.connection.recv(MAX_MESSAGE_BYTES)
        except ConnectionResetError as error:
            raise AssertionError(f"the helper has ended: {self.end()}") from error
        return parse_report(packet)

    def end(self) -> tuple[int, str]:
        """Wait until the helper has ended; its exit status and what it said."""
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said


@pytest.fixture
def start_helper(root: None) -> Iterator[Callable[..., Peer]]:
    """Start a helper; what is left of it is killed at the end."""
    peers: list[Peer] = []

    def start(min_uid: int = 500) -> Peer:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(PATIENCE_S)
        command = [sys.executable, "-c", HELPER, str(theirs.fileno()), str(min_uid)]
        with theirs:
            process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True)
        peers.append(Peer(ours, process))
        return peers[-1]

    yield start
    for peer in peers:
        peer.connection.close()
        peer.process.kill()
        peer.process.wait()
        assert peer.process.stderr is not None
        peer.process.stderr.close()


@pytest.fixture
def helper(start_helper: Callable[..., Peer]) -> Peer:
    return start_helper()


@pytest.fixture
def output(public_folder: Path) -> Path:
    """Where a process may write to, through the descriptor that it gets."""
    return public_folder / "output"
