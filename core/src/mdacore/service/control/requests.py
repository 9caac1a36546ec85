"""What may be asked over the control socket, and how it is written. Pure.

A connection carries one request: a line of JSON, answered by a line of JSON, ``{"v": 1, "ok": {...}}`` or
``{"v": 1, "error": "why"}``. Before a `Store` is answered so, ``{"v": 1, "go": true}`` asks for the message's octets.
Invariant: a request that exists is legal; what it names need not exist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from mdacore.contracts import Change, State
from mdacore.words import QueueId

VERSION: Final = 1
MAX_REQUEST_BYTES: Final = 262_144
"""Of a line to the service: an envelope of a thousand long addresses fits."""
MAX_ANSWER_BYTES: Final = 4_194_304
"""Of a line from the service: the health of thousands of instances fits."""
MAX_IDS: Final = 1000
"""Of one `Amend`."""
QUEUE_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{9,63}")


class Malformed(Exception):
    """Not a line of this protocol; the text says why."""


@attrs.frozen
class Ping:
    """Is anybody there? The answer has `pid`, `uid`, `version` and `state`."""


@attrs.frozen
class HealthOf:
    """How each instance is: `instances`, a list of objects."""


@attrs.frozen(kw_only=True)
class Amend:
    """Change messages of one storage, if they are still as they were seen; the answer has `ids`, those changed."""

    storage: str
    queue_ids: tuple[QueueId, ...]
    states: tuple[State, ...]
    attempts: int | None
    change: Change


@attrs.frozen(kw_only=True)
class Store:
    """Store a message that was exported elsewhere; the answer has `ids`.

    Attributes:
        envelope: as `transfer.envelope_facts` gives it.
        size_bytes: of its content, which follows.
        key: two of the same key are one message, as `QueueStorage.write` says.
    """

    queue: str
    envelope: Mapping[str, object]
    held: str
    due_at: float
    key: str
    size_bytes: int


Request = Ping | HealthOf | Amend | Store


def encode(message: Mapping[str, object]) -> bytes:
    """One line, in ASCII."""
    return json.dumps({"v": VERSION, **message}, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Mapping[str, Any]:
    """What is in a line. Raises Malformed."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Malformed("not a line of JSON") from error
    if not isinstance(message, dict):
        raise Malformed("not an object")
    if message.get("v") != VERSION:
        raise Malformed(f"version {str(message.get('v'))[:20]}; this program speaks version {VERSION}")
    return message


def request_facts(request: Request) -> dict[str, object]:
    """The request as `parse_request` reads it."""
    match request:
        case Ping():
            return {"do": "ping"}
        case HealthOf():
            return {"do": "health"}
        case Amend():
            states = [state.value for state in request.states]
            facts = attrs.asdict(request, recurse=False)
            return {**facts, "do": "amend", "states": states, "change": request.change.value}
        case Store():
            return {"do": "store", **attrs.asdict(request, recurse=False)}


def parse_request(line: bytes) -> Request:
    """The request in a line. Raises Malformed."""
    facts = decode(line)
    try:
        match facts.get("do"):
            case "ping":
                return Ping()
            case "health":
                return HealthOf()
            case "amend":
                return _amend(facts)
            case "store":
                return _store(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"{facts['do']}: a value is missing or of the wrong kind") from error
    raise Malformed("nobody here can do that")


def _amend(facts: Mapping[str, Any]) -> Amend:
    ids = _texts(facts["queue_ids"])
    if not 0 < len(ids) <= MAX_IDS or not all(map(QUEUE_ID.fullmatch, ids)):
        raise ValueError("ids")
    attempts = facts["attempts"]
    return Amend(
        storage=_text(facts["storage"]),
        queue_ids=tuple(map(QueueId, ids)),
        states=tuple(map(State, _texts(facts["states"]))),
        attempts=None if attempts is None else _whole(attempts),
        change=Change(facts["change"]),
    )


def _store(facts: Mapping[str, Any]) -> Store:
    due_at = facts["due_at"]
    if not isinstance(facts["envelope"], dict) or isinstance(due_at, bool) or not 0 <= due_at < 2**53:
        raise ValueError("store")
    return Store(
        queue=_text(facts["queue"]),
        envelope=facts["envelope"],
        held=_text(facts["held"]),
        due_at=float(due_at),
        key=_text(facts["key"]),
        size_bytes=_whole(facts["size_bytes"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def _texts(value: object) -> Sequence[str]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return [_text(one) for one in value]


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError("not a whole number")
    return value
