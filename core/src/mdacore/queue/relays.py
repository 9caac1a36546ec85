"""How the queue calls a relay: through its fence, with its replies looked at behind it."""

from __future__ import annotations

from collections.abc import Mapping

from mdacore.contracts import Attempt, DestinationDown, EventLog, Relay
from mdacore.queue.conclusion import complete
from mdacore.queue.wiring import BoundRelay
from mdacore.runtime import BrokenContract, Fence, SwitchedOff
from mdacore.words import Envelope, Recipient, Reply


def call_relay(
    fence: Fence, relay: Relay, envelope: Envelope, attempt: Attempt
) -> tuple[dict[int, Reply], list[Recipient]] | None:
    """One reply for each recipient, and those for whom the relay itself had none; None = it is switched off.

    Raises:
        DestinationDown: as the relay raised it; the relay works.
        MdaError: it failed, or had a usable reply for nobody.
    """
    try:
        answered = fence.call(_answered, relay, envelope, attempt)
    except SwitchedOff:
        return None
    if isinstance(answered, DestinationDown):
        raise answered
    return answered


def _answered(
    relay: Relay, envelope: Envelope, attempt: Attempt
) -> tuple[dict[int, Reply], list[Recipient]] | DestinationDown:
    try:
        replies, unanswered = complete(envelope, relay.attempt(envelope, attempt))
    except DestinationDown as down:  # given, not raised: what passes the fence as an error is the relay's own fault
        return down
    if len(unanswered) == len(envelope.recipients):
        raise BrokenContract("gave no reply for any recipient")
    return replies, unanswered


def relay_fences(relays: Mapping[str, BoundRelay], log: EventLog) -> dict[str, Fence]:
    """The fence around the attempts of each relay, by its name."""
    return {
        name: Fence(
            instance=f"relays.{name}",
            log=log,
            deadline_s=relay.deadline_s,
            passes_verdicts=False,
            breaker=relay.breaker,
        )
        for name, relay in relays.items()
    }
