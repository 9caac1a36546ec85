"""Lanes: which claimed messages are in hand, where each waits, and how much more may be claimed. In memory only.

Invariants: a lane never runs more than its relay allows at once; a lane that holds nothing is forgotten; what is
promised is withdrawn exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

import attrs

from mdacore.contracts import Claim, QueuedMessage
from mdacore.queue.routing import relay_of
from mdacore.queue.wiring import BoundRelay
from mdacore.runtime import Breaker
from mdacore.words import QueueId

READY_MAX = 100
"""How many claimed messages may wait in memory for a free place in their lane, so that a quick relay never starves
between two claims; the rest stay in the storage."""

Key = tuple[QueueId, int]


@attrs.define(kw_only=True)
class Job:
    """A claimed message.

    Attributes:
        message: None where it still has to be read from the storage.
        is_lost: the claim is somebody else's by now; whatever comes of the attempt cannot be recorded.
    """

    claim: Claim
    message: QueuedMessage | None = None
    is_lost: bool = False


@attrs.define
class Lane:
    """One relay instance and destination.

    Attributes:
        running: attempts that are being made.
        promised: first attempts asked for in writes that have not returned yet.
        ready: claimed, waiting for a free place.
        breaker: its relay's.
    """

    name: str
    concurrency: int
    breaker: Breaker | None = None
    running: int = 0
    promised: int = 0
    ready: deque[Job] = attrs.field(factory=deque)

    @property
    def places(self) -> int:
        """How many attempts may run at once now: none while the relay is switched off, one to try it again."""
        breaker = self.breaker
        return self.concurrency if breaker is None or not breaker.faults else breaker.admits(self.concurrency)

    @property
    def claimed(self) -> int:
        """How many messages are, or are about to be, claimed for it and not attempted to the end."""
        return self.running + self.promised + len(self.ready)


class Lanes:
    """The lanes of one queue.

    Attributes:
        in_hand: everything claimed and not settled, also what has left its lane to be recorded.
        is_closed: there is room for nothing more.
        is_paused: nor for the time being, until a suspect has been attempted alone.
    """

    def __init__(self, relays: Mapping[str, BoundRelay], *, claims_max: int) -> None:
        self._relays = relays
        self._claims_max = claims_max
        self._lanes: dict[str, Lane] = {}
        self._off: set[str] = set()
        self._promised = 0
        self.in_hand: dict[Key, Job] = {}
        self.is_closed = False
        self.is_paused = False

    @property
    def room(self) -> int:
        """How many more messages may be claimed now, over all lanes."""
        return 0 if self.is_closed or self.is_paused else self._claims_max - len(self.in_hand) - self._promised

    @property
    def is_empty(self) -> bool:
        """Nothing is in hand, and nothing was promised to writes that have not returned."""
        return not self.in_hand and not self._promised

    @property
    def full(self) -> set[str]:
        """The lanes for which nothing more should be claimed now."""
        full = {name for name, lane in self._lanes.items() if not self._has_room(lane)}
        if self._off:
            self._off = {name for name in self._off if not self._new(name).places}
            full |= self._off
        return full

    def __iter__(self) -> Iterator[Lane]:
        """Those that there are now; they may be forgotten meanwhile."""
        return iter(list(self._lanes.values()))

    def __len__(self) -> int:
        return len(self._lanes)

    def promise(self, name: str) -> bool:
        """Reserve a place for the first attempt of a message that is about to be stored, if its lane has room."""
        if self.room <= 0:  # asked first: a lane is only made when something will go into it
            return False
        lane = self._lane(name)
        if not self._has_room(lane):
            self.forget_if_idle(lane)
            return False
        lane.promised += 1
        self._promised += 1
        return True

    def withdraw(self, name: str) -> None:
        """Give up a reserved place: the message is stored and added, or it was not stored."""
        lane = self._lane(name)
        lane.promised -= 1
        self._promised -= 1
        self.forget_if_idle(lane)

    def add(self, job: Job) -> Lane:
        """Put a claimed message into its lane, which it gives."""
        claim = job.claim
        self.in_hand[claim.queue_id, claim.epoch] = job
        lane = self._lane(claim.lane)
        lane.ready.append(job)
        return lane

    def end(self, claim: Claim) -> None:
        """This claim is over."""
        self.in_hand.pop((claim.queue_id, claim.epoch), None)

    def forget_if_idle(self, lane: Lane) -> None:
        """Nothing would be forgotten with an idle lane."""
        if not lane.claimed and self._lanes.get(lane.name) is lane:
            del self._lanes[lane.name]
            if not lane.places:
                self._off.add(lane.name)  # else what is due for it would be claimed and given back for ever

    def _has_room(self, lane: Lane) -> bool:
        """Claims may wait for a place in their lane while there are plenty; else each lane has what it uses at once."""
        may_wait = READY_MAX if 2 * self.room > self._claims_max else 0
        places = lane.places
        return places > 0 and lane.claimed < places + may_wait

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = self._new(name)
        return lane

    def _new(self, name: str) -> Lane:
        relay = self._relays.get(relay_of(name))
        return Lane(name, relay.concurrency, relay.breaker) if relay else Lane(name, 1)
