"""How the queue calls a policy: through its fence, with its result checked and its `on_error` applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import attrs

from mdacore import events
from mdacore.contracts import Attempt, EventLog, QueuePolicy, RelayPolicy
from mdacore.queue.wiring import BoundPolicy, OnError
from mdacore.runtime import Fence
from mdacore.words import ComponentFailure, Deferral, Envelope, MdaError, Rejection, Reply

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
        fence = Fence(instance=name, log=log, deadline_s=policy.deadline_s)
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
        results = policy.fence.call(policy.apply, envelope)
        if not isinstance(results, list | tuple) or not results:
            raise policy.fault(f"returned {type(results).__name__} where envelopes are wanted")
        if not all(isinstance(result, Envelope) for result in results):
            raise policy.fault("returned something that is not an Envelope")
    except (Rejection, Deferral):
        raise
    except MdaError as failure:
        policy.settled(failure)
        return None
    return results


def call_relay_policy(policy: FencedPolicy[RelayPolicy], envelope: Envelope, attempt: Attempt) -> Envelope:
    """The envelope as a relay policy wants it sent; unchanged if the policy failed and `on_error` is ``"accept"``.

    Raises:
        Rejection, Deferral, Discard, Hold: its verdict.
        ComponentFailure: it failed, and `on_error` is ``"defer"``.
    """
    try:
        result = policy.fence.call(policy.apply, envelope, attempt)
        if not isinstance(result, Envelope):
            raise policy.fault(f"returned {type(result).__name__} where an Envelope is wanted")
        if {rcpt.number for rcpt in result.recipients} != {rcpt.number for rcpt in envelope.recipients}:
            raise policy.fault("changed which recipients are attempted")
    except (Rejection, Deferral):
        raise
    except MdaError as failure:
        policy.settled(failure)
        return envelope
    return result
