"""Transfer: an envelope as plain JSON values and back, for taking a message from one service to another. Pure.

The content is not in it: whoever moves a message moves its octets beside it, with all header edits made.
Invariant: what `envelope_of` gives is legal, or it raises ValueError; nothing that is read is executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, cast

from mdacore.words.content import Body, Content
from mdacore.words.envelope import Client, Envelope, Recipient, SessionId

_BODY_TYPES: Final = ("", "7BIT", "8BITMIME")
_RETURNS: Final = ("", "FULL", "HDRS")
_CLIENT: Final = ("ip", "host", "helo", "protocol", "identity", "edge", "session_id")


class NotAnEnvelope(ValueError):
    """The values are not those of an envelope; the text says which."""


def envelope_facts(envelope: Envelope) -> dict[str, object]:
    """The envelope without its content."""
    return {
        "sender": envelope.sender,
        "recipients": [
            {
                "number": rcpt.number,
                "address": rcpt.address,
                "original_address": rcpt.original_address,
                "notify": list(rcpt.notify),
                "orcpt": rcpt.orcpt,
            }
            for rcpt in envelope.recipients
        ],
        "client": {name: getattr(envelope.client, name) for name in _CLIENT},
        "received_at": envelope.received_at,
        "body_type": envelope.body_type,
        "is_smtputf8": envelope.is_smtputf8,
        "dsn_return": envelope.dsn_return,
        "dsn_envelope_id": envelope.dsn_envelope_id,
    }


def envelope_of(facts: object, body: Body) -> Envelope:
    """The envelope with this content. Raises ValueError (NotAnEnvelope), with what is wrong."""
    table = _table(facts, "the envelope")
    return Envelope(
        sender=_text(table, "sender"),
        recipients=tuple(_recipient(one) for one in _list(table, "recipients")),
        content=Content(body),
        client=_client(_table(table.get("client", {}), "client")),
        received_at=_number(table, "received_at"),
        body_type=cast(Literal["", "7BIT", "8BITMIME"], _one_of(table, "body_type", _BODY_TYPES)),
        is_smtputf8=table.get("is_smtputf8", False) is True,
        dsn_return=cast(Literal["", "FULL", "HDRS"], _one_of(table, "dsn_return", _RETURNS)),
        dsn_envelope_id=_text(table, "dsn_envelope_id", default=""),
    )


def _recipient(facts: object) -> Recipient:
    table = _table(facts, "a recipient")
    address = _text(table, "address")
    if not address:
        raise NotAnEnvelope("a recipient has no address")
    return Recipient(
        number=int(_number(table, "number")),
        address=address,
        original_address=_text(table, "original_address", default=""),
        notify=tuple(_word(word) for word in _list(table, "notify")),
        orcpt=_text(table, "orcpt", default=""),
    )


def _client(table: Mapping[str, object]) -> Client:
    texts = {name: _text(table, name, default="") for name in _CLIENT}
    session_id = SessionId(texts.pop("session_id"))
    return Client(**texts, session_id=session_id)


def _table(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise NotAnEnvelope(f"{what} is not an object")
    return value


def _list(table: Mapping[str, object], key: str) -> Sequence[object]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise NotAnEnvelope(f"{key} is not a list")
    return value


def _text(table: Mapping[str, object], key: str, *, default: str | None = None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or "\r" in value or "\n" in value or "\0" in value:
        raise NotAnEnvelope(f"{key} is missing, or not one line of text")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str) or not value.isalpha():
        raise NotAnEnvelope("notify holds what is not a word")
    return value


def _number(table: Mapping[str, object], key: str) -> float:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise NotAnEnvelope(f"{key} is missing, or not a number")
    return value


def _one_of(table: Mapping[str, object], key: str, words: Sequence[str]) -> str:
    value = _text(table, key, default="")
    if value not in words:
        raise NotAnEnvelope(f"{key} is none of {', '.join(words[1:])}")
    return value
