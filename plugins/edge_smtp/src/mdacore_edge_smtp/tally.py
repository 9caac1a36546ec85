"""Tally: how often each of many has done something lately. Pure; time comes in as an argument.

Invariant: memory is bounded, whatever is counted: when `MAX_KEYS` have been seen within one period, a new one begins.
"""

from __future__ import annotations

MAX_KEYS = 65_536
"""About 10 MB."""


class Tally:
    """Counts in periods that follow each other, so at most twice the limit fits in `period_s`."""

    def __init__(self, limit: int, period_s: float) -> None:
        self._limit = limit
        self._period_s = period_s
        self._ends_at = 0.0
        self._counts: dict[str, int] = {}

    def count(self, key: str, now: float) -> bool:
        """Count one more; True if there are too many with it. `now` is in monotonic seconds."""
        self._look_at(now)
        if key not in self._counts and len(self._counts) >= MAX_KEYS:
            self._counts.clear()
        self._counts[key] = self._counts.get(key, 0) + 1
        return self._counts[key] > self._limit

    def is_used_up(self, key: str, now: float) -> bool:
        """Whether one more would be too many."""
        self._look_at(now)
        return self._counts.get(key, 0) >= self._limit

    def _look_at(self, now: float) -> None:
        if now >= self._ends_at:
            self._counts.clear()
            self._ends_at = now + self._period_s
