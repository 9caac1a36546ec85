"""Lanes: which claimed messages are in hand, where each waits, and how much more may be claimed. In memory only.

A lane begins with few attempts at once, gets one more for each answer of its destination and half as many for each time
that it is down; when even one is too many it is suspended. New mail and mail from the storage take turns in it.

Invariants: a lane never runs more than its relay allows at once, and one while its destination is being probed; a lane
that holds nothing is forgotten, unless its destination has failed lately; what is promised is withdrawn exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping

import attrs

from mdacore.contracts import Claim, Clock, QueuedMessage
from mdacore.queue.routing import relay_of
from mdacore.queue.suspension import REMEMBERED_S, Suspension
from mdacore.queue.wiring import BoundRelay
from mdacore.runtime import Breaker
from mdacore.words import QueueId, Reply

READY_MAX = 200
"""How many claimed messages may wait in memory for a free place in their lane, so that a quick relay never starves
between two claims; the rest stay in the storage. Half of them may be new: a hundred sessions that are answered by one
commit are attempted from memory, where a claim of its own would cost each of them as much as its delivery."""
TROUBLED_MAX = 1000
"""How many lanes are remembered for what their destinations have failed: the names of those that are suspended are part
of each claim. Mail for more dead destinations than that is deferred by the schedule alone."""

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
        """How many messages are, or are about to be, claimed for it and not attempted to the end."""
        return self.running + self.promised + self.waiting

    def take(self) -> Job:
        """The next one: a new one and one from the storage in turn, so that neither waits for all of the other."""
        new, ready = self.new, self.ready
        if not new or not ready:
            return (new or ready).popleft()
        self._is_turn_of_new = not self._is_turn_of_new
        return (new if self._is_turn_of_new else ready).popleft()


class Lanes:
    """The lanes of one queue.

    Attributes:
        in_hand: everything claimed and not settled, also what has left its lane to be recorded.
        is_closed: there is room for nothing more.
        is_paused: nor for the time being, until a suspect has been attempted alone.
    """

    def __init__(self, relays: Mapping[str, BoundRelay], *, claims_max: int, clock: Clock) -> None:
        self._relays = relays
        self._claims_max = claims_max
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._off: set[str] = set()
        self._troubled: dict[str, float] = {}  # when each has failed last, on the monotonic clock
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
        if self._troubled:
            self._forget_stale()
        full = {name for name, lane in self._lanes.items() if not self._has_room(lane)}
        if self._off:
            self._off = {name for name in self._off if not self._new(name).places}
            full |= self._off
        return full

    @property
    def suspended(self) -> Mapping[str, Suspension]:
        """The lanes that are suspended, or about to be probed, by name."""
        troubled = ((name, self._lanes[name].suspension) for name in self._troubled)
        return {name: suspension for name, suspension in troubled if suspension is not None}

    def __iter__(self) -> Iterator[Lane]:
        """Those that there are now; they may be forgotten meanwhile."""
        return iter(list(self._lanes.values()))

    def __len__(self) -> int:
        return len(self._lanes)

    def are_busy(self, names: Collection[str]) -> bool:
        """One of these lanes may have room as soon as something in hand has come to its end."""
        lanes = self._lanes
        return any(name in lanes and lanes[name].claimed for name in names)

    def promise(self, name: str) -> bool:
        """Reserve a place for the first attempt of a message that is about to be stored, if its lane has room.

        A tenth of all room is left for what waits in the storage; in each lane new mail takes at most half of what may
        wait in memory, and one message always may: a backlog must not keep it out.
        """
        if self.room <= self._claims_max // 10:  # asked first: a lane is only made when something will go into it
            return False
        lane = self._lane(name)
        places, busy = lane.places, lane.running + lane.promised + len(lane.new)
        if busy >= places and (not places or lane.suspension is not None or busy >= places + self._may_be_new):
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
        (lane.new if job.is_new else lane.ready).append(job)
        return lane

    def end(self, claim: Claim) -> None:
        """This claim is over."""
        self.in_hand.pop((claim.queue_id, claim.epoch), None)

    def answered(self, lane: Lane) -> Suspension | None:
        """Its destination is alive; gives the suspension that this ends, if there was one."""
        suspension, lane.suspension = lane.suspension, None
        if suspension is None:
            lane.window = min(lane.window + 1, lane.concurrency)
        if lane.window >= lane.start:
            self._troubled.pop(lane.name, None)
        return suspension

    def failed(self, lane: Lane, reply: Reply, chance: float) -> Suspension | None:
        """Its destination is down; gives the suspension if this begins or prolongs one. `chance`: from 0 to 1.

        What began before a suspension and fails during its pause changes nothing.
        """
        suspension = lane.suspension
        if suspension is not None and suspension.left_s > 0:
            return None
        if not lane.suspension_max_s or (lane.name not in self._troubled and len(self._troubled) >= TROUBLED_MAX):
            return None
        self._troubled[lane.name] = self._clock.monotonic()
        if lane.window > 1:
            lane.window //= 2
            return None
        if suspension is None:
            suspension = lane.suspension = Suspension(self._clock, reply, lane.suspension_max_s)
        suspension.prolong(reply, chance)
        return suspension

    def end_roll_calls(self, claimed: Collection[str], full: Collection[str]) -> None:
        """A claim that passed over `full` has given all there was, of `claimed`: what is in neither is through."""
        for name in self._troubled:
            suspension = self._lanes[name].suspension
            if suspension is not None and name not in claimed and name not in full:
                suspension.is_called = False

    def forget_if_idle(self, lane: Lane) -> None:
        """Nothing would be forgotten with an idle lane, unless its destination has failed."""
        if not lane.claimed and lane.name not in self._troubled and self._lanes.get(lane.name) is lane:
            del self._lanes[lane.name]
            if not lane.places:
                self._off.add(lane.name)  # else what is due for it would be claimed and given back for ever

    @property
    def _may_wait(self) -> int:
        """Claims may wait for a place in their lane while there are plenty; else each lane has what it uses at once."""
        return READY_MAX if 2 * self.room > self._claims_max else 0

    @property
    def _may_be_new(self) -> int:
        return max(1, self._may_wait // 2)

    def _has_room(self, lane: Lane) -> bool:
        """What is new and waits does not count, and one may always wait: new mail must not keep out all the rest."""
        suspension = lane.suspension
        if suspension is not None:
            if suspension.left_s > 0:  # after it what is claimed would wait in memory for the probe to end
                return suspension.is_called
            return not lane.claimed and lane.places > 0
        places = lane.places
        return places > 0 and lane.running + len(lane.ready) < places + max(1, self._may_wait)

    def _forget_stale(self) -> None:
        before = self._clock.monotonic() - REMEMBERED_S
        for name, failed_at in list(self._troubled.items()):
            lane = self._lanes[name]
            if failed_at < before and not lane.claimed and (lane.suspension is None or lane.suspension.left_s <= 0):
                del self._troubled[name]
                self.forget_if_idle(lane)

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = self._new(name)
        return lane

    def _new(self, name: str) -> Lane:
        relay = self._relays.get(relay_of(name))
        if relay is None:
            return Lane(name, 1, 1, 1)
        start = min(relay.concurrency_start, relay.concurrency)
        return Lane(name, start, start, relay.concurrency, relay.suspension_max_s, relay.breaker)
