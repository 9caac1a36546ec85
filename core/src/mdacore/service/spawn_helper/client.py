"""SpawnHelper: the service's side: it forks the helper, hands over what is to be started, and tells how that ended.

Invariants: every process that was started ends in one call of its `on_exit`, also when the helper is lost; whoever gave
up waiting is never called.
"""

from __future__ import annotations

import array
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import E2BIG, EPIPE
from typing import Any

import gevent
from gevent import monkey, socket
from gevent.event import AsyncResult, Event
from gevent.lock import Semaphore

from mdacore import events
from mdacore.assembly.spawning import SpawnRegistry
from mdacore.contracts import EventLog, Health, Status, UnknownUser, UserRefused
from mdacore.service.part import Part
from mdacore.service.privileges import check_no_thread
from mdacore.service.spawn_helper.helper import REAP_S, serve
from mdacore.service.spawn_helper.messages import (
    MAX_MESSAGE_BYTES,
    Malformed,
    Report,
    encode_signal,
    encode_spawn,
    parse_report,
)

_END_S = REAP_S + 1.0


class SpawnHelper(Part):
    """The helper, as a part of the service: it starts while the service is root and has no threads."""

    def __init__(self, registry: SpawnRegistry, *, min_uid: int, log: EventLog) -> None:
        self._registry = registry
        self._min_uid = min_uid
        self._log = log
        self._connection: socket.socket | None = None
        self._sending = Semaphore()
        self._last_job = 0
        self._jobs: dict[int, _Job] = {}
        self._reader: gevent.Greenlet[..., Any] | None = None
        self._has_ended = Event()
        self._trouble = ""

    def start(self) -> None:
        """Fork it. Raises OSError if it cannot be forked, or a thread runs already."""
        check_no_thread()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:  # not gevent's fork: that would begin a hub's new life in the child
                pid = monkey.get_original("os", "fork")()
            except OSError:
                ours.close()
                raise
            if pid == 0:
                serve(theirs.fileno(), self._registry.templates, self._min_uid)
            self._watch(pid)
        self._connection = ours
        self._reader = gevent.spawn(self._read, ours)
        self._registry.connect(self._spawn)
        self._log.info(events.SERVICE_SPAWN_HELPER_STARTED, pid=pid, min_uid=self._min_uid)

    def stop(self) -> None:
        """Let it end; it kills what it still runs."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._reader is not None:
            self._reader.kill()
        connection.close()
        self._lose("the service stops")
        self._has_ended.wait(_END_S)

    def health(self) -> Health:
        """Failed once it is lost: only a service that starts anew can fork it again."""
        status = Status.FAILED if self._trouble else Status.OK
        return Health(status=status, reason=self._trouble, facts={"processes": len(self._jobs)})

    def _watch(self, pid: int) -> None:
        loop = gevent.get_hub().loop
        loop.install_sigchld()
        watcher = loop.child(pid)

        def on_exit() -> None:
            watcher.stop()
            watcher.close()
            self._has_ended.set()

        watcher.start(on_exit)

    def _spawn(
        self,
        template: int,
        values: Sequence[str],
        *,
        stdin_fd: int,
        output_fd: int,
        on_exit: Callable[[int], object],
    ) -> _Job:
        with self._sending:  # the helper takes jobs in the order of their numbers only
            job = _Job(self._last_job + 1, on_exit, self._signal)
            self._send(_packet(job.number, template, values), (stdin_fd, output_fd))
            self._last_job = job.number
            self._jobs[job.number] = job
        try:
            job.started.get()
        except BaseException:
            if self._jobs.pop(job.number, None) is not None:  # interrupted: nobody will want it any more
                self._signal(job.number, signal.SIGKILL)
            raise
        return job

    def _send(self, packet: bytes, fds: Sequence[int]) -> None:
        if self._connection is None or self._trouble:
            raise BrokenPipeError(EPIPE, f"the spawn helper: {self._trouble or 'it does not run'}")
        ancillary = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        self._connection.sendmsg([packet], [ancillary])

    def _signal(self, job: int, number: int) -> None:
        """Never blocks: where the socket is full the packet follows."""
        connection, packet = self._connection, encode_signal(job, number)
        if connection is None:
            return
        try:
            os.write(connection.fileno(), packet)
        except BlockingIOError:
            gevent.spawn(_send_later, connection, packet)
        except OSError:
            return  # the helper has ended, and everything with it

    def _read(self, connection: socket.socket) -> None:
        error: Exception | None = None
        try:
            while packet := connection.recv(MAX_MESSAGE_BYTES):
                self._take(parse_report(packet))
        except (OSError, Malformed) as caught:
            error = caught
        self._lose("it has ended; only a service that starts anew can start it again")
        self._log.error(events.SERVICE_SPAWN_HELPER_FAILED, error=str(error or self._trouble))

    def _take(self, report: Report) -> None:
        job = self._jobs.get(report.job)
        if job is None:  # its caller gave up waiting
            return
        if report.kind == "started":
            job.started.set(None)
            return
        del self._jobs[report.job]
        if report.kind == "exited":
            job.on_exit(report.number)
        else:
            job.started.set_exception(_error(report))

    def _lose(self, why: str) -> None:
        self._trouble = why
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            if job.started.ready():
                job.on_exit(signal.SIGKILL)
            else:
                job.started.set_exception(BrokenPipeError(EPIPE, f"the spawn helper: {why}"))


class _Job:
    """A SpawnedProcess."""

    def __init__(self, number: int, on_exit: Callable[[int], object], send_signal: Callable[[int, int], None]) -> None:
        self.number = number
        self.on_exit = on_exit
        self.started: AsyncResult[None] = AsyncResult()
        self._send_signal = send_signal

    def signal_group(self, number: int) -> None:
        self._send_signal(self.number, number)


def _packet(job: int, template: int, values: Sequence[str]) -> bytes:
    try:
        packet = encode_spawn(job, template, values)
    except ValueError as error:  # a NUL, or what is no Unicode text
        raise UserRefused(str(error)) from error
    if len(packet) > MAX_MESSAGE_BYTES:
        raise OSError(E2BIG, os.strerror(E2BIG))
    return packet


def _error(report: Report) -> Exception:
    if report.kind == "unknown":
        return UnknownUser(report.text)
    return OSError(report.number, report.text) if report.kind == "failed" else UserRefused(report.text)


def _send_later(connection: socket.socket, packet: bytes) -> None:
    with suppress(OSError):  # the helper has ended meanwhile
        connection.send(packet)
