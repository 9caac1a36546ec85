"""Intake: from one envelope as an edge made it to the messages that are stored. No I/O but what policies do.

Order: duplicate recipients out, each queue policy in turn (duplicates out again after each), then a split by route.
A Rejection or Deferral of any part refuses the whole; a Discard drops its part; a Hold marks its part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import attrs

from mdacore import events
from mdacore.contracts import EventLog, NewMessage, QueuePolicy
from mdacore.queue.lineage import Lineage, RecipientKey, inherited, key_of, of_client
from mdacore.queue.policies import MAX_PARTS, FencedPolicy, call_policy
from mdacore.queue.routing import RouteTable
from mdacore.queue.wiring import BoundPolicy
from mdacore.runtime import Deadline
from mdacore.words import ComponentFailure, Discard, Envelope, Hold, Recipient
from mdacore.words import number as numbered

LEFT_OUT = "left out by the policy"


class IntakeWiring(Protocol):
    """What is needed of a queue's wiring."""

    @property
    def queue_policies(self) -> Sequence[BoundPolicy[QueuePolicy]]: ...

    @property
    def policies_deadline_s(self) -> float: ...

    @property
    def log(self) -> EventLog: ...


class Promise(Protocol):
    """Reserves a place in a lane, if it has room; True if it did."""

    def __call__(self, lane_name: str, /) -> bool: ...


@attrs.frozen(kw_only=True)
class Part:
    """One part of a message on its way to the storage.

    Attributes:
        held: why it will be stored as held.
        lineage: from whom its recipients stem; None where nobody asks.
    """

    envelope: Envelope
    held: str = ""
    lineage: Lineage | None = None


class Intake:
    """Runs the queue policies of one queue, and says what is to be stored. `is_tracing`: each part has a lineage."""

    def __init__(self, wiring: IntakeWiring, routes: RouteTable, *, is_tracing: bool = False) -> None:
        self._routes = routes
        self._is_tracing = is_tracing
        self._policies: Sequence[FencedPolicy[QueuePolicy]] = [
            FencedPolicy.around(policy, wiring.log) for policy in wiring.queue_policies
        ]
        self._deadline_s = wiring.policies_deadline_s
        self._log = wiring.log

    def parts(self, envelope: Envelope) -> list[Part]:
        """What is to be stored of this message; empty if policies have discarded all of it. Blocks as policies do.

        Raises:
            Rejection, Deferral: a policy's verdict on the whole message.
            ComponentFailure: a policy failed, and its `on_error` is not ``"accept"``.
        """
        lineage = of_client(envelope.recipients) if self._is_tracing else None
        parts = [Part(envelope=without_duplicates(envelope), lineage=lineage)]
        if not self._policies:
            return parts
        with Deadline(self._deadline_s) as deadline:
            try:
                for policy in self._policies:
                    parts = [result for part in parts for result in self._applied(policy, part)]
                    if len(parts) > MAX_PARTS:
                        raise policy.fault(f"split a message into more than {MAX_PARTS} parts")
            except Deadline as expired:
                if expired is not deadline:
                    raise
                self._log.error(events.PLUGIN_OVERRAN, component="queue policies", deadline_s=self._deadline_s)
                raise ComponentFailure("the queue policies together overran their deadline") from expired
        return parts

    def messages(self, parts: Iterable[Part], *, due_at: float, promise: Promise) -> list[NewMessage]:
        """The parts as the storage gets them: one message for each relay that a part's recipients go to.

        `promise` is asked for each that is not held whether its first attempt may be made at once.
        """
        routed = [(part.held, *route) for part in parts for route in self._routes.split(part.envelope)]
        return [  # only now: a relay that cannot name a destination must leave no promise behind
            NewMessage(envelope=envelope, lane=lane, due_at=due_at, held=held, claim=not held and promise(lane))
            for held, lane, envelope in routed
        ]

    def _applied(self, policy: FencedPolicy[QueuePolicy], part: Part) -> Sequence[Part]:
        try:
            results = call_policy(policy, part.envelope)
        except Discard as verdict:
            rcpts = [recipient.address for recipient in part.envelope.recipients]
            self._log.info(events.QUEUE_DISCARDED, policy=policy.instance, reason=verdict.reason, rcpts=rcpts)
            return ()
        except Hold as verdict:
            return (attrs.evolve(part, held=f"{policy.instance}: {verdict.reason}"),)
        if results is None:
            return (part,)
        if part.lineage is not None:
            return self._traced(policy, part, part.lineage, results)
        return [Part(envelope=without_duplicates(result), held=part.held) for result in results]

    def _traced(
        self, policy: FencedPolicy[QueuePolicy], part: Part, lineage: Lineage, results: Sequence[Envelope]
    ) -> Sequence[Part]:
        lineages, left_out = inherited(part.envelope, lineage, results)
        if left_out:
            gone = [rcpt.address for rcpt in part.envelope.recipients if lineage[key_of(rcpt)] & left_out]
            self._log.info(events.QUEUE_DISCARDED, policy=policy.instance, reason=LEFT_OUT, rcpts=gone)
        return [
            Part(envelope=without_duplicates(result), held=part.held, lineage=inherited_)
            for result, inherited_ in zip(results, lineages, strict=True)
        ]


def without_duplicates(envelope: Envelope) -> Envelope:
    """The envelope with one recipient for each mailbox and equal DSN wishes, numbered from 0 in their order."""
    recipients = envelope.recipients
    if len(recipients) == 1 and recipients[0].number == 0:
        return envelope
    unique: dict[RecipientKey, Recipient] = {}
    for recipient in recipients:
        unique.setdefault(key_of(recipient), recipient)
    kept = tuple(numbered(unique.values()))
    return envelope if kept == recipients else attrs.evolve(envelope, recipients=kept)
