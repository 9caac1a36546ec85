"""Attempts: a claimed message through relay policies and relay, to what is to be recorded about it. Runs in the
greenlet of one attempt.

Invariant: a fault of a relay or a policy defers; only a relay's or a policy's own word, or the end of the message's
lifetime, closes a recipient.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Container, Mapping, Sequence
from typing import Final

from greenlet import GreenletExit

from mdacore import events, log
from mdacore.contracts import (
    Attempt,
    Claim,
    Closing,
    DestinationDown,
    NewMessage,
    Outcome,
    QueuedMessage,
    Settlement,
)
from mdacore.queue import storages
from mdacore.queue.conclusion import conclude
from mdacore.queue.lane import Job
from mdacore.queue.notices import SENT, Report
from mdacore.queue.notifying import Notifier
from mdacore.queue.policies import FencedPolicy, call_relay_policy
from mdacore.queue.relays import call_relay
from mdacore.queue.routing import RouteTable, relay_of
from mdacore.queue.suspension import CERTAIN_S, Suspension
from mdacore.queue.wiring import QueueWiring
from mdacore.runtime import Fence
from mdacore.words import (
    LOCAL_ERROR,
    ClaimLost,
    Deferral,
    Discard,
    Envelope,
    Hold,
    MdaError,
    Rejection,
    Reply,
)

STOPPED: Final = Reply(code=451, enhanced="4.3.2", text="The service stopped during the attempt")
BOUNCED_BY_OPERATOR: Final = Reply(code=554, enhanced="5.0.0", text="Returned by the administrator")
GIVE_BACK: Final = Settlement()
"""In place of a settlement, by identity: nothing was attempted, so the claim is released and the attempt uncounted."""


class Attempts:
    """Those of one queue. `routes` are those of its notices.

    Attributes:
        is_stopping: what is cut short now is deferred, however old it is.
    """

    def __init__(self, wiring: QueueWiring, routes: RouteTable, fences: Mapping[str, Fence], storage: Fence) -> None:
        self._wiring = wiring
        self._notifier = Notifier(wiring, routes)
        self._retry_rules = wiring.retry_rules
        self._relay_fences = fences
        self._storage_fence = storage
        self._log = wiring.log
        self._relay_policies = [FencedPolicy.around(policy, wiring.log) for policy in wiring.relay_policies]
        self.is_stopping = False

    def settlement(self, job: Job) -> Settlement | None:
        """Make the attempt; None = the claim is somebody else's, or its message was set aside. Blocks as relays do.

        Raises only faults of the queue itself: what plugins raise is part of the settlement.
        """
        claim = job.claim
        log.bind(queue_id=claim.queue_id)
        try:
            message = self._read(job)
        except ClaimLost:
            self._note_lost()
            return None
        except MdaError as error:  # if the storage has set it aside, the settlement finds the claim lost
            self._log.error(events.QUEUE_READ_FAILED, error=str(error))
            return self.retry(claim)
        except GreenletExit:
            return GIVE_BACK
        if job.is_lost:
            self._note_lost()
            return None
        if message.envelope.client.session_id:
            log.bind(session_id=message.envelope.client.session_id)
        try:
            replies = self._replies(job, message)
        except Hold as verdict:
            self._log.info(events.QUEUE_HELD, reason=verdict.reason)
            return Settlement(held=verdict.reason)
        except Discard as verdict:
            return self._discarded(message.envelope, verdict)
        except GreenletExit:
            if job.is_lost:
                self._note_lost()
                return None
            replies = _for_all(message.envelope, STOPPED)
        if replies is None:
            return GIVE_BACK
        is_retried = claim.attempt > 1 and not self.is_stopping  # a clock that jumps makes no message old by itself
        settlement, late = self._concluded(claim, message, replies, is_retried=is_retried)
        self._log_result(claim, message.envelope, settlement, late)
        return settlement

    def retry(self, claim: Claim) -> Settlement:
        """Nothing is known about any recipient: another attempt, later."""
        delay_s = self._wiring.retry.delay_s(claim.attempt, _chance())
        return Settlement(due_at=self._wiring.clock.now() + delay_s)

    def passed_over(self, job: Job, suspension: Suspension) -> Settlement | None:
        """What becomes of a message that was claimed while its destination is down, without an attempt.

        It bounces if an operator has said so or its lifetime is over, with what was last heard of the destination; its
        sender is warned if it is late; otherwise it is given back. None as in `settlement`; blocks as the storage does.
        Raises MdaError where it cannot be read.
        """
        claim = job.claim
        log.bind(queue_id=claim.queue_id)
        try:
            message = self._read(job)
        except ClaimLost:
            self._note_lost()
            return None
        envelope = message.envelope
        replies = _for_all(envelope, BOUNCED_BY_OPERATOR if message.must_bounce else suspension.reply)
        lifetime_s = self._retry_rules.lifetime_s(envelope.recipients)
        is_old = claim.attempt > 1 or suspension.lasts_s >= min(CERTAIN_S, lifetime_s)
        settlement, late = self._concluded(
            claim, message, replies, is_retried=is_old, delay_s=max(1.0, suspension.left_s)
        )
        if not settlement.closed and not settlement.reports_delay:
            return GIVE_BACK
        self._log_result(claim, envelope, settlement, late)
        return settlement

    def _read(self, job: Job) -> QueuedMessage:
        return job.message or self._storage_fence.call(storages.read, self._wiring.storage, job.claim)

    def _note_lost(self) -> None:
        self._log.warning(events.QUEUE_CLAIM_LOST)

    def _replies(self, job: Job, message: QueuedMessage) -> Mapping[int, Reply] | None:
        """One for each recipient; None = the relay is switched off, and nothing was attempted."""
        claim, envelope = job.claim, message.envelope
        if message.must_bounce:
            return _for_all(envelope, BOUNCED_BY_OPERATOR)
        relay = self._wiring.relays.get(relay_of(claim.lane))
        if relay is None:  # stored under an earlier configuration, which may come back
            self._log.error(events.PLUGIN_FAILED, component=f"relays.{relay_of(claim.lane)}", error="no such relay")
            return _for_all(envelope, LOCAL_ERROR)
        attempt = Attempt(queue_id=claim.queue_id, queue=claim.queue, number=claim.attempt, deadline_s=relay.deadline_s)
        try:
            for policy in self._relay_policies:
                envelope = call_relay_policy(policy, envelope, attempt)
            answered = call_relay(self._relay_fences[relay.instance], relay.relay, envelope, attempt)
        except DestinationDown as down:
            job.down = down.reply
            return _for_all(envelope, down.reply)
        except (Rejection, Deferral) as verdict:  # a policy's: the relay's fence lets none through
            return _for_all(envelope, verdict.reply)
        except MdaError as error:  # a fault never bounces: whatever the reply is, it is not a relay's word
            return _for_all(envelope, error.reply if error.reply.is_transient else LOCAL_ERROR)
        if answered is None:
            return None
        job.is_answered = True
        replies, unanswered = answered
        if unanswered:
            rcpts = [recipient.address for recipient in unanswered]
            self._log.error(events.PLUGIN_FAILED, component=f"relays.{relay.instance}", error="no reply", rcpts=rcpts)
        return replies

    def _concluded(
        self,
        claim: Claim,
        message: QueuedMessage,
        replies: Mapping[int, Reply],
        *,
        is_retried: bool,
        delay_s: float | None = None,
    ) -> tuple[Settlement, Collection[int]]:
        """The settlement, and the numbers of those whose sender it warns. Only what `is_retried` grows old."""
        now, envelope = self._wiring.clock.now(), message.envelope
        expired: Container[int] = ()
        is_late = False
        if is_retried:
            age_s, rules = now - message.accepted_at, self._wiring.notice_rules
            expired = self._retry_rules.expired(envelope.recipients, age_s)
            is_late = not message.is_delay_reported and rules.is_late(age_s)
        result = conclude(envelope, replies, expired=expired, is_late=is_late, rules=self._wiring.notice_rules)
        late = result.late if result.reports else ()
        if delay_s is None:
            delay_s = self._retry_delay_s(claim, envelope, result.deferred) if result.deferred else 0.0
        settlement = Settlement(
            closed=result.closed,
            deferred=result.deferred,
            due_at=now + delay_s,
            notices=self._notices(claim, message, result.reports, now) if result.reports else (),
            notice_queue=self._wiring.notice_queue,
            reports_delay=bool(late),
        )
        return settlement, late

    def _retry_delay_s(self, claim: Claim, envelope: Envelope, deferred: Container[int]) -> float:
        left = (rcpt for rcpt in envelope.recipients if rcpt.number in deferred)
        return self._retry_rules.delay_s(left, claim.attempt, _chance())

    def _notices(
        self, claim: Claim, message: QueuedMessage, reports: Sequence[Report], now: float
    ) -> Sequence[NewMessage]:
        return self._notifier.messages(claim, message, reports, now=now)

    def _discarded(self, envelope: Envelope, verdict: Discard) -> Settlement:
        rcpts = [recipient.address for recipient in envelope.recipients]
        self._log.info(events.QUEUE_DISCARDED, reason=verdict.reason, rcpts=rcpts)
        closing = Closing(outcome=Outcome.DISCARDED, reply=Reply(code=250, text=verdict.reason))
        return Settlement(closed={rcpt.number: closing for rcpt in envelope.recipients})

    def _log_result(self, claim: Claim, envelope: Envelope, settlement: Settlement, late: Collection[int]) -> None:
        """One line for all recipients that met the same end with the same words."""
        rcpts: dict[tuple[str, str, str], list[str]] = {}
        closed, deferred = settlement.closed, settlement.deferred
        for recipient in envelope.recipients:
            end = closed.get(recipient.number)
            if end is None:
                notice = SENT if recipient.number in late else ""
                key = (events.QUEUE_DEFERRED, str(deferred[recipient.number]), notice)
            else:
                is_delivered = end.outcome is Outcome.DELIVERED
                key = (events.QUEUE_DELIVERED if is_delivered else events.QUEUE_BOUNCED, str(end.reply), end.notice)
            rcpts.setdefault(key, []).append(recipient.address)
        for (event, reply, notice), addresses in rcpts.items():
            more: dict[str, object] = {"notice": notice} if notice else {}
            if event is events.QUEUE_DEFERRED:
                more["delay_s"] = round(settlement.due_at - self._wiring.clock.now())
            self._log.info(event, rcpts=addresses, reply=reply, **more, lane=claim.lane, attempt=claim.attempt)


def _for_all(envelope: Envelope, reply: Reply) -> dict[int, Reply]:
    return dict.fromkeys((recipient.number for recipient in envelope.recipients), reply)


def _chance() -> float:
    return random.random()  # noqa: S311 - jitter, not a secret
