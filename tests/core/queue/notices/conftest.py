"""Notices from small facts, and as a mail program reads them."""

from __future__ import annotations

import email
import email.policy
import quopri
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from typing import Any, cast

import attrs
import pytest

from mdacore import Claim, Envelope, QueuedMessage, QueueId, Reply
from mdacore.queue.notices import Kind, Notice, Report, default_texts
from mdacore.testing import content_of, make_envelope

NOW = 1_700_010_000.0
NEVER = Reply.parse("550 5.1.1 No such user")


def make_notice(
    original: Envelope | None = None, *, kind: Kind = Kind.FAILED, reply: Reply = NEVER, **changes: Any
) -> Notice:
    """A notice about all recipients of this message, with this reply."""
    original = original or make_envelope()
    reports = [Report(kind=kind, recipient=rcpt, status=reply.enhanced, reply=reply) for rcpt in original.recipients]
    message = QueuedMessage(envelope=original, accepted_at=original.received_at)
    notice = Notice(
        kind=kind,
        claim=Claim(queue_id=QueueId("Q123456789"), queue="main", lane="local/", attempt=3),
        message=message,
        reports=reports,
        receiver=original.sender,
        text=default_texts()[kind],
        hostname="mx.example.test",
        now=NOW,
        retry_until=original.received_at + 432_000,
    )
    return attrs.evolve(notice, **changes)


@attrs.frozen
class Read:
    """A notice as a mail program sees it.

    Attributes:
        text: the words for people, decoded.
        status: the groups of fields, the message's first.
        parts: the content types.
        returned: the octets of the third part, decoded; None = there is none.
    """

    envelope: Envelope
    octets: bytes
    message: EmailMessage
    text: str
    status: Sequence[Sequence[str]]
    parts: Sequence[str]
    returned: bytes | None


def read(notice: Notice | Envelope) -> Read:
    envelope = notice.envelope() if isinstance(notice, Notice) else notice
    octets = content_of(envelope)
    message = cast(EmailMessage, email.message_from_bytes(octets, policy=email.policy.SMTP))
    assert "multipart/report" == message.get_content_type()
    parts = _parts(octets, message.get_boundary())
    # the parts' own octets, not what the parser makes of a nested message
    heads = [email.message_from_bytes(part.partition(b"\r\n\r\n")[0], policy=email.policy.SMTP) for part in parts]
    bodies = [part.partition(b"\r\n\r\n")[2] for part in parts]
    decoded = [_decoded(head, body) for head, body in zip(heads, bodies, strict=True)]
    return Read(
        envelope=envelope,
        octets=octets,
        message=message,
        text=decoded[0].decode(heads[0].get_content_charset()),
        status=[group.split("\r\n") for group in decoded[1].decode().removesuffix("\r\n").split("\r\n\r\n")],
        parts=[head.get_content_type() for head in heads],
        returned=decoded[2] if len(parts) > 2 else None,
    )


def _parts(octets: bytes, boundary: str) -> list[bytes]:
    """RFC 2046 §5.1.1: the line end before a boundary belongs to the boundary."""
    mark = b"\r\n--" + boundary.encode()
    _, *parts, end = (b"\r\n" + octets.partition(b"\r\n\r\n")[2]).split(mark)
    assert b"--\r\n" == end
    return [part.removeprefix(b"\r\n") for part in parts]


def _decoded(head: Any, body: bytes) -> bytes:
    encoding = head.get("Content-Transfer-Encoding", "7bit")
    if encoding == "quoted-printable":
        return quopri.decodestring(body)
    assert encoding in ("7bit", "8bit")
    assert encoding == "8bit" or body.isascii()
    return body


@pytest.fixture(name="make_notice")
def _make_notice() -> Callable[..., Notice]:
    return make_notice


@pytest.fixture(name="read")
def _read() -> Callable[..., Read]:
    return read
