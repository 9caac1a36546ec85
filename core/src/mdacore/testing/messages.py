"""Envelopes and attempts with small defaults, and the octets of a message. Pure: no gevent, no pytest."""

from __future__ import annotations

import attrs

from mdacore.contracts import Attempt
from mdacore.words import Content, Envelope, MemoryBody, QueueId, Recipient

MESSAGE = b"From: <alice@example.org>\r\nSubject: hello\r\n\r\nHow are you?\r\n"
RECEIVED_AT = 1_700_000_000.0
"""When a made envelope was received: where `ManualClock` begins, too."""


def make_envelope(
    *addresses: str, sender: str = "alice@example.org", message: bytes = MESSAGE, **changes: object
) -> Envelope:
    """An envelope for these addresses, numbered from 0 in their order; by default for ``bob@example.test``.

    `message` is what was received, header and body, with CRLF line ends. `changes` are fields of `Envelope`.
    """
    envelope = Envelope(
        sender=sender,
        recipients=tuple(
            Recipient(number=number, address=address)
            for number, address in enumerate(addresses or ("bob@example.test",))
        ),
        content=Content(MemoryBody(message)),
        received_at=RECEIVED_AT,
    )
    return attrs.evolve(envelope, **changes)  # type: ignore[arg-type] # fields by keyword


def make_attempt(**changes: object) -> Attempt:
    """The facts of a first attempt, with a minute of time; `changes` are fields of `Attempt`."""
    attempt = Attempt(queue_id=QueueId("Q123456789"), queue="main", number=1, deadline_s=60.0)
    return attrs.evolve(attempt, **changes)  # type: ignore[arg-type] # fields by keyword


def content_of(envelope: Envelope) -> bytes:
    """The whole message with all header edits made, as a relay would send it. May block on a disk."""
    return b"".join(envelope.content.chunks())
