"""The state log beside a message file: what happened to its messages, one line for each event. Pure.

A line is the CRC-32 of what follows (8 hexadecimal digits), a space, and JSON. Lines are only ever added, and each is
synced before the next one is written, so a crash can damage the last one alone.

Invariant: what is read is what was written, but for a last line that a crash has cut; other damage is a RecordError.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import attrs

from mdacore import Change, Closing, QueueId, Reply
from mdacore_storage_disk import record
from mdacore_storage_disk.record import RecordError


@attrs.frozen(kw_only=True)
class Remembered:
    """The key of an acceptance that is over: its message file goes, its log stays until the key is forgotten."""

    queue: str
    key: str
    written_at: float
    queue_ids: Sequence[QueueId]


@attrs.frozen(kw_only=True)
class Event:
    """What happened to one message.

    Attributes:
        at: epoch seconds.
        remembered: with the last event of an acceptance that had a key.
    """

    queue_id: QueueId
    at: float
    remembered: Remembered | None = None

    @property
    def ends(self) -> bool:
        """The message is over with it."""
        return False


@attrs.frozen(kw_only=True)
class Claimed(Event):
    """An attempt begins."""


@attrs.frozen(kw_only=True)
class Released(Event):
    """The attempt was given back; the message is due at `due_at` from now on, or as before (None)."""

    due_at: float | None = None


@attrs.frozen(kw_only=True)
class Settled(Event):
    """The attempt's result. This line is the commit of the notices that it names.

    Attributes:
        deferred: only the replies that are not what they were before.
        is_over: no recipient is left open.
    """

    closed: Mapping[int, Closing] = attrs.field(factory=dict)
    deferred: Mapping[int, Reply] = attrs.field(factory=dict)
    due_at: float = 0.0
    held: str = ""
    notices: Sequence[QueueId] = ()
    reports_delay: bool = False
    is_over: bool = False

    @property
    def ends(self) -> bool:
        return self.is_over


@attrs.frozen(kw_only=True)
class Amended(Event):
    """What an operator did."""

    change: Change

    @property
    def ends(self) -> bool:
        return self.change is Change.DISCARD


_NAMES: Final = {Claimed: "claimed", Released: "released", Settled: "settled", Amended: "amended"}


def encode(event: Event) -> bytes:
    """The event's line. Raises ValueError for a time that is none."""
    fields: dict[str, object] = {"at": event.at, "id": event.queue_id, "did": _NAMES[type(event)]}
    if isinstance(event, Settled):
        fields |= _settled_fields(event)
    elif isinstance(event, Released):
        fields |= {} if event.due_at is None else {"due_at": event.due_at}
    elif isinstance(event, Amended):
        fields["change"] = event.change.value
    if event.remembered is not None:
        fields["remembered"] = attrs.asdict(event.remembered)
    line = record.to_line(fields)
    return b"%08x " % zlib.crc32(line) + line


def decode(octets: bytes) -> tuple[list[Event], int]:
    """The events of a log, and how many octets they take; what follows them is a crash's tail.

    Raises:
        RecordError: a line before the last one is damaged, or one does not say what it should.
    """
    *lines, tail = octets.split(b"\n")
    if lines and not tail and not _is_sound(lines[-1]):
        tail = lines.pop()  # the end of a line may be there without its beginning
    for number, line in enumerate(lines, 1):
        if not _is_sound(line):
            raise RecordError(f"line {number} of its log is damaged")
    events = [record.from_line(line[9:], _event) for line in lines]
    return events, sum(len(line) + 1 for line in lines)


def _is_sound(line: bytes) -> bool:
    return line[8:9] == b" " and line[:8] == b"%08x" % zlib.crc32(line[9:] + b"\n")


def _settled_fields(event: Settled) -> Mapping[str, object]:
    return {
        "closed": {str(number): record.closing_fields(closing) for number, closing in event.closed.items()},
        "deferred": {str(number): record.reply_fields(reply) for number, reply in event.deferred.items()},
        "due_at": event.due_at,
        "held": event.held,
        "notices": list(event.notices),
        "reports_delay": event.reports_delay,
        "is_over": event.is_over,
    }


def _event(fields: Mapping[str, Any]) -> Event:
    common: dict[str, Any] = {"queue_id": QueueId(record.text(fields["id"])), "at": float(fields["at"])}
    if "remembered" in fields:
        common["remembered"] = _remembered(fields["remembered"])
    match fields["did"]:
        case "claimed":
            return Claimed(**common)
        case "released":
            return Released(**common, due_at=float(fields["due_at"]) if "due_at" in fields else None)
        case "amended":
            return Amended(**common, change=Change(fields["change"]))
        case "settled":
            return Settled(
                **common,
                closed={int(number): record.closing(said) for number, said in fields["closed"].items()},
                deferred={int(number): record.reply(said) for number, said in fields["deferred"].items()},
                due_at=float(fields["due_at"]),
                held=record.text(fields["held"]),
                notices=_queue_ids(fields["notices"]),
                reports_delay=bool(fields["reports_delay"]),
                is_over=bool(fields["is_over"]),
            )
    raise ValueError(f"no such event: {fields['did']!r}")


def _remembered(fields: Mapping[str, Any]) -> Remembered:
    return Remembered(
        queue=record.text(fields["queue"]),
        key=record.text(fields["key"]),
        written_at=float(fields["written_at"]),
        queue_ids=_queue_ids(fields["queue_ids"]),
    )


def _queue_ids(values: Sequence[object]) -> Sequence[QueueId]:
    return tuple(QueueId(record.text(value)) for value in cast("list[object]", values))
