"""The watchdog: code that blocks the hub is reported, since nothing can stop it.

A timer in the hub beats; a thread of its own looks whether it still does and, if not, at what the hub's thread is
doing. On the way of a message there is nothing. Code that never lets go of the interpreter's lock (one long regular
expression) is noticed only when it is over, without its name.

Invariant: whatever keeps the hub longer than `blocked_s` leaves at least one line, and at most two.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, cast

import gevent
from gevent import monkey

from mdacore import events
from mdacore.contracts import EventLog
from mdacore.runtime.fence import Fence

BEATS = 4
"""In the time after which the hub counts as blocked."""
MAX_FRAMES = 12


class Watchdog:
    """Watches the hub of the thread that starts it.

    The log is written from the watching thread, while the hub cannot: the last lines of others may be lost with it.
    """

    def __init__(self, log: EventLog, *, blocked_s: float) -> None:
        self._log = log
        self._blocked_s = blocked_s
        self._interval_s = blocked_s / BEATS
        self._beat_at = 0.0
        self._timer: Any = None
        # under gevent's patch these names mean greenlets
        self._hub_ident: int = monkey.get_original("_thread", "get_ident")()
        self._running = monkey.get_original("_thread", "allocate_lock")()

    def start(self) -> None:
        """Begin to watch."""
        self._beat_at = time.monotonic()
        self._timer = gevent.get_hub().loop.timer(self._interval_s, self._interval_s, ref=False)
        self._timer.start(self._beat)
        self._running.acquire()
        monkey.get_original("_thread", "start_new_thread")(self._watch, ())

    def stop(self) -> None:
        """End it. Idempotent."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
            self._running.release()

    def _beat(self) -> None:
        """In the hub."""
        now = time.monotonic()
        late_s = now - self._beat_at - self._interval_s
        self._beat_at = now
        if late_s > self._blocked_s:
            self._log.warning(events.SERVICE_UNBLOCKED, blocked_s=round(late_s, 3))

    def _watch(self) -> None:
        """In its own thread, until the lock is free."""
        reported = 0.0
        looked_at = time.monotonic()
        while not self._running.acquire(timeout=self._interval_s):
            now, beat_at = time.monotonic(), self._beat_at
            late_s = now - beat_at - self._interval_s
            has_overslept = now - looked_at > self._blocked_s  # then the process stood still, and not the hub's code
            if late_s > self._blocked_s and reported != beat_at and not has_overslept:
                reported = beat_at
                self._report(late_s)
            looked_at = now

    def _report(self, late_s: float) -> None:
        frames = list(_frames(sys._current_frames().get(self._hub_ident)))
        self._log.warning(
            events.SERVICE_BLOCKED,
            blocked_s=round(late_s, 3),
            component=next(filter(None, map(_instance, frames)), ""),
            function=_place(frames[0]) if frames else "",
            frames=[_place(frame) for frame in frames[:MAX_FRAMES]],
        )


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}:{frame.f_lineno}"


def _instance(frame: FrameType) -> str:
    """The instance whose fence this frame is a call through, or ``""``."""
    if frame.f_code is not Fence.call.__code__:
        return ""
    return cast(Fence, frame.f_locals["self"]).instance
