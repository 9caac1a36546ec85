"""The helper's process: one thread, one loop, one socket. It ends with the socket, and kills what runs then.

Invariants: whatever comes over the socket, nothing runs but a registered template, and nothing as root; a message that
is not legal ends the helper. It never touches the hub that it was forked with.
"""

from __future__ import annotations

import array
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import EAGAIN
from pathlib import Path
from typing import NoReturn

from gevent import monkey

from mdacore import events
from mdacore.contracts import CommandTemplate
from mdacore.service.spawn_helper.messages import (
    MAX_MESSAGE_BYTES,
    Malformed,
    Report,
    Signal,
    Spawn,
    encode_report,
    parse_request,
)
from mdacore.service.spawn_helper.process import Order, Process, close_all_but, default_signals

NAME = "mdacore-spawn"
"""What `ps` shows; at most 15 characters."""
MAX_PROCESSES = 1000
REAP_S = 2.0
"""How long what was killed at the end may take to end; init reaps the rest."""

_PATCHED_MODULES = ("os", "select", "signal", "socket", "time")
_FDS = 2
_INT_BYTES = array.array("i").itemsize
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
"""Who ends a whole group or cgroup means the service; the helper ends after it."""


def serve(fd: int, templates: Sequence[CommandTemplate], min_uid: int) -> NoReturn:
    """What a process does that was forked to be the helper. `fd` is its end of the socket pair."""
    status = 1
    try:
        _become_helper(fd)
        connection = socket.socket(fileno=fd)
        connection.setblocking(True)
        helper = Helper(connection, templates, min_uid)
        try:
            helper.run()
            status = 0
        finally:
            helper.end_all()
    finally:
        error = sys.exc_info()[1]
        if error is not None:
            _log(str(error) if isinstance(error, Malformed | OSError) else repr(error))
        os._exit(status)


def _become_helper(fd: int) -> None:
    gc.freeze()  # nothing of the service's is ever finalised in here
    _unpatch()
    signal.set_wakeup_fd(-1)
    default_signals()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    null_fd = os.open(os.devnull, os.O_RDWR)
    os.dup2(null_fd, 0)
    os.dup2(null_fd, 1)
    close_all_but(fd)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(NAME)


def _unpatch() -> None:
    """The system's own functions again: gevent's want the hub, which stays behind in the service."""
    for name in _PATCHED_MODULES:
        for item, original in monkey.saved.get(name, {}).items():  # type: ignore[attr-defined] # not in gevent's stubs
            setattr(sys.modules[name], item, original)


def _log(error: str) -> None:
    """One line in the service's format, on standard error: the service is not to be trusted with it."""
    line = {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "level": "error",
        "event": events.SERVICE_SPAWN_HELPER_FAILED,
        "instance": "service.spawn_helper",
        "error": error,
    }
    os.write(2, json.dumps(line).encode() + b"\n")


class Helper:
    """Obeys requests until the socket ends."""

    def __init__(self, connection: socket.socket, templates: Sequence[CommandTemplate], min_uid: int) -> None:
        self._connection = connection
        self._templates = templates
        self._min_uid = min_uid
        self._last_job = 0
        self._processes: dict[int, Process] = {}
        self._watched: dict[int, Callable[[], None]] = {}
        self._poll = select.poll()

    def run(self) -> None:
        """Serve. Returns when the service has closed its end.

        Raises:
            Malformed: the service sent what it must not.
        """
        self._poll.register(self._connection, select.POLLIN)
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._connection.fileno():
                    if not self._take_request():
                        return
                elif fd in self._watched:  # else another step of this round has seen to it
                    self._watched[fd]()

    def end_all(self) -> None:
        """Kill what runs, with its groups, and reap it."""
        for process in self._processes.values():
            process.signal(signal.SIGKILL)
        ends_at = time.monotonic() + REAP_S
        for process in self._processes.values():
            poll = select.poll()
            poll.register(process.exit_fd, select.POLLIN)
            poll.poll(max(0.0, ends_at - time.monotonic()) * 1000)
            process.reap()

    def _take_request(self) -> bool:
        fds = array.array("i")
        try:
            packet, ancillary, flags, _ = self._connection.recvmsg(
                MAX_MESSAGE_BYTES, socket.CMSG_LEN(_FDS * _INT_BYTES), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:  # the service has gone without reading the last reports
            return False
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data[: len(data) - len(data) % _INT_BYTES])
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise Malformed("a packet that is too long, or has too many descriptors")
            if not packet and not fds:
                return False
            self._obey(parse_request(packet), fds)
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _obey(self, request: Spawn | Signal, fds: Sequence[int]) -> None:
        if isinstance(request, Spawn):
            if len(fds) != _FDS:
                raise Malformed(f"a spawn with {len(fds)} descriptors")
            self._spawn(request, *fds)
        elif fds:
            raise Malformed("a signal with descriptors")
        elif request.job > self._last_job:
            raise Malformed(f"a signal for job {request.job}, which has never been")
        elif request.job in self._processes:  # else it has ended meanwhile
            self._processes[request.job].signal(request.number)

    def _spawn(self, request: Spawn, stdin_fd: int, output_fd: int) -> None:
        if request.job <= self._last_job:
            raise Malformed(f"job {request.job} after job {self._last_job}")
        if request.template >= len(self._templates):
            raise Malformed(f"template {request.template} of {len(self._templates)}")
        self._last_job = request.job
        order = Order(
            request=request,
            template=self._templates[request.template],
            stdin_fd=stdin_fd,
            output_fd=output_fd,
            min_uid=self._min_uid,
        )
        try:
            if len(self._processes) >= MAX_PROCESSES:
                raise BlockingIOError(EAGAIN, f"{MAX_PROCESSES} processes run already")
            process = Process(order)
        except OSError as error:
            self._report(Report("failed", request.job, error.errno or 0, str(error)))
            return
        self._processes[request.job] = process
        self._watch(process.trouble_fd, lambda: self._on_trouble(request.job))
        self._watch(process.exit_fd, lambda: self._on_exit(request.job))

    def _on_trouble(self, job: int) -> None:
        """It was executed, or it will not be: then its end is nobody's concern."""
        process = self._processes[job]
        self._unwatch(process.trouble_fd)
        self._report(process.outcome())

    def _on_exit(self, job: int) -> None:
        process = self._processes[job]
        if process.trouble_fd in self._watched:
            self._on_trouble(job)
        report = process.reap()
        if report is not None:
            self._unwatch(process.exit_fd)
            del self._processes[job]
            if process.is_started:
                self._report(report)

    def _watch(self, fd: int, step: Callable[[], None]) -> None:
        self._watched[fd] = step
        self._poll.register(fd, select.POLLIN)

    def _unwatch(self, fd: int) -> None:
        del self._watched[fd]
        self._poll.unregister(fd)

    def _report(self, report: Report) -> None:
        """Blocks while the service does not read: that harms nobody but itself."""
        with suppress(BrokenPipeError, ConnectionResetError):  # its end comes up as the next thing to read
            self._connection.send(encode_report(report))
