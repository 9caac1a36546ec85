"""How a queue's facts are shown: to people in columns of 100, to programs as JSON. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from mdacore.contracts import QueueEntry, State
from mdacore.words import printable

MARKS = {State.ACTIVE: "*", State.HELD: "!", State.DUE: " "}
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def facts(entry: QueueEntry) -> dict[str, Any]:
    """The fields that `postqueue -j` has under its names, and ours after them."""
    return {
        "queue_name": entry.queue,
        "queue_id": entry.queue_id,
        "arrival_time": int(entry.accepted_at),
        "message_size": entry.size_bytes,
        "sender": entry.sender,
        "recipients": [
            {"address": address, "delay_reason": str(reply) if reply else ""} for address, reply in entry.recipients
        ],
        "state": entry.state.value,
        "next_attempt_time": int(entry.due_at),
        "attempts": entry.attempts,
        "lane": entry.lane,
        "held": entry.held,
    }


def entry_lines(entry: QueueEntry, width: int, now: float) -> Iterator[str]:
    """One message for people: a row, why it is held, and its open recipients with their last replies."""
    columns = (
        size(entry.size_bytes),
        duration(now - entry.accepted_at),
        next_attempt(entry, now),
        str(entry.attempts),
        entry.queue,
        printable(entry.sender) or "<>",
    )
    yield row((entry.queue_id + MARKS[entry.state], *columns), width)
    if entry.held:
        yield f"    held: {printable(entry.held)}"
    for address, reply in entry.recipients:
        yield f"    {printable(address)}"
        if reply is not None:
            yield f"        {printable(str(reply))}"


HEAD = ("ID", "SIZE", "AGE", "NEXT", "TRIES", "QUEUE", "SENDER")


def row(cells: tuple[str, ...], width: int) -> str:
    """One row of the list; `width` is that of an id and its mark."""
    name, size_, age, due, attempts, queue, sender = cells
    return f"{name:<{width}}  {size_:>6}  {age:>6}  {due:>6}  {attempts:>5}  {queue:<8}  {sender}".rstrip()


def next_attempt(entry: QueueEntry, now: float) -> str:
    """When it is attempted next: ``"-"`` for what is held, ``"now"`` for what runs or is due."""
    if entry.state is State.HELD:
        return "-"
    return "now" if entry.state is State.ACTIVE or entry.due_at <= now else duration(entry.due_at - now)


def duration(delay_s: float) -> str:
    """``"3h12m"``: the two largest units; never negative."""
    left = max(0, int(delay_s))
    for index, (unit_s, name) in enumerate(_UNITS):
        if left >= unit_s:
            rest, small = (left % unit_s) // _UNITS[index + 1][0] if index < 2 else 0, _UNITS[min(index + 1, 3)][1]
            return f"{left // unit_s}{name}{f'{rest}{small}' if rest else ''}"
    return "0s"


def size(size_bytes: int) -> str:
    """``"12.3M"``: at most six characters."""
    if size_bytes < 1000:
        return str(size_bytes)
    amount, units = float(size_bytes), iter("KMGTP")
    unit = ""
    while amount >= 999.5:
        amount, unit = amount / 1000, next(units)
    return f"{amount:.3g}{unit}"


def local_time(epoch_s: float) -> str:
    """In the time zone of whoever asks."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_s))


def counted(number: int) -> str:
    """``"1 message"``, ``"1 234 messages"``."""
    return "1 message" if number == 1 else f"{number:,} messages".replace(",", " ")
