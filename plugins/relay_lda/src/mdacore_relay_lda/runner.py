"""The runner: one process from its start to its end, under a limit; its output is collected meanwhile.

Which process is not in here, nor what its end means. Invariants: `run` comes back soon after its limit, whatever the
child or what it started does: the end of the child counts, never the end of its output. A child that is not wanted any
longer is ended with its group, also when whoever waited for it was interrupted.
"""

from __future__ import annotations

import os
import signal
from types import TracebackType

import gevent
from gevent.event import AsyncResult

from mdacore_relay_lda.child import Child, Launcher
from mdacore_relay_lda.program import Command
from mdacore_relay_lda.result import Result

REAP_S = 2.0
"""How long SIGKILL may take. A process in the kernel's hands may take longer; it is reaped when it ends."""

_PIPE_BYTES = 65_536
_READABLE = 1


class Runner:
    """Runs commands and knows those that run."""

    def __init__(self, launcher: Launcher, *, output_max_bytes: int) -> None:
        self._launcher = launcher
        self._output_max_bytes = output_max_bytes
        self._running: set[Child] = set()

    def __len__(self) -> int:
        """How many children have not ended."""
        return len(self._running)

    def start(self) -> None:
        """Prepare the launcher."""
        self._launcher.start()

    def stop(self) -> None:
        """Kill what runs; returns when all of it is reaped, at most after `REAP_S`."""
        children = tuple(self._running)
        for child in children:
            child.signal_group(signal.SIGKILL)
        gevent.wait([child.exited for child in children], timeout=REAP_S)

    def run(self, command: Command, stdin_fd: int, *, limit_s: float, grace_s: float) -> Result:
        """Run to the end; blocks this greenlet. After `limit_s` the group gets SIGTERM, `grace_s` later SIGKILL.

        Interrupted (GreenletExit, somebody else's Timeout), the group is ended the same way before this raises; a
        second interruption lets that go on by itself.

        Raises:
            OSError: the process could not be started.
            MdaError: it will not be.
        """
        with _Output(self._output_max_bytes) as output:
            child = self._launcher.launch(command, stdin_fd=stdin_fd, output_fd=output.write_fd)
            self._running.add(child)
            child.exited.rawlink(lambda _: self._running.discard(child))
            output.collect()
            try:
                child.exited.wait(limit_s)
            finally:
                is_overdue = not child.exited.ready()
                if is_overdue:
                    gevent.spawn(_end, child, grace_s).join()
            return _result(child.exited, output.finish(), is_overdue=is_overdue)


def _end(child: Child, grace_s: float) -> None:
    child.signal_group(signal.SIGTERM)
    child.exited.wait(grace_s)
    child.signal_group(signal.SIGKILL)  # also when the child is gone: what it started may have ignored SIGTERM
    child.exited.wait(REAP_S)


def _result(exited: AsyncResult[int], output: bytes, *, is_overdue: bool) -> Result:
    wait_status = exited.value if exited.ready() else None
    if wait_status is None:
        return Result(is_overdue=True, output=output)
    code = os.waitstatus_to_exitcode(wait_status)
    if code < 0:
        return Result(signal=-code, is_overdue=is_overdue, output=output)
    return Result(status=code, is_overdue=is_overdue, output=output)


class _Output:
    """The pipe behind a child's descriptors 1 and 2. Read to the end, kept up to `max_bytes`, in the hub's own turns.

    A grandchild that writes after the child's end gets SIGPIPE.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept = bytearray()
        self._read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_fd, False)
        self._watcher = gevent.get_hub().loop.io(self._read_fd, _READABLE)

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._watcher.stop()
        self._watcher.close()
        os.close(self._read_fd)
        self._close_write_fd()

    def collect(self) -> None:
        """The child has its own copies now: from here on the pipe ends when nobody else writes."""
        self._close_write_fd()
        self._watcher.start(self._read)

    def finish(self) -> bytes:
        """What was kept, with what still is in the pipe: one read empties it."""
        self._read()
        return bytes(self._kept)

    def _read(self) -> None:
        try:
            piece = os.read(self._read_fd, _PIPE_BYTES)
        except BlockingIOError:
            return
        if not piece:
            self._watcher.stop()
        self._kept += piece[: self._max_bytes - len(self._kept)]

    def _close_write_fd(self) -> None:
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1
