"""Failure notices: the message that tells a sender who will not get their mail, and why (RFC 3464).

Pure. A notice has the null sender, so that it is never answered by another one (RFC 5321 §4.5.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime

import attrs

from mdacore.contracts import Closing
from mdacore.words import Client, Content, Envelope, MemoryBody, QueueId, Recipient, printable

_UNPRINTABLE = re.compile(r"[^\t -~]")
MAX_HEADER_CHARS = 50_000
"""How much of the original's header goes back with a notice (acceptance case 60)."""
MAX_LINE_CHARS = 998
"""RFC 5322 §2.1.1."""
MAX_VALUE_CHARS = 400
"""How much of an address or a reply a notice repeats, so that its lines keep within the limit."""

SUPPRESSED_NULL_SENDER = "suppressed: the sender is the null sender"
SUPPRESSED_NEVER = "suppressed: the sender asked for NOTIFY=NEVER"
SUPPRESSED_NO_FAILURE = "suppressed: the sender did not ask for NOTIFY=FAILURE"


def suppressed(envelope: Envelope, recipient: Recipient) -> str:
    """Why no failure notice is due for this recipient, ``""`` if one is (RFC 3461 §4.1)."""
    if not envelope.sender:
        return SUPPRESSED_NULL_SENDER
    if "NEVER" in recipient.notify:
        return SUPPRESSED_NEVER
    if recipient.notify and "FAILURE" not in recipient.notify:
        return SUPPRESSED_NO_FAILURE
    return ""


@attrs.frozen(kw_only=True)
class FailureNotice:
    """The facts of one notice: which message, and whose delivery failed with which reply."""

    queue_id: QueueId
    original: Envelope
    failed: Sequence[tuple[Recipient, Closing]]
    hostname: str
    now: float

    def envelope(self) -> Envelope:
        """The notice, addressed to the original's sender: 7-bit, at most 50 KB of the original, 1.5 KB a recipient."""
        return Envelope(
            sender="",
            recipients=(Recipient(number=0, address=self.original.sender, notify=("NEVER",)),),
            content=Content(MemoryBody(self._message())),
            client=Client(edge="queue", session_id=self.original.client.session_id),
            received_at=self.now,
            body_type="7BIT",
        )

    def _message(self) -> bytes:
        boundary = f"=_{self.queue_id}"  # RFC 2046 §5.1.1: at most 70 characters
        parts = (
            ("text/plain; charset=us-ascii", self._explanation()),
            ("message/delivery-status", self._status()),
            ("text/rfc822-headers", self._original_header()),
        )
        lines = [*self._header(boundary), ""]
        for content_type, body in parts:
            lines += [f"--{boundary}", f"Content-Type: {content_type}", "", *body, ""]
        lines += [f"--{boundary}--", ""]
        return "\r\n".join(lines).encode("ascii")

    def _header(self, boundary: str) -> Iterable[str]:
        yield f"From: Mail Delivery System <MAILER-DAEMON@{self.hostname}>"
        yield f"To: <{_plain(self.original.sender)}>"
        yield "Subject: Undelivered mail returned to sender"
        yield f"Date: {format_datetime(datetime.fromtimestamp(self.now, UTC))}"
        yield f"Message-ID: <{self.queue_id}.{self.now:.0f}.notice@{self.hostname}>"
        yield "Auto-Submitted: auto-replied"
        yield "MIME-Version: 1.0"
        yield f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"'

    def _explanation(self) -> Iterable[str]:
        yield f"This is the mail system at {self.hostname}."
        yield ""
        yield "Your message could not be delivered to the recipients below."
        yield "It will not be tried again."
        for recipient, closing in self.failed:
            yield ""
            yield f"<{_plain(recipient.address)}>:"
            yield f"    {_plain(str(closing.reply))}"

    def _status(self) -> Iterable[str]:
        yield f"Reporting-MTA: dns; {self.hostname}"
        yield f"X-Queue-ID: {self.queue_id}"
        yield f"Arrival-Date: {format_datetime(datetime.fromtimestamp(self.original.received_at, UTC))}"
        for recipient, closing in self.failed:
            yield ""
            if recipient.orcpt:
                yield f"Original-Recipient: {_plain(recipient.orcpt)}"
            yield f"Final-Recipient: rfc822; {_plain(recipient.address)}"
            yield "Action: failed"
            yield f"Status: {closing.reply.enhanced}"
            yield f"Diagnostic-Code: smtp; {_plain(str(closing.reply))}"

    def _original_header(self) -> Iterable[str]:
        left_chars = MAX_HEADER_CHARS
        for line in self.original.content.header[:MAX_HEADER_CHARS].split(b"\r\n"):
            text = _UNPRINTABLE.sub("?", line.decode("ascii", "backslashreplace"))[:MAX_LINE_CHARS]
            left_chars -= len(text) + 2
            if left_chars < 0:
                return
            yield text


def _plain(text: str) -> str:
    """Printable ASCII on one line, cut."""
    return printable(text, MAX_VALUE_CHARS).encode("ascii", "backslashreplace").decode("ascii")[:MAX_VALUE_CHARS]
