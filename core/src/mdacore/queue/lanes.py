"""Lanes: how many attempts run at once for each relay instance and destination. In memory only."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import attrs

from mdacore.runtime import Breaker

JobT = TypeVar("JobT")

READY_MAX = 100
"""How many claimed messages may wait in memory for a free place in their lane, so that a quick relay never starves
between two claims; the rest stay in the storage."""


@attrs.define
class Lane(Generic[JobT]):
    """One relay instance and destination.

    Attributes:
        running: attempts that are being made.
        promised: first attempts asked for in writes that have not returned yet.
        ready: claimed, waiting for a free place.
        breaker: its relay's.
    """

    concurrency: int
    breaker: Breaker | None = None
    running: int = 0
    promised: int = 0
    ready: deque[JobT] = attrs.field(factory=deque)

    @property
    def places(self) -> int:
        """How many attempts may run at once now: none while the relay is switched off, one to try it again."""
        breaker = self.breaker
        return self.concurrency if breaker is None or not breaker.faults else breaker.admits(self.concurrency)

    @property
    def claimed(self) -> int:
        """How many messages are, or are about to be, claimed for it and not attempted to the end."""
        return self.running + self.promised + len(self.ready)

    @property
    def is_idle(self) -> bool:
        """Nothing would be forgotten with it."""
        return not self.claimed
