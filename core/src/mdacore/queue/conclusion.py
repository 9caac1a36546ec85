"""From the replies of one attempt to the settlement of its claim. Pure: time and chance are arguments.

Invariant: each recipient that was open is afterwards either closed or deferred, never both, never neither.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import attrs

from mdacore.contracts import Closing, Outcome, RemoteReply
from mdacore.queue.notices import SENT, Kind, NoticeRules, Report, suppressed
from mdacore.words import Envelope, Recipient, Reply, printable

UNANSWERED = Reply(code=451, enhanced="4.3.0", text="Delivery was attempted without a result")
DEFAULT_RULES = NoticeRules()


@attrs.frozen(kw_only=True)
class Conclusion:
    """What one attempt comes to.

    Attributes:
        closed: delivered or failed for good, by recipient number; each says what becomes of its notice.
        deferred: still open, by recipient number.
        reports: what notices have to say.
    """

    closed: Mapping[int, Closing]
    deferred: Mapping[int, Reply]
    reports: Sequence[Report]

    @property
    def late(self) -> frozenset[int]:
        """Those still open of whom the sender is told that they are late, by number."""
        return frozenset(report.recipient.number for report in self.reports if report.kind is Kind.DELAYED)


def conclude(
    envelope: Envelope,
    replies: Mapping[int, Reply],
    *,
    expired: Container[int] = (),
    is_late: bool = False,
    rules: NoticeRules = DEFAULT_RULES,
) -> Conclusion:
    """2yz closes as delivered, 5yz as bounced; 4yz defers, or bounces whom the message's lifetime is over for.

    `expired`: those, by number. `is_late`: the sender of what is deferred is to be told, as far as that is due.
    """
    closed: dict[int, Closing] = {}
    deferred: dict[int, Reply] = {}
    reports: list[Report] = []
    for recipient in envelope.recipients:
        number, reply = recipient.number, replies[recipient.number]
        if reply.code < 300:
            kind = _kind_of_success(reply) if "SUCCESS" in recipient.notify else None
            notice = _noted(_report(kind, recipient, reply), envelope, rules, into=reports) if kind else ""
            closed[number] = Closing(outcome=Outcome.DELIVERED, reply=reply, notice=notice)
        elif reply.code < 500 and number not in expired:
            deferred[number] = reply
            if is_late:
                _noted(_report(Kind.DELAYED, recipient, reply), envelope, rules, into=reports)
        else:
            last = reply if reply.is_permanent else expiry(reply)
            report = _report(_kind_of_failure(envelope, reply), recipient, reply, status=last.enhanced)
            notice = _noted(report, envelope, rules, into=reports)
            closed[number] = Closing(outcome=Outcome.BOUNCED, reply=last, notice=notice)
    return Conclusion(closed=closed, deferred=deferred, reports=reports)


def _noted(report: Report, envelope: Envelope, rules: NoticeRules, *, into: list[Report]) -> str:
    """Put the report to the others if a notice of it is due; gives what the closing says about it."""
    if why_not := suppressed(report.kind, envelope, report.recipient, rules):
        return why_not
    into.append(report)
    return SENT


def _report(kind: Kind, recipient: Recipient, reply: Reply, *, status: str = "") -> Report:
    return Report(kind=kind, recipient=recipient, status=status or reply.enhanced, reply=reply)


def _kind_of_success(reply: Reply) -> Kind | None:
    """RFC 3461 §5.2.1 to §5.2.3; None = the next hop has taken over what the sender wishes to be told."""
    if isinstance(reply, RemoteReply):
        return None if reply.takes_dsn else Kind.RELAYED
    return Kind.DELIVERED


def _kind_of_failure(envelope: Envelope, reply: Reply) -> Kind:
    if not envelope.sender:
        return Kind.POSTMASTER
    return Kind.FAILED if reply.is_permanent else Kind.EXPIRED


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


def expiry(last: Reply) -> Reply:
    """The final reply of a recipient whose message was deferred until its lifetime was over (RFC 3463 §3.5, X.4.7)."""
    return Reply(code=554, enhanced="5.4.7", text=printable(f"Delivery time expired; the last reply was: {last}"))
