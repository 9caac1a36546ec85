"""Records: an envelope, and what became of its recipients so far, as checksummed octets. Pure.

A record is ``b"mda"``, its kind (1 octet), its version (1), a CRC-32 of what follows (4, little endian) and JSON.
Invariant: reading a record runs no code and gives either the value that was written or a RecordError, whatever the
octets are.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import attrs
import orjson

from mdacore import (
    Body,
    Client,
    Closing,
    Content,
    Envelope,
    HeaderEdit,
    Outcome,
    PrependField,
    Recipient,
    RemoveFields,
    Reply,
    SessionId,
)

VERSION: Final = 1
ENVELOPE: Final = b"E"
PROGRESS: Final = b"P"

_HEAD: Final = struct.Struct("<3scBI")
_MAGIC: Final = b"mda"
_to_ascii_json: Final = json.JSONEncoder(separators=(",", ":")).encode


class RecordError(ValueError):
    """The octets are not a record that this version can read; the text says why, for the operator."""


@attrs.frozen(kw_only=True)
class Progress:
    """What became of a message's recipients so far, by number.

    Attributes:
        closed: those that met their end.
        replies: the last reply of those that were attempted and are still open.
        is_delay_reported: the sender has been told that the message is late.
    """

    closed: Mapping[int, Closing] = attrs.field(factory=dict)
    replies: Mapping[int, Reply] = attrs.field(factory=dict)
    is_delay_reported: bool = False

    def after(
        self, closed: Mapping[int, Closing], deferred: Mapping[int, Reply], *, reports_delay: bool = False
    ) -> Progress:
        """With one more settlement. An end is never taken back: what was closed before stays as it is."""
        all_closed = {**closed, **self.closed}
        replies = {number: reply for number, reply in {**self.replies, **deferred}.items() if number not in all_closed}
        return Progress(closed=all_closed, replies=replies, is_delay_reported=self.is_delay_reported or reports_delay)


def encode_envelope(envelope: Envelope) -> bytes:
    """The record of an envelope without its body."""
    client = envelope.client
    return _seal(
        ENVELOPE,
        {
            "sender": envelope.sender,
            "recipients": [
                (rcpt.number, rcpt.address, rcpt.original_address, rcpt.notify, rcpt.orcpt)
                for rcpt in envelope.recipients
            ],
            "client": [
                client.ip,
                client.host,
                client.helo,
                client.protocol,
                client.identity,
                client.edge,
                client.session_id,
            ],
            "received_at": envelope.received_at,
            "body_type": envelope.body_type,
            "is_smtputf8": envelope.is_smtputf8,
            "dsn_return": envelope.dsn_return,
            "dsn_envelope_id": envelope.dsn_envelope_id,
            "edits": [_edit_fields(edit) for edit in envelope.content.edits],
        },
    )


def decode_envelope(record: bytes, body: Body) -> Envelope:
    """The envelope with this body. Raises RecordError."""
    fields = _open(ENVELOPE, record)
    try:
        return Envelope(
            sender=_text(fields["sender"]),
            recipients=tuple(_recipient(*values) for values in fields["recipients"]),
            client=_client(fields["client"]),
            received_at=float(fields["received_at"]),
            body_type=cast(Literal["", "7BIT", "8BITMIME"], _text(fields["body_type"])),
            is_smtputf8=bool(fields["is_smtputf8"]),
            dsn_return=cast(Literal["", "FULL", "HDRS"], _text(fields["dsn_return"])),
            dsn_envelope_id=_text(fields["dsn_envelope_id"]),
            content=Content(body, tuple(_edit(*values) for values in fields["edits"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"the envelope's record does not hold an envelope: {error!r}") from error


def encode_progress(progress: Progress) -> bytes:
    """The record of a progress."""
    return _seal(
        PROGRESS,
        {
            "closed": [
                (number, end.outcome.value, *_reply_fields(end.reply), end.notice)
                for number, end in progress.closed.items()
            ],
            "replies": [(number, *_reply_fields(reply)) for number, reply in progress.replies.items()],
            # left out where it says nothing; a program from before it passes over it, and tells the sender once more
            **({"is_delay_reported": True} if progress.is_delay_reported else {}),
        },
    )


def decode_progress(record: bytes | None) -> Progress:
    """The progress; None = no attempt has been settled yet. Raises RecordError."""
    if record is None:
        return Progress()
    fields = _open(PROGRESS, record)
    try:
        return Progress(
            closed={
                int(number): Closing(outcome=Outcome(outcome), reply=_reply(*reply), notice=_text(notice))
                for number, outcome, *reply, notice in fields["closed"]
            },
            replies={int(number): _reply(*reply) for number, *reply in fields["replies"]},
            is_delay_reported=bool(fields.get("is_delay_reported", False)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"the progress record does not hold a progress: {error!r}") from error


def _seal(kind: bytes, fields: Mapping[str, object]) -> bytes:
    try:
        payload = orjson.dumps(fields)
    except TypeError:  # a lone surrogate in a text, an integer past 64 bits
        payload = _to_ascii_json(fields).encode("ascii")
    return _HEAD.pack(_MAGIC, kind, VERSION, zlib.crc32(payload)) + payload


def _open(kind: bytes, record: object) -> Mapping[str, Any]:
    if not isinstance(record, bytes) or len(record) < _HEAD.size or record[:3] != _MAGIC or record[3:4] != kind:
        raise RecordError("not a record: its first octets are wrong")
    _, _, version, checksum = _HEAD.unpack_from(record)
    if version != VERSION:
        raise RecordError(f"a record of version {version}; this program reads version {VERSION}")
    payload = record[_HEAD.size :]
    if zlib.crc32(payload) != checksum:
        raise RecordError("the record is damaged: its checksum is wrong")
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"the record is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise RecordError("the record does not hold an object")
    return fields


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _recipient(
    number: int, address: object, original_address: object, notify: list[object], orcpt: object
) -> Recipient:
    return Recipient(
        number=int(number),
        address=_text(address),
        original_address=_text(original_address),
        notify=tuple(_text(word) for word in notify),
        orcpt=_text(orcpt),
    )


def _client(values: list[object]) -> Client:
    ip, host, helo, protocol, identity, edge, session_id = (_text(value) for value in values)
    return Client(
        ip=ip, host=host, helo=helo, protocol=protocol, identity=identity, edge=edge, session_id=SessionId(session_id)
    )


def _edit_fields(edit: HeaderEdit) -> tuple[object, ...]:
    if isinstance(edit, PrependField):
        return "prepend", edit.field.decode("latin-1")
    name = edit.name.decode("latin-1")
    # a program from before `at` refuses the third value: it must not remove more than was said
    return ("remove", name) if edit.at is None else ("remove", name, edit.at)


def _edit(kind: object, said: object, at: list[int] | None = None) -> HeaderEdit:
    octets = _text(said).encode("latin-1")
    if kind == "prepend" and at is None:
        return PrependField(octets)
    if kind == "remove":
        return RemoveFields(octets, at)
    raise ValueError(f"no such edit: {kind!r}")


def _reply_fields(reply: Reply) -> tuple[int, str, str]:
    return reply.code, reply.enhanced, reply.text


def _reply(code: int, enhanced: str, text: str) -> Reply:
    return Reply(code=code, enhanced=enhanced, text=text)
