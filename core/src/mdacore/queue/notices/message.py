"""A notice as a message: multipart/report with words for people, facts for programs, and the original or its header.

Pure but for the original's body, which may be read from a disk. A notice has the null sender, so that it is never
answered by another one (RFC 5321 §4.5.5), and no wishes of its own (RFC 3461 §6.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from email.header import Header
from typing import Final

import attrs

from mdacore.contracts import Claim, QueuedMessage
from mdacore.queue.notices.mime import report, text_part
from mdacore.queue.notices.returned import returned
from mdacore.queue.notices.rules import Kind, Report
from mdacore.queue.notices.status import MAX_REPLY_CHARS, StatusFields, date_text, field_line
from mdacore.queue.notices.texts import NoticeText
from mdacore.words import Client, Content, Envelope, MemoryBody, Recipient, printable

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


@attrs.frozen(kw_only=True)
class Notice:
    """The facts of one notice.

    Attributes:
        message: the original.
        reports: all of this kind, at least one.
        receiver: the original's sender, or the postmaster.
        retry_until: epoch seconds, when attempts end.
    """

    kind: Kind
    claim: Claim
    message: QueuedMessage
    reports: Sequence[Report]
    receiver: str
    text: NoticeText
    hostname: str
    now: float
    retry_until: float

    def envelope(self) -> Envelope:
        """The notice for its receiver: at most 50 KB of the original, and 6 KB for each recipient."""
        octets = self._octets()
        return Envelope(
            sender="",
            recipients=(Recipient(number=0, address=self.receiver, notify=("NEVER",)),),
            content=Content(MemoryBody(octets)),
            client=Client(edge="queue", session_id=self.message.envelope.client.session_id),
            received_at=self.now,
            body_type="7BIT" if octets.isascii() else "8BITMIME",
            is_smtputf8=self.is_utf8,
        )

    @property
    def is_utf8(self) -> bool:
        """It may hold UTF-8 (RFC 6533): whoever has such an address, or sent such a message, can receive it."""
        is_answer = self.kind is not Kind.POSTMASTER
        return not self.receiver.isascii() or (is_answer and self.message.envelope.is_smtputf8)

    def _octets(self) -> bytes:
        is_utf8, original = self.is_utf8, self.message.envelope
        subject, text = self.text.rendered(self._fields())
        parts = (
            text_part("text/plain", text, may_be_8bit=is_utf8),
            self._status().part(self.reports, is_utf8=is_utf8),
            returned(original.content, is_full=self._is_full, is_utf8=is_utf8),
        )
        content_type, body = report([part for part in parts if part], boundary=f"=_{self.claim.queue_id}")
        header = (*self._header(subject), f"MIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\r\n")
        return "".join(header).encode() + body

    @property
    def _is_full(self) -> bool:
        """RFC 3461 §4.3: whole only when asked for, and only when something has failed."""
        return self.message.envelope.dsn_return == "FULL" and self.kind.action == "failed"

    def _status(self) -> StatusFields:
        return StatusFields(
            queue_id=self.claim.queue_id,
            hostname=self.hostname,
            original=self.message.envelope,
            attempted_at=None if self.message.must_bounce else self.now,
            retry_until=self.retry_until,
        )

    def _header(self, subject: str) -> Iterator[str]:
        encoded = Header(printable(subject), header_name="Subject").encode(linesep="\r\n")  # RFC 2047 where needed
        yield f"From: Mail Delivery System <MAILER-DAEMON@{self.hostname}>\r\n"
        yield field_line("To", f"<{self.receiver}>", is_utf8=self.is_utf8)
        yield f"Subject: {encoded}\r\n"
        yield f"Date: {date_text(self.now)}\r\n"
        yield f"Message-ID: <{self.claim.queue_id}.{self.claim.attempt}.{self.kind.value}@{self.hostname}>\r\n"
        yield "Auto-Submitted: auto-replied\r\n"  # RFC 3834 §5

    def _fields(self) -> Mapping[str, str]:
        age_s = max(0.0, self.now - self.message.accepted_at)
        return {
            "arrived": date_text(self.message.accepted_at),
            "hostname": self.hostname,
            "queue_id": self.claim.queue_id,
            "recipients": "\n\n".join(map(_paragraph, self.reports)),
            "retry_until": date_text(self.retry_until),
            "sender": printable(self.message.envelope.sender),
            "tried_for": _spoken(age_s),
            "tried_hours": str(max(1, round(age_s / _HOUR_S))),
        }


def _paragraph(report: Report) -> str:
    """One recipient under the name by which the sender knows it, and what was said of it."""
    address = report.recipient.original_address or report.recipient.address
    return f"<{printable(address)}>:\n    {printable(str(report.reply), MAX_REPLY_CHARS)}"


def _spoken(duration_s: float) -> str:
    """``"5 days"``, ``"4 hours"``, ``"2 minutes"``; never ``"1 day"`` or ``"1 hour"``, which say less."""
    for unit, size_s, from_s in (("days", _DAY_S, 3 * _DAY_S), ("hours", _HOUR_S, 2 * _HOUR_S)):
        if duration_s >= from_s:
            return f"{round(duration_s / size_s)} {unit}"
    minutes = round(duration_s / _MINUTE_S)
    return f"{minutes} minutes" if minutes > 1 else "a minute"
