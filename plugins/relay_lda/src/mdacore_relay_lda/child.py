"""Children: how a command becomes a process, and what can be done with it then.

As another user a program is started by the service's spawn helper, else in here: by `posix_spawn`, never fork,
which copies the server's page tables and blocks the hub for as long as that takes. The hub's own child watcher reaps,
because libev's SIGCHLD handler reaps every child of this process anyway. Both belong to the main thread and its hub
(gevent has child watchers on the default loop only).

Invariants: a child sees the descriptors 0, 1 and 2 and no other; signals are as a fresh program expects them; it leads
a session and a process group of its own; it is reaped as soon as it ends, whether anybody waits for it or not.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from errno import ETIMEDOUT
from pathlib import Path
from typing import Protocol

import gevent
from gevent.event import AsyncResult

from mdacore import SpawnedProcess, Spawner
from mdacore_relay_lda.program import Command

HELPER_START_S = 10.0
"""How long the spawn helper may take to start a program: it may have to ask a directory server who the user is."""

_OWN_FDS = Path("/proc/self/fd")


class Child(Protocol):
    """One running command.

    Attributes:
        exited: its wait status, as `os.waitstatus_to_exitcode` reads it, once it has ended.
    """

    @property
    def exited(self) -> AsyncResult[int]: ...

    def signal_group(self, number: int) -> None:
        """Send a signal to the child and to what it started, as far as that stayed in its group. Raises nothing."""


class Launcher(Protocol):
    """Turns a command into a child."""

    def start(self) -> None:
        """Once, before the first launch."""

    def launch(self, command: Command, *, stdin_fd: int, output_fd: int) -> Child:
        """Start it with `stdin_fd` as 0 and `output_fd` as 1 and 2; both stay the caller's.

        Interrupted, or raising anything, it leaves no child behind.

        Raises:
            OSError: it was not started; `errno` says why.
            MdaError: it will not be; its reply says what that means for the recipients.
        """


class SpawnLauncher:
    """Starts programs as the service's own user."""

    def __init__(self) -> None:
        self._closed_fds: tuple[int, ...] = ()
        self._default_signals = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})

    def start(self) -> None:
        """Prepare the hub: a child that ends before SIGCHLD has its handler would never be noticed.

        Python opens every descriptor close-on-exec; what this process itself was given without is closed in children.
        """
        gevent.get_hub().loop.install_sigchld()
        self._closed_fds = tuple(_inheritable_fds())

    def launch(self, command: Command, *, stdin_fd: int, output_fd: int) -> Child:
        pid = os.posix_spawn(
            command.argv[0],
            command.argv,
            command.environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, stdin_fd, 0),
                (os.POSIX_SPAWN_DUP2, output_fd, 1),
                (os.POSIX_SPAWN_DUP2, output_fd, 2),
                *((os.POSIX_SPAWN_CLOSE, fd) for fd in self._closed_fds),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=self._default_signals,
        )
        return SpawnedChild(pid)


class HelperLauncher:
    """Starts programs as other users, by the service's spawn helper. It fills in a command's facts by itself."""

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner

    def start(self) -> None:
        """The service has started the helper before any relay."""

    def launch(self, command: Command, *, stdin_fd: int, output_fd: int) -> Child:
        exited: AsyncResult[int] = AsyncResult()
        with gevent.Timeout(HELPER_START_S, TimeoutError(ETIMEDOUT, "the spawn helper took too long")):
            process = self._spawner.spawn(command.facts, stdin_fd=stdin_fd, output_fd=output_fd, on_exit=exited.set)
        return HelpersChild(process, exited)


class HelpersChild:
    """A child of the spawn helper, which reaps it."""

    def __init__(self, process: SpawnedProcess, exited: AsyncResult[int]) -> None:
        self._process = process
        self.exited = exited

    def signal_group(self, number: int) -> None:
        """The helper signals the group, and once more when the child has ended."""
        self._process.signal_group(number)


class SpawnedChild:
    """A child of this process. Made right after the spawn: with a switch in between, its end could be missed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exited: AsyncResult[int] = AsyncResult()
        self._watcher = gevent.get_hub().loop.child(pid)
        self._watcher.start(self._on_exit)

    def signal_group(self, number: int) -> None:
        """Send a signal to the group. Once the child is reaped only orphans are left in it.

        A process that has the child's number then is somebody else, and so is its group.
        """
        if self.exited.ready() and _exists(self.pid):
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _on_exit(self) -> None:
        status = self._watcher.rstatus
        self._watcher.stop()
        self._watcher.close()
        self.exited.set(status)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _inheritable_fds() -> Iterator[int]:
    for path in _OWN_FDS.iterdir():
        fd = int(path.name)
        with suppress(OSError):  # the listing's own descriptor is closed by now
            if fd > 2 and not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                yield fd
