"""Rows for the commit, made on the hub: of new messages, with their numbers, bodies and claims, and of settled ones.

Invariant: what is in a row can be stored; a job that could not would fail in the commit, and others with it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
from gevent.lock import BoundedSemaphore

from mdacore import Body, Claim, FileBody, MemoryBody, NewMessage, QueueId, Settlement, StorageError
from mdacore_storage_shelve import schema
from mdacore_storage_shelve.ids import QueueIds
from mdacore_storage_shelve.jobs import BodyRow, DeferredRow, MessageRow
from mdacore_storage_shelve.ledger import ActiveClaim
from mdacore_storage_shelve.record import Progress, encode_envelope, encode_progress

BLOCK: Final = 65_536
"""How many numbers are reserved at once; a restart loses what is left of them, of 32**10."""


class Numbers:
    """Numbers that no message has had or will have, whatever crashes: they are reserved durably, a block at a time."""

    def __init__(self, reserve: Callable[[int], range]) -> None:
        self._reserve = reserve
        self._free = range(0)
        self._turn = BoundedSemaphore(1)

    def take(self, count: int) -> range:
        """The next numbers. Blocks this greenlet when a block has to be reserved. Raises StorageError."""
        while len(self._free) < count:
            with self._turn:
                if len(self._free) < count:
                    self._free = self._reserve(max(count, BLOCK))
        taken, self._free = self._free[:count], self._free[count:]
        return taken


@attrs.frozen(kw_only=True)
class Arrival:
    """New messages as the commit gets them.

    Attributes:
        given: what `write` returns for them: a Claim where one was asked for, else the id.
        claims: of those that are claimed from the start.
        files: bodies to be adopted before the commit, by number.
    """

    messages: Sequence[MessageRow]
    bodies: Sequence[BodyRow]
    given: Sequence[Claim | QueueId]
    claims: Mapping[QueueId, ActiveClaim]
    files: Mapping[int, FileBody]


class Intake:
    """Makes arrivals for one store."""

    def __init__(self, ids: QueueIds, next_epoch: Callable[[], int]) -> None:
        self._ids = ids
        self._next_epoch = next_epoch

    def arrival(self, messages: Sequence[NewMessage], queue: str, numbers: range, *, may_claim: bool = True) -> Arrival:
        """The rows of these messages. A body that several of them share is stored once, under the first one's number.

        Raises:
            StorageError: something in it cannot be stored, now or ever.
        """
        rows: list[MessageRow] = []
        given: list[Claim | QueueId] = []
        claims: dict[QueueId, ActiveClaim] = {}
        bodies = _Bodies()
        for number, message in zip(numbers, messages, strict=True):
            body, is_file = bodies.add(message.envelope.content.body, number)
            is_claimed = may_claim and message.claim and not message.held
            rows.append(_row(number, queue, message, body, is_file=is_file, is_claimed=is_claimed))
            queue_id = self._ids.encode(number)
            if is_claimed:
                active = claims[queue_id] = self._active(number, message, body, is_file=is_file)
                given.append(Claim(queue_id=queue_id, queue=queue, lane=message.lane, attempt=1, epoch=active.epoch))
            else:
                given.append(queue_id)
        return Arrival(messages=rows, bodies=bodies.rows, given=given, claims=claims, files=bodies.files)

    def _active(self, number: int, message: NewMessage, body: int, *, is_file: bool) -> ActiveClaim:
        return ActiveClaim(
            number=number,
            epoch=self._next_epoch(),
            body=body,
            body_is_file=is_file,
            open_numbers=frozenset(recipient.number for recipient in message.envelope.recipients),
        )


class _Bodies:
    """The bodies of one arrival, each once."""

    def __init__(self) -> None:
        self.rows: list[BodyRow] = []
        self.files: dict[int, FileBody] = {}
        self._known: dict[int, tuple[int, bool]] = {}

    def add(self, body: Body, number: int) -> tuple[int, bool]:
        """The body's number, and whether it is a file; `number` is its own if it is new."""
        known = self._known.get(id(body))
        if known is not None:
            return known
        if isinstance(body, FileBody):
            self.files[number] = body
        else:
            data = body.data if isinstance(body, MemoryBody) else b"".join(body.chunks())
            self.rows.append(BodyRow(number, zlib.crc32(data), data))
        self._known[id(body)] = (number, isinstance(body, FileBody))
        return self._known[id(body)]


def deferred_row(active: ActiveClaim, settlement: Settlement) -> DeferredRow | None:
    """What is left of the message; None = nothing, it is to be removed.

    A settlement that speaks of no recipient needs no knowledge of the message: it may never have been read.
    """
    open_numbers = active.open_numbers or frozenset()
    closed = {number: end for number, end in settlement.closed.items() if number in open_numbers}
    deferred = {number: reply for number, reply in settlement.deferred.items() if number in open_numbers}
    if closed and len(closed) == len(open_numbers):
        return None
    check_time(settlement.due_at)
    check_text(settlement.held)
    progress = (active.progress or Progress()).after(closed, deferred, reports_delay=settlement.reports_delay)
    return DeferredRow(
        id=active.number,
        state=schema.HELD if settlement.held else schema.FREE,
        due_at=settlement.due_at,
        held=settlement.held,
        progress=encode_progress(progress) if closed or deferred or settlement.reports_delay else None,
    )


def check_time(due_at: float) -> None:
    """Raise StorageError for a number that is no time."""
    if not math.isfinite(due_at):
        raise StorageError(f"{due_at} is not a time")


def check_text(*texts: str) -> None:
    """Raise StorageError for text that no database can hold."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StorageError(f"{text!r} is not text that can be stored") from error


def _row(number: int, queue: str, message: NewMessage, body: int, *, is_file: bool, is_claimed: bool) -> MessageRow:
    check_text(message.lane, message.held)
    if not math.isfinite(message.due_at):
        raise StorageError(f"{message.due_at} is not a time")
    return MessageRow(
        id=number,
        queue=queue,
        lane=message.lane,
        due_at=message.due_at,
        state=schema.CLAIMED if is_claimed else schema.HELD if message.held else schema.FREE,
        held=message.held,
        attempts=int(is_claimed),
        body=body,
        body_is_file=is_file,
        body_size=message.envelope.content.body.size_bytes,
        envelope=encode_envelope(message.envelope),
    )
