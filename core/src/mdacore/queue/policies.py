"""How the queue calls a policy: through its fence, with its result checked and its `on_error` applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import attrs

from mdacore import events
from mdacore.contracts import Attempt, EventLog, QueuePolicy, RelayPolicy
from mdacore.queue.wiring import BoundPolicy, OnError
from mdacore.runtime import BrokenContract, Fence
from mdacore.words import ComponentFailure, Deferral, Envelope, MdaError, Rejection, Reply

MAX_PARTS = 1000
"""How many parts one message may be split into (acceptance: a policy that returns a million envelopes is a fault)."""
POLICY_REFUSED = Reply(code=554, enhanced="5.3.0", text="Message refused")

PolicyT = TypeVar("PolicyT")


@attrs.frozen(kw_only=True)
class FencedPolicy(Generic[PolicyT]):
    """One policy of the chain with the fence around it."""

    instance: str
    apply: PolicyT
    on_error: OnError
    fence: Fence

    @classmethod
    def around(cls, policy: BoundPolicy[PolicyT], log: EventLog) -> FencedPolicy[PolicyT]:
        name = f"policies.{policy.instance}"
        fence = Fence(instance=name, log=log, deadline_s=policy.deadline_s, breaker=policy.breaker)
        return cls(instance=policy.instance, apply=policy.apply, on_error=policy.on_error, fence=fence)

    def fault(self, what: str) -> ComponentFailure:
        """Log what the policy did against its contract; returns the error to raise."""
        self.fence.log.error(events.PLUGIN_FAILED, component=self.fence.instance, error=what)
        return ComponentFailure(f"{self.fence.instance} {what}", component=self.fence.instance)

    def settled(self, failure: MdaError) -> None:
        """Apply `on_error`: return to go on as if the policy were not there, or raise."""
        if self.on_error == "reject":
            raise Rejection(POLICY_REFUSED) from failure
        if self.on_error == "defer":
            raise failure


def call_policy(policy: FencedPolicy[QueuePolicy], envelope: Envelope) -> Sequence[Envelope] | None:
    """The parts that a queue policy makes of an envelope; None = it failed and the message goes on without it.

    Raises:
        Rejection, Deferral, Discard, Hold: its verdict.
        ComponentFailure: it failed, and `on_error` is ``"defer"``.
    """
    try:
        return policy.fence.call(_parts, policy.apply, envelope)
    except (Rejection, Deferral):
        raise
    except MdaError as failure:
        policy.settled(failure)
        return None


def call_relay_policy(policy: FencedPolicy[RelayPolicy], envelope: Envelope, attempt: Attempt) -> Envelope:
    """The envelope as a relay policy wants it sent; unchanged if the policy failed and `on_error` is ``"accept"``.

    Raises:
        Rejection, Deferral, Discard, Hold: its verdict.
        ComponentFailure: it failed, and `on_error` is ``"defer"``.
    """
    try:
        return policy.fence.call(_for_attempt, policy.apply, envelope, attempt)
    except (Rejection, Deferral):
        raise
    except MdaError as failure:
        policy.settled(failure)
        return envelope


# What follows runs behind the fence, so that a useless result counts as the fault that it is.


def _parts(apply: QueuePolicy, envelope: Envelope) -> Sequence[Envelope]:
    results: object = apply(envelope)
    if not isinstance(results, list | tuple) or not results:
        raise BrokenContract(f"returned {type(results).__name__} where envelopes are wanted")
    if len(results) > MAX_PARTS:
        raise BrokenContract(f"split a message into more than {MAX_PARTS} parts")
    if not all(isinstance(result, Envelope) for result in results):
        raise BrokenContract("returned something that is not an Envelope")
    return results


def _for_attempt(apply: RelayPolicy, envelope: Envelope, attempt: Attempt) -> Envelope:
    result: object = apply(envelope, attempt)
    if not isinstance(result, Envelope):
        raise BrokenContract(f"returned {type(result).__name__} where an Envelope is wanted")
    if {rcpt.number for rcpt in result.recipients} != {rcpt.number for rcpt in envelope.recipients}:
        raise BrokenContract("changed which recipients are attempted")
    return result
