"""How the queue calls a relay: through its fence, with its replies looked at behind it."""

from __future__ import annotations

from mdacore.contracts import Attempt, Relay
from mdacore.queue.conclusion import complete
from mdacore.runtime import BrokenContract, Fence, SwitchedOff
from mdacore.words import Envelope, Recipient, Reply


def call_relay(
    fence: Fence, relay: Relay, envelope: Envelope, attempt: Attempt
) -> tuple[dict[int, Reply], list[Recipient]] | None:
    """One reply for each recipient, and those for whom the relay itself had none; None = it is switched off.

    Raises:
        MdaError: it failed, or had a usable reply for nobody.
    """
    try:
        return fence.call(_answered, relay, envelope, attempt)
    except SwitchedOff:
        return None


def _answered(relay: Relay, envelope: Envelope, attempt: Attempt) -> tuple[dict[int, Reply], list[Recipient]]:
    replies, unanswered = complete(envelope, relay.attempt(envelope, attempt))
    if len(unanswered) == len(envelope.recipients):
        raise BrokenContract("gave no reply for any recipient")
    return replies, unanswered
