"""Deadlines: the time limit of calls that may each take equally long.

A timer for each call costs more than most calls. Calls with one limit end their time in the order in which they began:
one timer, set for the oldest, does for all of them.
Invariant: a Deadline strikes only inside its own call: one that has ended is never interrupted.
"""

from __future__ import annotations

from typing import Any

import gevent
from greenlet import getcurrent, greenlet


class Deadline(gevent.Timeout):
    """The core's own timer. One that is caught and is not the catcher's own is passed on."""


class TimedCall:
    """One call whose time is limited.

    Attributes:
        expired: what was raised in it when its time was over; None = it was not.
    """

    __slots__ = ("ends_at", "expired", "greenlet")

    def __init__(self, caller: greenlet, ends_at: float) -> None:
        self.greenlet = caller
        self.ends_at = ends_at
        self.expired: Deadline | None = None


class Deadlines:
    """The calls of one hub that may take `limit_s` each."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._calls: dict[TimedCall, None] = {}  # the oldest first
        self._timer: Any = None  # a timer watcher of gevent's loop

    def begin(self) -> TimedCall:
        """From now on the calling greenlet gets a Deadline once the limit is over, until `end`, which must follow."""
        call = TimedCall(getcurrent(), gevent.get_hub().loop.now() + self._limit_s)
        self._calls[call] = None
        if self._timer is None:
            self._set_timer(self._limit_s)
        return call

    def end(self, call: TimedCall) -> None:
        """The call is over, however it ended."""
        self._calls.pop(call, None)
        if not self._calls:
            self._drop_timer()

    def _ring(self) -> None:
        """In the hub: interrupt what is overdue, the oldest first."""
        now = gevent.get_hub().loop.now()
        overdue = [call for call in self._calls if call.ends_at <= now]
        for call in overdue:
            del self._calls[call]
        self._drop_timer()
        if self._calls:
            self._set_timer(next(iter(self._calls)).ends_at - now)
        for call in overdue:  # not by a callback: until it comes, the call might have ended
            call.expired = Deadline()
            call.greenlet.throw(call.expired)

    def _set_timer(self, after_s: float) -> None:
        self._timer = gevent.get_hub().loop.timer(after_s)
        self._timer.start(self._ring)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None
