"""Proxying: one message through relay policies and relay while its client waits. Runs in a greenlet of its own.

Invariant: each recipient gets a reply; it is 2yz only if the relay delivered or a policy discarded, and 5yz only by a
relay's or a policy's own word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
from gevent.event import Event
from greenlet import GreenletExit

from mdacore import events, log
from mdacore.contracts import Attempt
from mdacore.queue.places import Places
from mdacore.queue.policies import FencedPolicy, call_relay_policy
from mdacore.queue.relays import call_relay
from mdacore.queue.routing import relay_of
from mdacore.queue.wiring import ProxyWiring
from mdacore.runtime import Deadline, Fence
from mdacore.words import (
    LOCAL_ERROR,
    ComponentFailure,
    Deferral,
    Discard,
    Envelope,
    Hold,
    MdaError,
    QueueId,
    Rejection,
    Reply,
)

STOPPED: Final = Reply(code=451, enhanced="4.3.2", text="The service stopped during the attempt")
NO_PLACE: Final = Reply(code=451, enhanced="4.3.2", text="Too many messages in hand, try again later")
CANNOT_HOLD: Final = Reply(code=451, enhanced="4.3.5", text="System incorrectly configured, try again later")
DISCARDED: Final = Reply(code=250, enhanced="2.0.0", text="Ok")


@attrs.define(eq=False, kw_only=True)
class Passing:
    """A message, or the part of it that goes to one relay and destination, on its way.

    Attributes:
        origins: the places in the client's list that each recipient stems from, by its number; empty = a policy's own.
        ends_at: when the client must have its replies, on the monotonic clock.
        is_abandoned: nobody waits for the replies: what has not begun need not.
        replies: by recipient number, once `is_through` is set.
    """

    queue_id: QueueId
    lane: str
    envelope: Envelope
    origins: Mapping[int, frozenset[int]]
    ends_at: float
    is_abandoned: bool = False
    replies: Mapping[int, Reply] = attrs.field(factory=dict)
    is_through: Event = attrs.field(factory=Event)


class Proxying:
    """The attempts of one proxy queue."""

    def __init__(self, wiring: ProxyWiring, fences: Mapping[str, Fence]) -> None:
        self._wiring = wiring
        self._fences = fences
        self._clock = wiring.clock
        self._log = wiring.log
        self._relay_policies = [FencedPolicy.around(policy, wiring.log) for policy in wiring.relay_policies]
        self.places = Places(wiring.relays)

    def replies(self, passing: Passing) -> Mapping[int, Reply]:
        """One for each recipient, by its number. Blocks as relays do. Raises only faults of the queue itself."""
        envelope = passing.envelope
        log.bind(queue_id=passing.queue_id, session_id=envelope.client.session_id)
        try:
            replies = self._replies(passing)
        except Discard as verdict:
            rcpts = [recipient.address for recipient in envelope.recipients]
            self._log.info(events.QUEUE_DISCARDED, reason=verdict.reason, rcpts=rcpts)
            return for_all(envelope, DISCARDED)
        except Hold as verdict:
            self._log.warning(events.QUEUE_HOLD_REFUSED, reason=verdict.reason)
            replies = for_all(envelope, CANNOT_HOLD)
        except GreenletExit:
            replies = for_all(envelope, STOPPED)
        self._log_replies(passing, replies)
        return replies

    def _replies(self, passing: Passing) -> Mapping[int, Reply]:
        relay = self._wiring.relays[relay_of(passing.lane)]
        if relay.breaker is not None and relay.breaker.is_off:
            return for_all(passing.envelope, LOCAL_ERROR)
        with self.places.place(passing.lane, min(self._wiring.place_wait_s, self._left_s(passing))) as has_place:
            if passing.is_abandoned:
                return for_all(passing.envelope, STOPPED)
            return self._attempted(passing) if has_place else for_all(passing.envelope, NO_PLACE)

    def _attempted(self, passing: Passing) -> Mapping[int, Reply]:
        relay, envelope = self._wiring.relays[relay_of(passing.lane)], passing.envelope
        deadline_s = min(relay.deadline_s, self._left_s(passing))
        attempt = Attempt(queue_id=passing.queue_id, queue=self._wiring.name, number=1, deadline_s=deadline_s)
        try:
            envelope = self._policed(envelope, attempt)
            deadline_s = min(deadline_s, self._left_s(passing))  # policies have used some of it
            if deadline_s <= 0:
                return for_all(envelope, NO_PLACE)
            fence = attrs.evolve(self._fences[relay.instance], deadline_s=deadline_s)
            answered = call_relay(fence, relay.relay, envelope, attrs.evolve(attempt, deadline_s=deadline_s))
        except (Rejection, Deferral) as verdict:  # a policy's: the relay's fence lets none through
            return for_all(envelope, verdict.reply)
        except MdaError as error:  # a fault refuses nothing for good: whatever the reply is, it is not a relay's word
            return for_all(envelope, error.reply if error.reply.is_transient else LOCAL_ERROR)
        if answered is None:
            return for_all(envelope, LOCAL_ERROR)
        replies, unanswered = answered
        if unanswered:
            rcpts = [recipient.address for recipient in unanswered]
            self._log.error(events.PLUGIN_FAILED, component=f"relays.{relay.instance}", error="no reply", rcpts=rcpts)
        return replies

    def _policed(self, envelope: Envelope, attempt: Attempt) -> Envelope:
        """As the relay policies want it sent; all together they have no more time than the attempt."""
        if not self._relay_policies:
            return envelope
        with Deadline(attempt.deadline_s) as deadline:
            try:
                for policy in self._relay_policies:
                    envelope = call_relay_policy(policy, envelope, attempt)
            except Deadline as expired:
                if expired is not deadline:
                    raise
                self._log.error(events.PLUGIN_OVERRAN, component="relay policies", deadline_s=attempt.deadline_s)
                raise ComponentFailure("the relay policies together overran their deadline") from expired
        return envelope

    def _left_s(self, passing: Passing) -> float:
        return max(0.0, passing.ends_at - self._clock.monotonic())

    def _log_replies(self, passing: Passing, replies: Mapping[int, Reply]) -> None:
        """One line for all recipients that got the same words."""
        rcpts: dict[str, list[str]] = {}
        for recipient in passing.envelope.recipients:
            rcpts.setdefault(str(replies[recipient.number]), []).append(recipient.address)
        facts = {"sender": passing.envelope.sender, "size_bytes": passing.envelope.content.body.size_bytes}
        for reply, addresses in rcpts.items():
            self._log.info(events.QUEUE_PROXIED, rcpts=addresses, reply=reply, lane=passing.lane, **facts)


def for_all(envelope: Envelope, reply: Reply) -> dict[int, Reply]:
    """The same for each recipient."""
    return dict.fromkeys((recipient.number for recipient in envelope.recipients), reply)
