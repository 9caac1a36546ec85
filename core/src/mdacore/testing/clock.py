"""ManualClock: time that moves only when the test says so."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent.event import Event


class ManualClock:
    """A Clock. `advance` moves wall and monotonic time, wakes the sleepers whose time has come, and lets them run."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0
        self._sleepers: list[tuple[float, Event]] = []
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, delay_s: float) -> None:
        wakes = Event()
        self._sleepers.append((self._monotonic + delay_s, wakes))
        wakes.wait()

    def on_advance(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever time has moved."""
        self._listeners.append(listener)

    def advance(self, delay_s: float) -> None:
        """Move time on."""
        self._now += delay_s
        self._monotonic += delay_s
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._monotonic]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._monotonic]
        for _, wakes in due:
            wakes.set()
        for listener in self._listeners:
            listener()
        gevent.idle()

    def jump(self, delay_s: float) -> None:
        """Set the wall clock on or back, as an administrator does; monotonic time does not move."""
        self._now += delay_s
