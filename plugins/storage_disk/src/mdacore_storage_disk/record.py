"""What is written of an envelope, a reply and a closing, as JSON that a person can read. Pure.

Invariant: reading runs no code and gives either the value that was written or a RecordError, whatever the octets are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar, cast

from mdacore import (
    Client,
    Closing,
    Content,
    Envelope,
    HeaderEdit,
    MemoryBody,
    Outcome,
    PrependField,
    Recipient,
    RemoveFields,
    Reply,
    SessionId,
)

T = TypeVar("T")

_NO_BODY: Final = MemoryBody(b"")
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_dumps_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class RecordError(ValueError):
    """The octets are not what this version can read; the text says why, for the operator."""


def to_line(fields: Mapping[str, object]) -> bytes:
    """One line of JSON with its line feed, in UTF-8. Raises ValueError for a number that is none."""
    try:
        return _dumps(fields).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate
        return _dumps_ascii(fields).encode() + b"\n"


def from_line(line: bytes, build: Callable[[Mapping[str, Any]], T]) -> T:
    """What `build` makes of one line's fields. Raises RecordError where it finds them missing or of another type."""
    try:
        fields = json.loads(line)
        if not isinstance(fields, dict):
            raise TypeError("not an object")  # noqa: TRY301 - it shares the way of all that is wrong with it
        return build(fields)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"it does not say what it should: {error!r}") from error


def text(value: object) -> str:
    """The value, which is text. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def envelope_fields(envelope: Envelope) -> Mapping[str, object]:
    """An envelope without its body."""
    client = envelope.client
    return {
        "sender": envelope.sender,
        "recipients": [
            {
                "number": rcpt.number,
                "address": rcpt.address,
                "original_address": rcpt.original_address,
                "notify": rcpt.notify,
                "orcpt": rcpt.orcpt,
            }
            for rcpt in envelope.recipients
        ],
        "received_at": envelope.received_at,
        "client": {
            "ip": client.ip,
            "host": client.host,
            "helo": client.helo,
            "protocol": client.protocol,
            "identity": client.identity,
            "edge": client.edge,
            "session_id": client.session_id,
        },
        "body_type": envelope.body_type,
        "is_smtputf8": envelope.is_smtputf8,
        "dsn_return": envelope.dsn_return,
        "dsn_envelope_id": envelope.dsn_envelope_id,
        "edits": [_edit_fields(edit) for edit in envelope.content.edits],
    }


def envelope(fields: Mapping[str, Any]) -> Envelope:
    """The envelope, with an empty body. Raises KeyError, TypeError, ValueError."""
    return Envelope(
        sender=text(fields["sender"]),
        recipients=tuple(_recipient(one) for one in fields["recipients"]),
        content=Content(_NO_BODY, tuple(_edit(*values) for values in fields["edits"])),
        client=_client(fields["client"]),
        received_at=float(fields["received_at"]),
        body_type=cast(Literal["", "7BIT", "8BITMIME"], text(fields["body_type"])),
        is_smtputf8=bool(fields["is_smtputf8"]),
        dsn_return=cast(Literal["", "FULL", "HDRS"], text(fields["dsn_return"])),
        dsn_envelope_id=text(fields["dsn_envelope_id"]),
    )


def reply_fields(reply: Reply) -> Sequence[object]:
    """A reply as code, enhanced code, text."""
    return reply.code, reply.enhanced, reply.text


def reply(fields: Sequence[Any]) -> Reply:
    """The reply. Raises TypeError, ValueError."""
    code, enhanced, said = fields
    return Reply(code=code, enhanced=enhanced, text=said)


def closing_fields(closing: Closing) -> Sequence[object]:
    """A closing as outcome, notice and its reply's fields."""
    return closing.outcome.value, closing.notice, *reply_fields(closing.reply)


def closing(fields: Sequence[Any]) -> Closing:
    """The closing. Raises TypeError, ValueError."""
    outcome, notice, *said = fields
    return Closing(outcome=Outcome(outcome), reply=reply(said), notice=text(notice))


def _recipient(fields: Mapping[str, Any]) -> Recipient:
    return Recipient(
        number=int(fields["number"]),
        address=text(fields["address"]),
        original_address=text(fields["original_address"]),
        notify=tuple(text(word) for word in fields["notify"]),
        orcpt=text(fields["orcpt"]),
    )


def _client(fields: Mapping[str, Any]) -> Client:
    return Client(
        ip=text(fields["ip"]),
        host=text(fields["host"]),
        helo=text(fields["helo"]),
        protocol=text(fields["protocol"]),
        identity=text(fields["identity"]),
        edge=text(fields["edge"]),
        session_id=SessionId(text(fields["session_id"])),
    )


def _edit_fields(edit: HeaderEdit) -> Sequence[object]:
    # Latin-1 gives each octet the character of its number: any octet can be said, and ASCII is readable.
    if isinstance(edit, PrependField):
        return "prepend", edit.field.decode("latin-1")
    name = edit.name.decode("latin-1")
    # A program from before `at` refuses the third value: it must not remove more than was said.
    return ("remove", name) if edit.at is None else ("remove", name, edit.at)


def _edit(kind: object, said: object, at: Sequence[int] | None = None) -> HeaderEdit:
    octets = text(said).encode("latin-1")
    if kind == "prepend" and at is None:
        return PrependField(octets)
    if kind == "remove":
        return RemoveFields(octets, at)
    raise ValueError(f"no such edit: {kind!r}")
