"""From a settlement to the event that records it. Pure."""

from __future__ import annotations

import math

from mdacore import Settlement, StorageError
from mdacore_storage_disk.journal import Settled
from mdacore_storage_disk.state import Message, Progress


def settled(message: Message, settlement: Settlement, *, at: float) -> Settled:
    """What becomes of the message.

    A settlement that speaks of no recipient needs no knowledge of the message: it may never have been read.

    Raises:
        StorageError: its time is none.
    """
    progress = message.progress or Progress(frozenset())
    closed = {number: end for number, end in settlement.closed.items() if number in progress.open_numbers}
    left = progress.open_numbers - closed.keys()
    is_over = bool(closed) and not left
    if not is_over and not math.isfinite(settlement.due_at):
        raise StorageError(f"{settlement.due_at} is not a time")
    return Settled(
        queue_id=message.queue_id,
        at=at,
        closed=closed,
        deferred={
            number: reply
            for number, reply in settlement.deferred.items()
            if number in left and progress.replies.get(number) != reply
        },
        due_at=message.due_at if is_over else settlement.due_at,
        held="" if is_over else settlement.held,
        reports_delay=settlement.reports_delay,
        is_over=is_over,
    )
