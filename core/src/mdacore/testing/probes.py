"""Probes: what a component does beside its answer. The contract suites look through them. Needs Linux's /proc.

What it leaves behind (`nothing_left`), whether it asks the operating system or waits where it may do neither
(`watched`), whether it lets others run (`hub_turns`), what it does when there is nothing to be had (`few_descriptors`),
and what it makes of an interruption (`killed`, `timed_out`).
"""

from __future__ import annotations

import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Generic, TypeVar

import attrs
import gevent
import greenlet

from mdacore.testing.leaks import no_leaks

T = TypeVar("T")

SOON_S = 2.0
"""How long what has to return soon may take on a busy machine."""
HUB_BLOCKED_S = 1.0
"""A hub that does not turn for so long is blocked: every session and every deadline of the process waits."""
INTERRUPT_AFTER_S = (0.0, 0.0005, 0.002, 0.005, 0.02, 0.06)
"""When calls are interrupted: nobody knows where another's code waits, so several moments are tried."""

_POLL_S = 0.01


@contextmanager
def nothing_left() -> Iterator[None]:
    """`no_leaks`, and no thread more than before either; one that is about to end gets a moment, as does its work."""
    before = _threads()
    with no_leaks(patience_s=SOON_S):
        yield
    ends_at = time.monotonic() + SOON_S
    while left := _threads() - before:
        if time.monotonic() > ends_at:
            raise AssertionError(f"{len(left)} threads still run")
        gevent.sleep(_POLL_S)


def _threads() -> set[str]:
    """Also those that Python does not know of, as a thread pool's."""
    return set(os.listdir("/proc/self/task"))  # noqa: PTH208 - names are all that is wanted


_ASKS = re.compile(
    r"posix\.(open|stat|lstat|fstat|statvfs|access|listdir|scandir|mkdir|rmdir|link|symlink|readlink|unlink|remove"
    r"|rename|replace|chmod|chown|utime|truncate|ftruncate|read|pread|readv|write|pwrite|writev|sendfile|lseek|pipe2?"
    r"|fork|forkpty|posix_spawnp?|system|kill|killpg)"
    r"|io\.open(_code)?|_io\.(FileIO|Buffered\w+|TextIOWrapper)\..*|sqlite3\..*"
    r"|_?socket\.(socket\.)?(connect(_ex)?|bind|listen|accept|_accept|send.*|recv.*|shutdown|getaddrinfo|getnameinfo"
    r"|gethostby.*)|_thread\.start_(new|joinable)_thread"
)
"""C functions behind which there is a disk, a peer, a process or a thread."""

_WAITS = re.compile(
    r"posix\.(fsync|fdatasync|sync|wait|wait3|wait4|waitid|waitpid|system|fork|forkpty)|time\.sleep"
    r"|_posixsubprocess\..*|select\.(select|poll\.poll|epoll\.poll)"
)
"""C functions that keep the whole thread waiting, as a rule for long."""


@attrs.define
class Watch:
    """What one greenlet did under `watched`.

    Attributes:
        asked: the C functions that it called for I/O, processes and threads: ``"posix.stat"``.
        waited: those that kept the thread waiting: ``"posix.fsync"``.
        switches: how often it let other greenlets run.
    """

    asked: list[str] = attrs.field(factory=list)
    waited: list[str] = attrs.field(factory=list)
    switches: int = 0

    def note_call(self, _: FrameType, event: str, function: object) -> None:
        if event != "c_call":
            return
        owner = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__
        name = f"{owner}.{getattr(function, '__qualname__', '')}"
        if _ASKS.fullmatch(name):
            self.asked.append(name)
        if _WAITS.fullmatch(name):
            self.waited.append(name)

    def note_switch(self, _: str, __: tuple[greenlet.greenlet, greenlet.greenlet]) -> None:
        self.switches += 1


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch this greenlet while the block runs, by the interpreter's own hooks: nothing is replaced."""
    watch, profile, trace = Watch(), sys.getprofile(), greenlet.gettrace()
    greenlet.settrace(watch.note_switch)
    sys.setprofile(watch.note_call)
    try:
        yield watch
    finally:
        sys.setprofile(profile)
        greenlet.settrace(trace)


@attrs.define
class HubTurns:
    """Attributes: longest_s: the longest time for which no other greenlet could run."""

    longest_s: float = 0.0
    last_at: float = attrs.field(factory=time.monotonic)

    def beat(self) -> None:
        now = time.monotonic()
        self.longest_s, self.last_at = max(self.longest_s, now - self.last_at), now

    def run(self) -> None:
        while True:
            gevent.sleep(_POLL_S)
            self.beat()


@contextmanager
def hub_turns() -> Iterator[HubTurns]:
    """Measure how well the hub turns while the block runs."""
    turns = HubTurns()
    beating = gevent.spawn(turns.run)
    gevent.sleep(0)
    try:
        yield turns
    finally:
        turns.beat()
        beating.kill()


@contextmanager
def few_descriptors(free: int) -> Iterator[None]:
    """Let the process open only so many descriptors more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {fd for fd in map(int, os.listdir("/proc/self/fd")) if _is_open(fd)}  # noqa: PTH208 - numbers
    unused = (fd for fd in range(soft) if fd not in taken)
    limit = next(islice(unused, free, None))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:  # it was the listing's own
        return False
    return True


class Interruption(gevent.GreenletExit):
    """A kill that can be told from others."""


@attrs.frozen(kw_only=True)
class Struck(Generic[T]):
    """How a call ended that was to be interrupted.

    Attributes:
        result: what it returned, None if the interruption passed through.
        was_in_time: it had ended before the interruption could strike it.
    """

    result: T | None = None
    was_in_time: bool = False


def killed(function: Callable[[], T], after_s: float) -> Struck[T]:
    """Call it in a greenlet of its own, which is killed after a while. Raises what it raised."""
    running = gevent.spawn(function)
    gevent.sleep(after_s)
    interruption = Interruption()
    struck: list[bool] = []

    def strike() -> None:
        if not running.ready():
            struck.append(True)
            running.throw(interruption)

    gevent.get_hub().loop.run_callback(strike)  # as `Greenlet.kill` does, which would not say whether it came too late
    running.join(timeout=SOON_S)
    if not running.ready():
        raise AssertionError(f"killed after {after_s} s, and still running {SOON_S} s later")
    if running.value is interruption:
        return Struck()
    return Struck(result=running.get(), was_in_time=not struck)


def timed_out(function: Callable[[], T], after_s: float) -> Struck[T]:
    """Call it under a timer of ours. Raises what it raised."""
    timer = gevent.Timeout.start_new(after_s)
    try:
        return Struck(result=function(), was_in_time=timer.pending)
    except gevent.Timeout as error:
        if error is timer:
            return Struck()
        raise AssertionError(f"our timer of {after_s} s came out as {error!r}") from error
    finally:
        timer.close()
