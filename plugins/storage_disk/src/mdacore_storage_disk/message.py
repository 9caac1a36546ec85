"""The head of a message file: what one acceptance was, all its envelopes and what is known of its bodies. Pure.

    mdacore-message 1 <CRC-32 of the rest of the head> <size of the rest of the head>
    {"queue": …, "bodies": […]}           of the acceptance
    {"id": …, "recipients": […]}          one line for each message
                                          an empty line; the bodies follow as they were received

Invariant: a head is read as it was written, or is a RecordError.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from mdacore import Envelope, QueueId
from mdacore_storage_disk import record
from mdacore_storage_disk.record import RecordError

VERSION: Final = 1
_FIRST_LINE: Final = re.compile(rb"mdacore-message ([0-9]+) ([0-9a-f]{8}) ([0-9]{8})\n")
FIRST_LINE_BYTES: Final = len(b"mdacore-message 1 00000000 00000000\n")
MAX_HEAD_BYTES: Final = 99_999_999
"""What the first line has digits for: more than half a million recipients."""


@attrs.frozen(kw_only=True)
class BodyFacts:
    """What is known of one body: its size and the CRC-32 of its octets."""

    size_bytes: int
    crc: int = 0


@attrs.frozen(kw_only=True)
class StoredMessage:
    """One message of an acceptance as it was when it was written.

    Attributes:
        is_claimed: its first attempt was handed to the writer.
        body: which of the bodies is its, from 0.
        envelope: without the body.
    """

    queue_id: QueueId
    lane: str
    due_at: float
    held: str
    is_claimed: bool
    body: int
    envelope: Envelope


@attrs.frozen(kw_only=True)
class Head:
    """One acceptance.

    Attributes:
        written_at: epoch seconds.
        key: its idempotency key; ``""`` = none.
        notice_of: the message whose settlement stored this; ``""`` = a client's.
    """

    queue: str
    written_at: float
    key: str = ""
    notice_of: str = ""
    bodies: Sequence[BodyFacts]
    messages: Sequence[StoredMessage]


def encode(head: Head) -> bytes:
    """The octets before the bodies; their number does not depend on the bodies' checksums.

    Raises:
        ValueError: too large, or a time that is none.
    """
    about = {
        "queue": head.queue,
        "written_at": head.written_at,
        "key": head.key,
        "notice_of": head.notice_of,
        "bodies": [{"size_bytes": body.size_bytes, "crc32": f"{body.crc:08x}"} for body in head.bodies],
    }
    rest = b"".join((record.to_line(about), *(record.to_line(_fields(one)) for one in head.messages), b"\n"))
    if len(rest) > MAX_HEAD_BYTES:
        raise ValueError(f"the envelopes have {len(rest)} octets; a message file takes {MAX_HEAD_BYTES}")
    return b"mdacore-message %d %08x %08d\n" % (VERSION, zlib.crc32(rest), len(rest)) + rest


def rest_size(first_line: bytes) -> int:
    """How many octets of the head follow its first line, which is given with its line feed. Raises RecordError."""
    return _parsed(first_line)[1]


def decode(octets: bytes) -> Head:
    """The head in these octets, which are all of it. Raises RecordError."""
    first_line, rest = octets[:FIRST_LINE_BYTES], octets[FIRST_LINE_BYTES:]
    crc, size_bytes = _parsed(first_line)
    if len(rest) != size_bytes:
        raise RecordError(f"its head ends after {len(rest)} of {size_bytes} octets")
    if zlib.crc32(rest) != crc:
        raise RecordError("its head is damaged: the checksum is wrong")
    about, *messages = rest.removesuffix(b"\n\n").split(b"\n")
    if not messages:
        raise RecordError("it holds no message")
    stored = [record.from_line(line, _message) for line in messages]
    return attrs.evolve(record.from_line(about, _about), messages=stored)


def _parsed(first_line: bytes) -> tuple[int, int]:
    match = _FIRST_LINE.fullmatch(first_line)
    version = re.match(rb"mdacore-message ([0-9]{1,9}) ", first_line)
    if version is not None and int(version[1]) != VERSION:
        raise RecordError(f"of version {int(version[1])}; this program reads version {VERSION}")
    if match is None:
        raise RecordError("not a message file: its first octets are wrong")
    return int(match[2], 16), int(match[3])


def _fields(message: StoredMessage) -> Mapping[str, object]:
    return {
        "id": message.queue_id,
        "lane": message.lane,
        "due_at": message.due_at,
        "held": message.held,
        "is_claimed": message.is_claimed,
        "body": message.body,
        **record.envelope_fields(message.envelope),
    }


def _about(fields: Mapping[str, Any]) -> Head:
    return Head(
        queue=record.text(fields["queue"]),
        written_at=float(fields["written_at"]),
        key=record.text(fields["key"]),
        notice_of=record.text(fields["notice_of"]),
        bodies=[BodyFacts(size_bytes=int(one["size_bytes"]), crc=int(one["crc32"], 16)) for one in fields["bodies"]],
        messages=(),
    )


def _message(fields: Mapping[str, Any]) -> StoredMessage:
    return StoredMessage(
        queue_id=QueueId(record.text(fields["id"])),
        lane=record.text(fields["lane"]),
        due_at=float(fields["due_at"]),
        held=record.text(fields["held"]),
        is_claimed=bool(fields["is_claimed"]),
        body=int(fields["body"]),
        envelope=record.envelope(fields),
    )
