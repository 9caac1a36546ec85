"""From the reports of one attempt to the notices that its settlement stores, as messages of the notices' queue.

One notice for each kind of report: what has failed, what is late and what was delivered is said in different words.
"""

from __future__ import annotations

from collections.abc import Sequence

from mdacore.contracts import Claim, NewMessage, QueuedMessage
from mdacore.queue.notices import Kind, Notice, Report
from mdacore.queue.routing import RouteTable
from mdacore.queue.wiring import QueueWiring


class Notifier:
    """Writes the notices of one queue; `routes` are those of the queue that sends them."""

    def __init__(self, wiring: QueueWiring, routes: RouteTable) -> None:
        self._routes = routes
        self._texts = wiring.notice_texts
        self._hostname = wiring.hostname
        self._retry_rules = wiring.retry_rules
        self._postmaster = wiring.notice_rules.postmaster

    def messages(
        self, claim: Claim, message: QueuedMessage, reports: Sequence[Report], *, now: float
    ) -> list[NewMessage]:
        """Due at once. Never fails for what an original holds; may read its body."""
        by_kind: dict[Kind, list[Report]] = {}
        for report in reports:
            by_kind.setdefault(report.kind, []).append(report)
        return [self._message(claim, message, kind, group, now) for kind, group in by_kind.items()]

    def _message(
        self, claim: Claim, message: QueuedMessage, kind: Kind, reports: Sequence[Report], now: float
    ) -> NewMessage:
        lifetime_s = self._retry_rules.lifetime_s(report.recipient for report in reports)
        notice = Notice(
            kind=kind,
            claim=claim,
            message=message,
            reports=reports,
            receiver=self._postmaster if kind is Kind.POSTMASTER else message.envelope.sender,
            text=self._texts[kind],
            hostname=self._hostname,
            now=now,
            retry_until=message.accepted_at + lifetime_s,
        ).envelope()
        return NewMessage(envelope=notice, lane=self._routes.lane(notice), due_at=now)
