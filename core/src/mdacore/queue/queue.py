"""Queue: takes responsibility for a message from an edge, and keeps it until every recipient has met an end.

A component and a Handoff. `accept` runs in the edge's greenlets; one greenlet of the queue's own claims what is due.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import attrs
import gevent
from greenlet import GreenletExit

from mdacore import events
from mdacore.contracts import Claim, Health, NewMessage, QueuedMessage
from mdacore.queue import storages, suspension
from mdacore.queue.delivery import Delivery
from mdacore.queue.intake import Intake, Part, without_duplicates
from mdacore.queue.lane import Job
from mdacore.queue.relays import relay_fences
from mdacore.queue.renewal import Renewal
from mdacore.queue.routing import RouteTable
from mdacore.queue.suspects import Isolation, Suspects
from mdacore.queue.wiring import QueueWiring
from mdacore.runtime import Fence
from mdacore.words import (
    LOCAL_ERROR,
    Envelope,
    FileBody,
    MdaError,
    OutcomeUnknown,
    QueueId,
    Rejection,
    Reply,
    StorageError,
)

NOT_RUNNING = Reply(code=421, enhanced="4.3.2", text="Service not available, closing transmission channel")
DISCARDED = Reply(code=250, enhanced="2.0.0", text="Ok")
CLAIM_BATCH_MAX = 100
IDLE_WAIT_S = 30.0
"""How long the claim loop rests at most when the storage says that nothing is due."""
FULL_LANES_WAIT_S = 1.0
"""And how long when lanes are full: what becomes due for other lanes is noticed after at most this time."""
CLAIM_RETRY_S = 5.0


class Queue:
    """Decides when what is attempted; owns retries and bounces. Queues of one process share an `isolation`."""

    def __init__(self, wiring: QueueWiring, isolation: Isolation | None = None) -> None:
        self._wiring = wiring
        self._storage = wiring.storage
        self._log = wiring.log
        self._storage_fence = Fence(instance=f"storage of queues.{wiring.name}", log=wiring.log, passes_verdicts=False)
        fences = relay_fences(wiring.relays, wiring.log)
        # `destination` does no I/O: it needs no timer, and it is asked also while attempts are switched off
        timeless = {name: attrs.evolve(fence, deadline_s=None, breaker=None) for name, fence in fences.items()}
        routes = RouteTable(wiring.routes, wiring.relays, timeless)
        self._intake = Intake(wiring, routes)
        notice_routes = RouteTable(wiring.notice_routes, wiring.relays, timeless) if wiring.notice_routes else routes
        self._delivery = Delivery(wiring, notice_routes, fences, self._storage_fence)
        self._lanes = self._delivery.lanes
        self._renewal = Renewal(wiring, self._delivery, self._storage_fence)
        self._suspects = Suspects(wiring, self._delivery, self._storage_fence, isolation or Isolation())
        self._claimer: gevent.Greenlet[..., None] | None = None
        self._renewer: gevent.Greenlet[..., None] | None = None
        self._is_accepting = False

    # Handoff

    @property
    def spool_path(self) -> Path | None:
        return self._storage.spool_path

    @property
    def is_proxy(self) -> bool:
        return False

    def refusal(self, size_bytes: int) -> Reply | None:
        if not self._is_accepting:
            return NOT_RUNNING
        try:
            return self._storage_fence.call(storages.refusal, self._storage, size_bytes)
        except MdaError:  # logged by the fence
            return LOCAL_ERROR

    def accept(self, envelope: Envelope) -> Sequence[Reply]:
        reply = self._accepted(envelope) if self._is_accepting else NOT_RUNNING
        return [reply] * len(envelope.recipients)

    def restore(self, envelope: Envelope, *, held: str, due_at: float, key: str) -> Sequence[QueueId]:
        """Store a message that was exported elsewhere; gives its ids: several if its recipients go to several relays.

        It has passed its policies there. It needs only the storage to run, not the queue. Two of the same `key` are one
        message, as `QueueStorage.write` says. Raises MdaError.
        """
        parts = [Part(envelope=without_duplicates(envelope), held=held)]
        messages = self._intake.messages(parts, due_at=due_at, promise=lambda _lane: False)
        given = self._storage_fence.call(lambda: self._storage.write(messages, queue=self._wiring.name, key=key))
        return [_queue_id(one) for one in given]

    # Component

    def start(self) -> None:
        self._is_accepting = True
        self._claimer = gevent.spawn(self._claim_loop)
        if (every_s := self._storage.renew_every_s) is not None:
            self._renewer = gevent.spawn(self._renewal.run, every_s)

    def drain(self, grace_s: float) -> bool:
        self._stop_claiming()
        return self._delivery.drain(grace_s)

    def stop(self) -> None:
        self._is_accepting = False
        self._stop_claiming()
        self._delivery.stop()
        if self._renewer is not None:
            self._renewer.kill()

    def health(self) -> Health:
        lanes = self._lanes
        return Health(
            reason=suspension.sentence(lanes.suspended, self._wiring.clock),
            facts={
                "unsettled": len(lanes.in_hand),
                "lanes": len(lanes),
                "full_lanes": sorted(lanes.full),
                "suspended_lanes": suspension.facts(lanes.suspended, self._wiring.clock),
            },
        )

    def _accepted(self, envelope: Envelope) -> Reply:
        try:
            parts = self._intake.parts(envelope)
            if not parts:
                return DISCARDED
            messages = self._intake.messages(parts, due_at=self._wiring.clock.now(), promise=self._lanes.promise)
        except MdaError as refusal:
            return self._refused(envelope, refusal)
        return self._stored(envelope, messages)

    def _stored(self, envelope: Envelope, messages: Sequence[NewMessage]) -> Reply:
        try:
            stored = storages.write(self._storage, messages, self._wiring.name)
        except OutcomeUnknown as error:
            self._log.error(events.QUEUE_ACCEPT_UNKNOWN, error=str(error), exc_info=True)
            return LOCAL_ERROR
        except StorageError as error:
            return self._refused(envelope, error)
        except BaseException as error:
            # Whether it is stored is not known: an interrupted greenlet passes this on, a storage's own fault is 451.
            self._log.error(events.QUEUE_ACCEPT_UNKNOWN, error=repr(error), exc_info=True)
            if not isinstance(error, GreenletExit | gevent.Timeout):
                return LOCAL_ERROR
            raise
        finally:
            for message in messages:
                if message.claim:
                    self._delivery.withdraw(message.lane)
        for message, given in zip(messages, stored, strict=True):
            self._begin(message, given)
        return Reply(code=250, enhanced="2.0.0", text=f"Ok: queued as {_queue_id(stored[0])}")

    def _begin(self, message: NewMessage, given: Claim | QueueId) -> None:
        envelope = message.envelope
        self._log.info(
            events.QUEUE_ACCEPTED,
            queue_id=_queue_id(given),
            session_id=envelope.client.session_id,
            sender=envelope.sender,
            rcpts=[recipient.address for recipient in envelope.recipients],
            size_bytes=envelope.content.body.size_bytes,
            **({"held": message.held} if message.held else {}),
        )
        if isinstance(given, Claim):
            # a spooled body's file is still the edge's and goes away with the reply: the storage's link is read instead
            is_ours = not isinstance(envelope.content.body, FileBody)
            queued = QueuedMessage(envelope=envelope, accepted_at=envelope.received_at) if is_ours else None
            self._delivery.add(Job(claim=given, message=queued, is_new=True))

    def _refused(self, envelope: Envelope, refusal: MdaError) -> Reply:
        is_usable = isinstance(refusal, Rejection) or refusal.reply.is_transient
        reply = refusal.reply if is_usable else LOCAL_ERROR  # a fault neither refuses for good nor accepts
        self._log.info(
            events.QUEUE_REFUSED,
            session_id=envelope.client.session_id,
            sender=envelope.sender,
            reply=str(reply),
            component=refusal.component,
        )
        return reply

    def _claim_loop(self) -> None:
        delivery, lanes = self._delivery, self._lanes
        while True:
            delivery.room_changed.clear()
            if lanes.room <= 0:
                delivery.room_changed.wait()
                continue
            try:
                self._suspects.attempt()
                full_lanes, limit = lanes.full, self._claim_limit
                were_busy = lanes.are_busy(full_lanes)  # before the claim: what ends during it has told so
                claims = self._storage_fence.call(self._claim_or_wait, full_lanes, limit)
            except MdaError as error:
                self._log.error(events.QUEUE_CLAIM_FAILED, error=str(error), retry_s=CLAIM_RETRY_S)
                self._wiring.clock.sleep(CLAIM_RETRY_S)
                continue
            for claim in claims:
                delivery.add(Job(claim=claim))
            if not claims and full_lanes:
                self._rest(were_busy=were_busy)

    @property
    def _claim_limit(self) -> int:
        """All of them may be for one lane, and half of the room stays free of that."""
        return min(max(1, self._lanes.room - self._wiring.claims_max // 2), CLAIM_BATCH_MAX)

    def _claim_or_wait(self, full_lanes: Collection[str], limit: int) -> Sequence[Claim]:
        """What is due. If nothing is and no lane is full, wait first until the storage says that something may be."""
        claims = storages.claim(self._storage, self._wiring.name, limit, full_lanes)
        storages.check_new(claims, self._lanes.in_hand)
        if not claims and not full_lanes:
            self._storage.wait(self._wiring.name, IDLE_WAIT_S)
        return claims

    def _rest(self, *, were_busy: bool) -> None:
        """Until there may be room in a full lane; what is suspended or off gets none by what others finish."""
        if were_busy:
            self._delivery.room_changed.wait(FULL_LANES_WAIT_S)
        else:
            gevent.sleep(FULL_LANES_WAIT_S)

    def _stop_claiming(self) -> None:
        if self._claimer is not None:
            self._claimer.kill()
            self._claimer = None


def _queue_id(given: Claim | QueueId) -> QueueId:
    return given.queue_id if isinstance(given, Claim) else given
