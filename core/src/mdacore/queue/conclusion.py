"""From the replies of one attempt to the settlement of its claim. Pure: time and chance are arguments.

Invariant: each recipient that was open is afterwards either closed or deferred, never both, never neither.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mdacore.contracts import Closing, Outcome
from mdacore.words import Envelope, Recipient, Reply, printable

UNANSWERED = Reply(code=451, enhanced="4.3.0", text="Delivery was attempted without a result")


@attrs.frozen(kw_only=True)
class Conclusion:
    """What one attempt comes to.

    Attributes:
        closed: delivered or failed for good, by recipient number; the notice of a bounce is decided elsewhere.
        deferred: still open, by recipient number.
    """

    closed: Mapping[int, Closing]
    deferred: Mapping[int, Reply]

    @property
    def bounced(self) -> dict[int, Closing]:
        """Those that failed for good."""
        return {number: end for number, end in self.closed.items() if end.outcome is Outcome.BOUNCED}


def conclude(envelope: Envelope, replies: Mapping[int, Reply], *, is_expired: bool) -> Conclusion:
    """2yz closes as delivered, 5yz as bounced; 4yz defers, or bounces once the message's lifetime is over."""
    closed: dict[int, Closing] = {}
    deferred: dict[int, Reply] = {}
    for recipient in envelope.recipients:
        reply = replies[recipient.number]
        if reply.is_success:
            closed[recipient.number] = Closing(outcome=Outcome.DELIVERED, reply=reply)
        elif reply.is_permanent:
            closed[recipient.number] = Closing(outcome=Outcome.BOUNCED, reply=reply)
        elif is_expired:
            closed[recipient.number] = Closing(outcome=Outcome.BOUNCED, reply=expired(reply))
        else:
            deferred[recipient.number] = reply
    return Conclusion(closed=closed, deferred=deferred)


def complete(envelope: Envelope, replies: object) -> tuple[dict[int, Reply], list[Recipient]]:
    """The usable replies of a relay, with `UNANSWERED` for each recipient that has none; and those recipients."""
    given = replies if isinstance(replies, Mapping) else {}
    usable: dict[int, Reply] = {}
    unanswered: list[Recipient] = []
    for recipient in envelope.recipients:
        reply = given.get(recipient.number)
        if isinstance(reply, Reply) and (reply.is_success or reply.is_transient or reply.is_permanent):
            usable[recipient.number] = reply
        else:
            usable[recipient.number] = UNANSWERED
            unanswered.append(recipient)
    return usable, unanswered


def expired(last: Reply) -> Reply:
    """The final reply of a recipient whose message was deferred until its lifetime was over (RFC 3463 §3.5, X.4.7)."""
    return Reply(code=554, enhanced="5.4.7", text=printable(f"Delivery time expired; the last reply was: {last}"))
