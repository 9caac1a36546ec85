"""Deadlines: the time limit of calls that may each take equally long.

A timer for each call costs more than most calls: one timer, which ticks some times within the limit, does for all of
them. A call is struck at the first tick after its time, so it has all of it and at most a twentieth more. No clock is
read: the loop's own is that of the wall, which may jump, while timers run by the monotonic one.
Invariant: a Deadline strikes only inside its own call: one that has ended is never interrupted.
"""

from __future__ import annotations

from typing import Any, Final

import gevent
from greenlet import getcurrent, greenlet

TICKS: Final = 20
"""How often the timer ticks within the limit."""


class Deadline(gevent.Timeout):
    """The core's own timer. One that is caught and is not the catcher's own is passed on."""


class TimedCall:
    """One call whose time is limited.

    Attributes:
        expired: what was raised in it when its time was over; None = it was not.
    """

    __slots__ = ("begun_at", "expired", "greenlet")

    def __init__(self, caller: greenlet, begun_at: int) -> None:
        self.greenlet = caller
        self.begun_at = begun_at
        self.expired: Deadline | None = None

    def interrupt(self) -> None:
        """In the hub: its time is over."""
        self.expired = Deadline()
        self.greenlet.throw(self.expired)


class Deadlines:
    """The calls of one hub that may take `limit_s` each."""

    def __init__(self, limit_s: float) -> None:
        self._tick_s = limit_s / TICKS
        self._ticks = 0
        self._calls: dict[TimedCall, None] = {}  # the oldest first
        self._timer: Any = None  # a timer watcher of gevent's loop
        self._begun = 0  # calls ever

    def begin(self) -> TimedCall:
        """From now on the calling greenlet gets a Deadline once the limit is over, until `end`, which must follow."""
        self._begun += 1
        call = TimedCall(getcurrent(), self._ticks)
        if not self._calls:
            self._keep_ticking()
        self._calls[call] = None
        return call

    def end(self, call: TimedCall) -> None:
        """The call is over, however it ended."""
        self._calls.pop(call, None)
        if self._calls or self._timer is None:
            return
        if self._begun > 1:
            self._timer.ref = False  # it may tick once more, which costs less than a new one, but keeps no loop alive
        else:  # a proxied attempt's limit is its own: nobody may ever come back
            self._drop_timer()

    def strike(self, call: TimedCall) -> None:
        """In the hub: its time is over now, unless it has ended."""
        if call in self._calls:
            del self._calls[call]
            call.interrupt()

    def _tick(self) -> None:
        """In the hub: interrupt what is overdue, the oldest first."""
        self._ticks += 1
        # The first tick of a call may have come at once: it has had its time when all the others have come as well.
        overdue = [call for call in self._calls if self._ticks - call.begun_at > TICKS]
        for call in overdue:  # all of them, before the first goes on: it may begin a call, which needs the timer
            del self._calls[call]
        self._drop_timer()
        if self._calls:
            self._set_timer()
        for call in overdue:  # not by a callback: until it comes, the call might have ended
            call.interrupt()

    def _keep_ticking(self) -> None:
        if self._timer is None:
            self._set_timer()
        else:
            self._timer.ref = True

    def _set_timer(self) -> None:
        self._timer = gevent.get_hub().loop.timer(self._tick_s)
        self._timer.start(self._tick)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None
