"""The second part of a notice: message/delivery-status (RFC 3464), for UTF-8 addresses as RFC 6533 says. Pure.

Invariant: whatever an address or a reply holds, a field is one line of printable text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime

import attrs

from mdacore.contracts import RemoteReply
from mdacore.queue.notices.mime import Part, plain_part
from mdacore.queue.notices.rules import Kind, Report
from mdacore.words import Client, Envelope, QueueId, printable

MAX_VALUE_BYTES = 900
"""Of one field, so that no line is longer than 998 octets (RFC 5322 §2.1.1)."""
MAX_REPLY_CHARS = 400
_YEAR_9999_S = 253_370_764_800.0

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_NOT_QCHAR = re.compile(r"[^!-*,-<>-\[\]-~]")  # RFC 6533 §3


@attrs.frozen(kw_only=True)
class StatusFields:
    """What the part says of the message as a whole.

    Attributes:
        attempted_at: None = no attempt was made: an operator has decided.
        retry_until: for a delay.
    """

    queue_id: QueueId
    hostname: str
    original: Envelope
    attempted_at: float | None
    retry_until: float

    def part(self, reports: Sequence[Report], *, is_utf8: bool) -> Part:
        """The part: a group of fields for the message, then one for each recipient (RFC 3464 §2.1)."""
        groups = [self._of_message(), *(self._of_recipient(report, is_utf8=is_utf8) for report in reports)]
        lines = ("".join(field_line(name, value, is_utf8=is_utf8) for name, value in group) for group in groups)
        kind = "global-delivery-status" if is_utf8 else "delivery-status"
        return plain_part(f"message/{kind}", "\r\n".join(lines).encode())

    def _of_message(self) -> Iterator[tuple[str, str]]:
        original = self.original
        if original.dsn_envelope_id:
            yield "Original-Envelope-Id", original.dsn_envelope_id
        yield "Reporting-MTA", f"dns; {self.hostname}"
        if came_from := _received_from(original.client):
            yield "Received-From-MTA", f"dns; {came_from}"
        yield "Arrival-Date", date_text(original.received_at)
        yield "X-Queue-ID", self.queue_id

    def _of_recipient(self, report: Report, *, is_utf8: bool) -> Iterator[tuple[str, str]]:
        recipient, reply = report.recipient, report.reply
        if recipient.orcpt:
            yield "Original-Recipient", recipient.orcpt if is_utf8 else _escaped(_NOT_ASCII, recipient.orcpt)
        elif recipient.original_address:  # what RFC 3461 §5.2.1 lets a relaying system put there
            yield "Original-Recipient", _typed(recipient.original_address, is_utf8=is_utf8)
        yield "Final-Recipient", _typed(recipient.address, is_utf8=is_utf8)
        yield "Action", report.kind.action
        yield "Status", report.status
        is_remote = isinstance(reply, RemoteReply)
        if isinstance(reply, RemoteReply) and reply.remote_mta:
            yield "Remote-MTA", f"dns; {reply.remote_mta}"
        yield "Diagnostic-Code", f"{'smtp' if is_remote else 'x-mdacore'}; {printable(str(reply), MAX_REPLY_CHARS)}"
        if self.attempted_at is not None:
            yield "Last-Attempt-Date", date_text(self.attempted_at)
        if report.kind is Kind.DELAYED:
            yield "Will-Retry-Until", date_text(self.retry_until)


def field_line(name: str, value: str, *, is_utf8: bool) -> str:
    """One header field with its line end: the value made printable, in ASCII unless UTF-8 may stand there, and cut."""
    text = printable(value, MAX_VALUE_BYTES)
    octets = text.encode() if is_utf8 else text.encode("ascii", "backslashreplace")
    return f"{name}: {octets[:MAX_VALUE_BYTES].decode(errors='ignore')}\r\n"


def date_text(epoch_s: float) -> str:
    """RFC 5322 §3.3, in UTC; what lies beyond its years is their end."""
    return format_datetime(datetime.fromtimestamp(min(max(epoch_s, 0.0), _YEAR_9999_S), UTC))


def _typed(address: str, *, is_utf8: bool) -> str:
    """RFC 3464 §2.3.2, RFC 6533 §3: in a 7-bit part a UTF-8 address is written in ASCII."""
    text = printable(address, MAX_VALUE_BYTES)
    if text.isascii():
        return f"rfc822; {text}"
    return f"utf-8; {text if is_utf8 else _escaped(_NOT_QCHAR, text)}"


def _escaped(unfit: re.Pattern[str], text: str) -> str:
    return unfit.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", text)


def _received_from(client: Client) -> str:
    """RFC 3464 §2.2.4: what the client called itself, and its address as a comment."""
    address = f"({client.ip})" if client.ip else ""
    return f"{client.helo or f'[{client.ip}]'} {address}".strip() if client.helo or client.ip else ""
