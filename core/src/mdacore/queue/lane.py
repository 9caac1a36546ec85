"""One lane: what is claimed for a destination and waits, and how many attempts it may get at once. In memory only.

A lane begins with few attempts at once, gets one more for each answer of its destination and half as many for each time
that it is down; when even one is too many it is suspended. New mail and mail from the storage take turns in it.

What is claimed for which lane, and how much more may be, is in `lanes`.
"""

from __future__ import annotations

from collections import deque

import attrs

from mdacore.contracts import Claim, QueuedMessage
from mdacore.queue.suspension import Suspension
from mdacore.runtime import Breaker
from mdacore.words import QueueId, Reply

Key = tuple[QueueId, int]


@attrs.define(kw_only=True)
class Job:
    """A claimed message.

    Attributes:
        message: None where it still has to be read from the storage.
        is_new: its first attempt, claimed while it was stored.
        is_lost: the claim is somebody else's by now; whatever comes of the attempt cannot be recorded.
        is_answered: its attempt has found the destination alive, whatever became of the message.
        down: its attempt has found the destination down, with this reply.
    """

    claim: Claim
    message: QueuedMessage | None = None
    is_new: bool = False
    is_lost: bool = False
    is_answered: bool = False
    down: Reply | None = None


@attrs.define
class Lane:
    """One relay instance and destination.

    Attributes:
        start: how many attempts its destination may get at once before anything is known.
        window: how many it may get now.
        concurrency: and how many at most.
        suspension_max_s: the longest pause of a suspension; 0 = it is never suspended.
        breaker: its relay's.
        suspension: None = it is not suspended.
        running: attempts that are being made.
        promised: first attempts asked for in writes that have not returned yet.
        new: just stored and claimed, waiting for a free place.
        ready: claimed from the storage, waiting for a free place.
        returning: claimed, and given back or looked at instead of being attempted.
    """

    name: str
    start: int
    window: int
    concurrency: int
    suspension_max_s: float = 0.0
    breaker: Breaker | None = None
    suspension: Suspension | None = None
    running: int = 0
    promised: int = 0
    new: deque[Job] = attrs.field(factory=deque)
    ready: deque[Job] = attrs.field(factory=deque)
    returning: int = 0
    _is_turn_of_new: bool = False

    @property
    def places(self) -> int:
        """How many attempts may run at once now: none while it is suspended or its relay is switched off, one to try
        it again.
        """
        suspension, breaker = self.suspension, self.breaker
        places = self.window if suspension is None else int(suspension.left_s <= 0)
        return places if breaker is None or not breaker.faults else breaker.admits(places)

    @property
    def waiting(self) -> int:
        """How many messages wait in memory for a place."""
        return len(self.new) + len(self.ready)

    @property
    def claimed(self) -> int:
        """How many messages are, or are about to be, claimed for it, and not attempted to the end or given back."""
        return self.running + self.promised + self.waiting + self.returning

    def take(self) -> Job:
        """The next one: a new one and one from the storage in turn, so that neither waits for all of the other."""
        new, ready = self.new, self.ready
        if not new or not ready:
            return (new or ready).popleft()
        self._is_turn_of_new = not self._is_turn_of_new
        return (new if self._is_turn_of_new else ready).popleft()
