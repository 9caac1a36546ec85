"""Delivery: claimed messages through their lanes, relay policies and relay, to the settlement of the claim.

One greenlet an attempt. Every claim ends in exactly one of settled, released, lost to somebody else, or, when the
process dies, unsettled: the storage then gives it out again.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import attrs
import gevent
from gevent.event import Event
from greenlet import GreenletExit

from mdacore import events, log
from mdacore.contracts import Attempt, Claim, Closing, NewMessage, Outcome, QueuedMessage, Settlement
from mdacore.queue import storages
from mdacore.queue.conclusion import conclude
from mdacore.queue.lanes import READY_MAX, Lane
from mdacore.queue.notices import FailureNotice, notices_by_number
from mdacore.queue.policies import FencedPolicy, call_relay_policy
from mdacore.queue.relays import call_relay
from mdacore.queue.routing import RouteTable, relay_of
from mdacore.queue.wiring import QueueWiring
from mdacore.runtime import Fence, Workers
from mdacore.words import (
    LOCAL_ERROR,
    ClaimLost,
    Deferral,
    Discard,
    Envelope,
    Hold,
    MdaError,
    QueueId,
    Recipient,
    Rejection,
    Reply,
)

STOPPED = Reply(code=451, enhanced="4.3.2", text="The service stopped during the attempt")
BOUNCED_BY_OPERATOR = Reply(code=554, enhanced="5.0.0", text="Returned by the administrator")
STOP_WAIT_S = 1.0
"""How long `stop` waits, twice, for results to be recorded."""
GIVE_BACK = Settlement()
"""In place of a settlement, by identity: nothing was attempted, so the claim is released and the attempt uncounted."""
SETTLE_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Waits between tries to record a result; the last one repeats."""


@attrs.frozen(kw_only=True)
class Job:
    """A claimed message; `message` is None where it still has to be read from the storage."""

    claim: Claim
    message: QueuedMessage | None = None


class Delivery:
    """The attempts of one queue."""

    def __init__(self, wiring: QueueWiring, routes: RouteTable, fences: Mapping[str, Fence], storage: Fence) -> None:
        self._wiring = wiring
        self._routes = routes
        self._relay_fences = fences
        self._storage_fence = storage
        self._own_fence = Fence(instance=f"queues.{wiring.name}", log=wiring.log)
        self._log = wiring.log
        self._relay_policies = [FencedPolicy.around(policy, wiring.log) for policy in wiring.relay_policies]
        self._lanes: dict[str, Lane[Job]] = {}
        self._off_lanes: set[str] = set()
        self._attempts = Workers()
        self._returns = Workers()
        self._is_stopping = False
        self.in_hand: set[tuple[QueueId, int]] = set()
        self._promised = 0
        self.unsettled = 0
        self.room_changed = Event()

    @property
    def full_lanes(self) -> set[str]:
        """The lanes for which nothing more should be claimed now."""
        full = {name for name, lane in self._lanes.items() if not self._has_room(lane)}
        if self._off_lanes:
            self._off_lanes = {name for name in self._off_lanes if not self._new_lane(name).places}
            full |= self._off_lanes
        return full

    @property
    def room(self) -> int:
        """How many more messages may be claimed now, over all lanes."""
        return 0 if self._is_stopping else self._wiring.claims_max - self.unsettled - self._promised

    def promise(self, lane_name: str) -> bool:
        """Reserve a place for the first attempt of a message that is about to be stored, if its lane has room."""
        if self.room <= 0:  # asked first: a lane is only made when something will go into it
            return False
        lane = self._lane(lane_name)
        if not self._has_room(lane):
            self._forget_if_idle(lane_name, lane)
            return False
        lane.promised += 1
        self._promised += 1
        return True

    def withdraw(self, lane_name: str) -> None:
        """Give up a reserved place: the message is stored and added, or it was not stored."""
        lane = self._lane(lane_name)
        had_room = self.room > 0
        lane.promised -= 1
        self._promised -= 1
        self._forget_if_idle(lane_name, lane)
        if not had_room:
            self.room_changed.set()

    def add(self, job: Job) -> None:
        """Attempt a claimed message now, or as soon as its lane has a free place. Never blocks."""
        self.unsettled += 1
        self.in_hand.add((job.claim.queue_id, job.claim.epoch))
        lane = self._lane(job.claim.lane)
        lane.ready.append(job)
        if self._is_stopping:  # an edge that outlived its grace: stored, and for the next start
            self._empty_lanes()
        self._fill(lane)

    def drain(self, grace_s: float) -> bool:
        """Give back what waits, let running attempts finish; True if all did within `grace_s`."""
        self._is_stopping = True
        self._empty_lanes()
        return self._join(grace_s)

    def stop(self) -> None:
        """Cut running attempts short; their recipients are deferred."""
        self._is_stopping = True
        self._empty_lanes()
        gevent.sleep(0)  # what was given to a worker and has not begun must begin, to see that it is over
        self._attempts.kill()
        self._join(STOP_WAIT_S)
        for workers in (self._attempts, self._returns):  # what could not be recorded or given back since
            workers.kill()
        self._join(STOP_WAIT_S)
        for workers in (self._attempts, self._returns):
            workers.close()

    def _join(self, timeout_s: float) -> bool:
        ends_at = self._wiring.clock.monotonic() + timeout_s
        are_over = self._attempts.join(timeout_s)
        return self._returns.join(max(0.0, ends_at - self._wiring.clock.monotonic())) and are_over

    def _has_room(self, lane: Lane[Job]) -> bool:
        """Claims may wait for a place in their lane while there are plenty; else each lane has what it uses at once."""
        may_wait = READY_MAX if 2 * self.room > self._wiring.claims_max else 0
        places = lane.places
        return places > 0 and lane.claimed < places + may_wait

    def _lane(self, name: str) -> Lane[Job]:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = self._new_lane(name)
        return lane

    def _new_lane(self, name: str) -> Lane[Job]:
        relay = self._wiring.relays.get(relay_of(name))
        return Lane(concurrency=relay.concurrency, breaker=relay.breaker) if relay else Lane(concurrency=1)

    def _forget_if_idle(self, name: str, lane: Lane[Job]) -> None:
        if lane.is_idle and self._lanes.get(name) is lane:
            del self._lanes[name]
            if not lane.places:
                self._off_lanes.add(name)  # else what is due for it would be claimed and given back for ever

    def _empty_lanes(self) -> None:
        """Give back what waits, all in one commit of the storage."""
        for name, lane in list(self._lanes.items()):
            self._empty(name, lane)

    def _empty(self, name: str, lane: Lane[Job]) -> None:
        while lane.ready:
            self._returns.run(self._give_back, lane.ready.popleft().claim)
        self._forget_if_idle(name, lane)

    def _fill(self, lane: Lane[Job]) -> None:
        while lane.ready and lane.running < lane.places and not self._is_stopping:
            lane.running += 1
            self._attempts.run(self._process, lane, lane.ready.popleft())
        if lane.ready and not lane.places:
            self._empty(lane.ready[0].claim.lane, lane)

    def _process(self, lane: Lane[Job], job: Job) -> None:
        try:
            try:
                settlement = None if self._is_stopping else self._settlement_or_retry(job)
            finally:
                lane.running -= 1
                self._fill(lane)
            if settlement is GIVE_BACK or (settlement is None and self._is_stopping):
                self._release(job.claim)
            elif settlement is not None:
                self._settle(job.claim, settlement)
        finally:
            self._end(job.claim)
            self._forget_if_idle(job.claim.lane, lane)
            self.room_changed.set()

    def _settlement_or_retry(self, job: Job) -> Settlement | None:
        """`_settlement`; whatever goes wrong in there, the claim still meets an end."""
        try:
            return self._own_fence.call(self._settlement, job)
        except (MdaError, Discard, Hold, gevent.Timeout):
            return Settlement(due_at=self._wiring.clock.now() + self._retry_delay_s(job.claim))

    def _settlement(self, job: Job) -> Settlement | None:
        """Make the attempt; None = the message could not be read, and the claim is over."""
        claim = job.claim
        log.bind(queue_id=claim.queue_id)
        try:
            message = job.message or self._storage_fence.call(storages.read, self._wiring.storage, claim)
        except ClaimLost:
            self._log.warning(events.QUEUE_CLAIM_LOST)
            return None
        except MdaError as error:  # if the storage has set it aside, the settlement finds the claim lost
            self._log.error(events.QUEUE_READ_FAILED, error=str(error))
            return Settlement(due_at=self._wiring.clock.now() + self._retry_delay_s(claim))
        if message.envelope.client.session_id:
            log.bind(session_id=message.envelope.client.session_id)
        if message.must_bounce:
            bounced = dict.fromkeys((rcpt.number for rcpt in message.envelope.recipients), BOUNCED_BY_OPERATOR)
            return self._concluded(claim, message, bounced)
        try:
            replies = self._replies(claim, message.envelope)
        except Hold as verdict:
            self._log.info(events.QUEUE_HELD, reason=verdict.reason)
            return Settlement(held=verdict.reason)
        except Discard as verdict:
            return self._discarded(message.envelope, verdict)
        except GreenletExit:
            replies = dict.fromkeys((rcpt.number for rcpt in message.envelope.recipients), STOPPED)
        return GIVE_BACK if replies is None else self._concluded(claim, message, replies)

    def _replies(self, claim: Claim, envelope: Envelope) -> dict[int, Reply] | None:
        """One for each recipient; None = the relay is switched off, and nothing was attempted."""
        relay = self._wiring.relays.get(relay_of(claim.lane))
        if relay is None:  # stored under an earlier configuration, which may come back
            self._log.error(events.PLUGIN_FAILED, component=f"relays.{relay_of(claim.lane)}", error="no such relay")
            return dict.fromkeys((rcpt.number for rcpt in envelope.recipients), LOCAL_ERROR)
        attempt = Attempt(queue_id=claim.queue_id, queue=claim.queue, number=claim.attempt, deadline_s=relay.deadline_s)
        try:
            for policy in self._relay_policies:
                envelope = call_relay_policy(policy, envelope, attempt)
            answered = call_relay(self._relay_fences[relay.instance], relay.relay, envelope, attempt)
        except (Rejection, Deferral) as verdict:  # a policy's: the relay's fence lets none through
            return dict.fromkeys((rcpt.number for rcpt in envelope.recipients), verdict.reply)
        except MdaError as error:  # a fault never bounces: whatever the reply is, it is not a relay's word
            reply = error.reply if error.reply.is_transient else LOCAL_ERROR
            return dict.fromkeys((rcpt.number for rcpt in envelope.recipients), reply)
        if answered is None:
            return None
        replies, unanswered = answered
        if unanswered:
            rcpts = [recipient.address for recipient in unanswered]
            self._log.error(events.PLUGIN_FAILED, component=f"relays.{relay.instance}", error="no reply", rcpts=rcpts)
        return replies

    def _concluded(self, claim: Claim, message: QueuedMessage, replies: dict[int, Reply]) -> Settlement:
        now = self._wiring.clock.now()
        is_expired = (
            not self._is_stopping and claim.attempt > 1 and now - message.accepted_at >= self._wiring.lifetime_s
        )
        result = conclude(message.envelope, replies, is_expired=is_expired)
        delay_s = self._retry_delay_s(claim)
        bounced, failed = notices_by_number(message.envelope, result.bounced)
        settlement = Settlement(
            closed={**result.closed, **bounced},
            deferred=result.deferred,
            due_at=now + delay_s,
            notices=self._notices(claim, message.envelope, failed, now) if failed else (),
        )
        self._log_result(claim, message.envelope, settlement, delay_s)
        return settlement

    def _retry_delay_s(self, claim: Claim) -> float:
        return self._wiring.retry.delay_s(claim.attempt, random.random())  # noqa: S311 - jitter, not a secret

    def _notices(
        self, claim: Claim, original: Envelope, failed: Sequence[tuple[Recipient, Closing]], now: float
    ) -> list[NewMessage]:
        notice = FailureNotice(
            queue_id=claim.queue_id, original=original, failed=failed, hostname=self._wiring.hostname, now=now
        ).envelope()
        return [NewMessage(envelope=notice, lane=self._routes.lane(notice), due_at=now)]

    def _discarded(self, envelope: Envelope, verdict: Discard) -> Settlement:
        rcpts = [recipient.address for recipient in envelope.recipients]
        self._log.info(events.QUEUE_DISCARDED, reason=verdict.reason, rcpts=rcpts)
        closing = Closing(outcome=Outcome.DISCARDED, reply=Reply(code=250, text=verdict.reason))
        return Settlement(closed={rcpt.number: closing for rcpt in envelope.recipients})

    def _settle(self, claim: Claim, settlement: Settlement) -> None:
        """Record the result, however often it takes: an unrecorded delivery is repeated after a restart."""
        tries, wait_s, was_cut = 0, 0.0, False
        while True:
            try:
                if wait_s:
                    self._wiring.clock.sleep(wait_s)
                self._storage_fence.call(self._wiring.storage.settle, claim, settlement)
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
                return

    def _give_back(self, claim: Claim) -> None:
        try:
            self._release(claim)
        finally:
            self._end(claim)

    def _end(self, claim: Claim) -> None:
        self.unsettled -= 1
        self.in_hand.discard((claim.queue_id, claim.epoch))

    def _release(self, claim: Claim) -> None:
        try:
            self._storage_fence.call(self._wiring.storage.release, claim)
        except MdaError as error:
            self._log.warning(events.QUEUE_CLAIM_LOST, queue_id=claim.queue_id, error=str(error))
            if not isinstance(error, ClaimLost) and not self._is_stopping:  # until a restart nobody else would have it
                self._settle(claim, Settlement(due_at=self._wiring.clock.now() + self._retry_delay_s(claim)))

    def _log_result(self, claim: Claim, envelope: Envelope, settlement: Settlement, delay_s: float) -> None:
        fields = {"lane": claim.lane, "attempt": claim.attempt}
        address = {recipient.number: recipient.address for recipient in envelope.recipients}
        by_outcome: dict[tuple[str, Reply, str], list[str]] = {}
        for number, end in settlement.closed.items():
            event = events.QUEUE_DELIVERED if end.outcome is Outcome.DELIVERED else events.QUEUE_BOUNCED
            by_outcome.setdefault((event, end.reply, end.notice), []).append(address[number])
        for (event, reply, notice), rcpts in by_outcome.items():
            more = {"notice": notice} if notice else {}
            self._log.info(event, rcpts=rcpts, reply=str(reply), **more, **fields)
        by_reply: dict[Reply, list[str]] = {}
        for number, reply in settlement.deferred.items():
            by_reply.setdefault(reply, []).append(address[number])
        for reply, rcpts in by_reply.items():
            self._log.info(events.QUEUE_DEFERRED, rcpts=rcpts, reply=str(reply), delay_s=round(delay_s), **fields)
