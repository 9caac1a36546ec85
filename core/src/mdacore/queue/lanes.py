"""Lanes: which claimed messages are in hand, in which lane, and how much more may be claimed. In memory only.

How one lane works is in `lane`.

Invariants: a lane never runs more than its relay allows at once, and one while its destination is being probed; a lane
that holds nothing is forgotten, unless its destination has failed lately; what is promised is withdrawn exactly once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from mdacore.contracts import Claim, Clock
from mdacore.queue.lane import Job, Key, Lane
from mdacore.queue.routing import relay_of
from mdacore.queue.suspension import REMEMBERED_S, Suspension
from mdacore.queue.wiring import BoundRelay
from mdacore.words import Reply

READY_MAX = 200
"""How many claimed messages may wait in memory for a free place in their lane, so that a quick relay never starves
between two claims; the rest stay in the storage. Half of them may be new: a hundred sessions that are answered by one
commit are attempted from memory, where a claim of its own would cost each of them as much as its delivery."""
TROUBLED_MAX = 1000
"""How many lanes are remembered for what their destinations have failed: the names of those that are suspended are part
of each claim. Mail for more dead destinations than that is deferred by the schedule alone."""
OFF_MAX = 1000
"""How many lanes are remembered because their relays are switched off, for the same reason."""
CROWDED_OUT_S = 900.0
"""For how long the mail of other such lanes is given back: so seldom it is claimed in vain, and so late at most it goes
out when its relay works again. As long as the longest pause of a suspension."""


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

    def away_s(self, lane: Lane) -> float | None:
        """For how long what cannot be attempted in this lane is given back; None = it is due as before.

        Where nobody can remember that its relay is switched off, it is claimed again as soon as it is due.
        """
        if lane.suspension is not None:
            return lane.suspension.away_s
        return None if lane.name in self._off or len(self._off) < OFF_MAX else CROWDED_OUT_S

    def forget_if_idle(self, lane: Lane) -> None:
        """Nothing would be forgotten with an idle lane, unless its destination has failed."""
        if not lane.claimed and lane.name not in self._troubled and self._lanes.get(lane.name) is lane:
            del self._lanes[lane.name]
            if not lane.places and len(self._off) < OFF_MAX:
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
        places = lane.places
        if suspension is not None:  # one claim at a time: what is due elsewhere has its turn in between
            return not lane.claimed and (places > 0 or (suspension.is_review and suspension.left_s > 0))
        return places > 0 and lane.running + len(lane.ready) < places + max(1, self._may_wait)

    def _forget_stale(self) -> None:
        before = self._clock.monotonic() - REMEMBERED_S
        for name, failed_at in list(self._troubled.items()):
            lane = self._lanes[name]
            is_suspended = lane.suspension is not None and lane.suspension.left_s > -REMEMBERED_S
            if failed_at < before and not lane.claimed and not is_suspended:
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
