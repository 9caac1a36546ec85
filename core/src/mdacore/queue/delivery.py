"""Delivery: claimed messages through their lanes, an attempt each, to the record of what came of it.

Every claim ends in exactly one of settled, released, lost to somebody else, or, when the process dies, unsettled: the
storage then gives it out again.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import gevent
from gevent.event import Event
from greenlet import GreenletExit

from mdacore import events
from mdacore.contracts import Claim, Settlement
from mdacore.queue.attempts import GIVE_BACK, Attempts
from mdacore.queue.lane import Job, Lane
from mdacore.queue.lanes import Lanes
from mdacore.queue.routing import RouteTable
from mdacore.queue.suspension import Suspension
from mdacore.queue.wiring import QueueWiring
from mdacore.runtime import Fence, Workers
from mdacore.words import ClaimLost, Discard, Hold, MdaError, Reply, printable

STOP_WAIT_S = 1.0
"""How long `stop` waits, twice, for results to be recorded."""
SETTLE_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Waits between tries to record a result; the last one repeats."""


class Delivery:
    """The attempts of one queue, and what they wait for. `routes` are those of its notices.

    Attributes:
        lanes: where there is room, and what is in hand.
        room_changed: there may be room where there was none.
    """

    def __init__(self, wiring: QueueWiring, routes: RouteTable, fences: Mapping[str, Fence], storage: Fence) -> None:
        self._storage = wiring.storage
        self._storage_fence = storage
        self._clock = wiring.clock
        self._log = wiring.log
        self._own_fence = Fence(instance=f"queues.{wiring.name}", log=wiring.log)
        self._attempts = Attempts(wiring, routes, fences, storage)
        self._attempting = Workers()
        self._returning = Workers()
        self.lanes = Lanes(wiring.relays, claims_max=wiring.claims_max, clock=wiring.clock)
        self.room_changed = Event()

    def withdraw(self, lane_name: str) -> None:
        """Give up a place that was promised: the message is stored and added, or it was not stored."""
        had_room = self.lanes.room > 0
        self.lanes.withdraw(lane_name)
        if not had_room:
            self.room_changed.set()

    def add(self, job: Job) -> None:
        """Attempt a claimed message now, or as soon as its lane has a free place. Never blocks."""
        lane = self.lanes.add(job)
        if self.lanes.is_closed:  # an edge that outlived its grace: stored, and for the next start
            self._empty(lane)
        else:
            self._fill(lane)

    def attempt_now(self, job: Job) -> None:
        """Attempt a claimed message whatever its lane says: nothing else is in hand. Never blocks."""
        lane = self.lanes.add(job)
        lane.ready.pop()
        self._begin(lane, job)

    def lose(self, claim: Claim) -> None:
        """This claim is somebody else's by now: its attempt is cut short, and nothing is recorded. Never blocks."""
        job = self.lanes.in_hand.get((claim.queue_id, claim.epoch))
        if job is not None:
            job.is_lost = True
            self._attempting.kill(lambda _, running: running is job)

    def wait_until_empty(self) -> None:
        """Block until nothing is in hand, nor about to be."""
        while not self.lanes.is_empty:
            self.room_changed.clear()
            self.room_changed.wait()

    def drain(self, grace_s: float) -> bool:
        """Give back what waits, let running attempts finish; True if all did within `grace_s`."""
        self._close()
        return self._join(grace_s)

    def stop(self) -> None:
        """Cut running attempts short; their recipients are deferred."""
        self._close()
        gevent.sleep(0)  # what was given to a worker and has not begun must begin, to see that it is over
        self._attempting.kill()
        self._join(STOP_WAIT_S)
        for workers in (self._attempting, self._returning):  # what could not be recorded or given back since
            workers.kill()
        self._join(STOP_WAIT_S)
        for workers in (self._attempting, self._returning):
            workers.close()

    def _close(self) -> None:
        """Take nothing more, and give back what waits, all in one commit of the storage."""
        self.lanes.is_closed = self._attempts.is_stopping = True
        for lane in self.lanes:
            self._empty(lane)

    def _join(self, timeout_s: float) -> bool:
        ends_at = self._clock.monotonic() + timeout_s
        are_over = self._attempting.join(timeout_s)
        return self._returning.join(max(0.0, ends_at - self._clock.monotonic())) and are_over

    def _empty(self, lane: Lane) -> None:
        """Give back what waits; while its destination is down, only after a look."""
        is_closed = self.lanes.is_closed
        suspension = None if is_closed else lane.suspension
        away_s = None if is_closed else self.lanes.away_s(lane)
        while lane.waiting:
            lane.returning += 1
            self._returning.run(self._pass_over, lane, lane.take(), suspension, away_s)

    def _fill(self, lane: Lane) -> None:
        while lane.waiting and lane.running < lane.places and not self.lanes.is_closed:
            self._begin(lane, lane.take())
        if lane.waiting and not lane.places:
            self._empty(lane)

    def _begin(self, lane: Lane, job: Job) -> None:
        lane.running += 1
        self._attempting.run(self._process, lane, job)

    def _process(self, lane: Lane, job: Job) -> None:
        try:
            try:
                settlement = GIVE_BACK if self.lanes.is_closed else self._settlement_or_retry(job)
            finally:
                lane.running -= 1
                if job.down is not None:
                    self._suspend(lane, job.down)
                elif job.is_answered and (lane.window < lane.concurrency or lane.suspension is not None):
                    self._resume(lane)
                self._fill(lane)
            if settlement is GIVE_BACK:
                self.release(job.claim)
            elif settlement is not None:
                self.settle(job.claim, settlement)
        finally:
            self.lanes.end(job.claim)
            self.lanes.forget_if_idle(lane)
            self.room_changed.set()

    def _settlement_or_retry(self, job: Job) -> Settlement | None:
        """Whatever goes wrong in an attempt, the claim still meets an end."""
        try:
            return self._own_fence.call(self._attempts.settlement, job)
        except (MdaError, Discard, Hold, gevent.Timeout):
            return self._attempts.retry(job.claim)

    def settle(self, claim: Claim, settlement: Settlement) -> None:
        """Record the result, however often it takes: an unrecorded delivery is repeated after a restart."""
        tries, wait_s, was_cut = 0, 0.0, False
        while True:
            try:
                if wait_s:
                    self._clock.sleep(wait_s)
                notice_ids = self._storage_fence.call(self._storage.settle, claim, settlement)
            except ClaimLost:
                self._log.warning(events.QUEUE_CLAIM_LOST)
                return
            except MdaError as error:
                wait_s = SETTLE_RETRY_S[min(tries, len(SETTLE_RETRY_S) - 1)]
                tries += 1
                self._log.error(events.QUEUE_SETTLE_FAILED, error=str(error), retry_s=wait_s)
            except GreenletExit:  # what has been delivered is recorded, or at least tried once more, at once
                if was_cut:
                    raise
                was_cut, wait_s = True, 0.0
            else:
                if settlement.notices:
                    self._log_notices(settlement, notice_ids)
                return

    def _log_notices(self, settlement: Settlement, notice_ids: object) -> None:
        """Under which ids they go on; what a storage gives instead of ids is not looked at further."""
        queue_ids = notice_ids if isinstance(notice_ids, list | tuple) else ()
        for queue_id, notice in zip(queue_ids, settlement.notices, strict=False):
            (recipient,) = notice.envelope.recipients
            self._log.info(events.QUEUE_NOTICE_STORED, notice_id=printable(str(queue_id), 64), rcpt=recipient.address)

    def _suspend(self, lane: Lane, reply: Reply) -> None:
        suspension = self.lanes.failed(lane, reply, random.random())  # noqa: S311 - jitter, not a secret
        if suspension is not None:
            pause_s = round(suspension.left_s)
            self._log.warning(events.QUEUE_LANE_SUSPENDED, lane=lane.name, reply=str(reply), pause_s=pause_s)

    def _resume(self, lane: Lane) -> None:
        suspension = self.lanes.answered(lane)
        if suspension is not None:
            self._log.info(events.QUEUE_LANE_RESUMED, lane=lane.name, suspended_s=round(suspension.lasts_s))

    def _pass_over(self, lane: Lane, job: Job, suspension: Suspension | None, away_s: float | None) -> None:
        """What was claimed and is not attempted is given back, unless the suspension of its lane settles it."""
        claim = job.claim
        try:
            settlement = GIVE_BACK if suspension is None else self._passed_over(job, suspension)
            if settlement is GIVE_BACK:
                self.release(claim, due_at=None if away_s is None else self._clock.now() + away_s)
            elif settlement is not None:
                self.settle(claim, settlement)
        finally:
            lane.returning -= 1
            self.lanes.end(claim)
            self.lanes.forget_if_idle(lane)
            self.room_changed.set()

    def _passed_over(self, job: Job, suspension: Suspension) -> Settlement | None:
        try:
            return self._own_fence.call(self._attempts.passed_over, job, suspension)
        except (MdaError, Discard, Hold, gevent.Timeout, GreenletExit):  # its probe will show what is wrong with it
            return GIVE_BACK

    def release(self, claim: Claim, *, due_at: float | None = None) -> None:
        """Give a claim back; if that fails, as a deferral, so that somebody has it before the next start."""
        try:
            self._release(claim, due_at)
        except MdaError as error:
            self._log.warning(events.QUEUE_CLAIM_LOST, queue_id=claim.queue_id, error=str(error))
            if not isinstance(error, ClaimLost) and not self.lanes.is_closed:
                self.settle(claim, self._attempts.retry(claim))

    def _release(self, claim: Claim, due_at: float | None = None) -> None:
        try:
            self._storage_fence.call(self._storage.release, claim, due_at=due_at)
        except GreenletExit:  # tried once more, at once: without an end it would count as a crash at the next start
            self._storage_fence.call(self._storage.release, claim, due_at=due_at)
