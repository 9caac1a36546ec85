"""From the replies of one attempt to the settlement of its claim. Pure: time and chance are arguments.

Invariant: each recipient that was open is afterwards either closed or deferred, never both, never neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from mdacore.contracts import Closing, Outcome
from mdacore.queue.notices import suppressed
from mdacore.words import Envelope, Recipient, Reply, printable

UNANSWERED = Reply(code=451, enhanced="4.3.0", text="Delivery was attempted without a result")


@attrs.frozen(kw_only=True)
class Conclusion:
    """What one attempt comes to.

    Attributes:
        closed: delivered or failed for good, by recipient number; a bounce says what becomes of its notice.
        deferred: still open, by recipient number.
        to_report: the bounces that a notice has to speak of.
    """

    closed: Mapping[int, Closing]
    deferred: Mapping[int, Reply]
    to_report: Sequence[tuple[Recipient, Closing]]


def conclude(envelope: Envelope, replies: Mapping[int, Reply], *, is_expired: bool) -> Conclusion:
    """2yz closes as delivered, 5yz as bounced; 4yz defers, or bounces once the message's lifetime is over."""
    closed: dict[int, Closing] = {}
    deferred: dict[int, Reply] = {}
    to_report: list[tuple[Recipient, Closing]] = []
    for recipient in envelope.recipients:
        number, reply = recipient.number, replies[recipient.number]
        if reply.code < 300:
            closed[number] = Closing(outcome=Outcome.DELIVERED, reply=reply)
        elif reply.code < 500 and not is_expired:
            deferred[number] = reply
        else:
            why_not = suppressed(envelope, recipient)
            last = reply if reply.is_permanent else expired(reply)
            closing = closed[number] = Closing(outcome=Outcome.BOUNCED, reply=last, notice=why_not or "sent")
            if not why_not:
                to_report.append((recipient, closing))
    return Conclusion(closed=closed, deferred=deferred, to_report=to_report)


def complete(envelope: Envelope, replies: object) -> tuple[dict[int, Reply], list[Recipient]]:
    """The usable replies of a relay, with `UNANSWERED` for each recipient that has none; and those recipients."""
    given = replies if isinstance(replies, Mapping) else {}
    usable: dict[int, Reply] = {}
    unanswered: list[Recipient] = []
    for recipient in envelope.recipients:
        reply = given.get(recipient.number)
        if isinstance(reply, Reply) and not 300 <= reply.code < 400:
            usable[recipient.number] = reply
        else:
            usable[recipient.number] = UNANSWERED
            unanswered.append(recipient)
    return usable, unanswered


def expired(last: Reply) -> Reply:
    """The final reply of a recipient whose message was deferred until its lifetime was over (RFC 3463 §3.5, X.4.7)."""
    return Reply(code=554, enhanced="5.4.7", text=printable(f"Delivery time expired; the last reply was: {last}"))
