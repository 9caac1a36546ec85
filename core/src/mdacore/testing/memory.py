"""MemoryStorage: a QueueStorage that keeps its promises except durability, and says so."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import attrs
from gevent.event import Event

from mdacore.contracts import (
    SUSPECT_AFTER,
    Change,
    Claim,
    Clock,
    Closing,
    Health,
    NewMessage,
    Outcome,
    PeekedMessage,
    Query,
    QueuedMessage,
    QueueEntry,
    Settlement,
    State,
    fits,
)
from mdacore.testing.clock import ManualClock
from mdacore.words import ClaimLost, Content, Envelope, MemoryBody, QueueId, Recipient, Reply, StorageError

POLL_S = 0.05


@attrs.define
class _Row:
    queue: str
    message: NewMessage
    envelope: Envelope
    due_at: float
    held: str
    attempts: int = 0
    epoch: int = 0
    is_claimed: bool = False
    lease_ends_at: float = math.inf
    unsettled: int = 0
    must_bounce: bool = False
    is_delay_reported: bool = False
    last: dict[int, Reply] = attrs.field(factory=dict)
    closed: list[tuple[Recipient, Closing]] = attrs.field(factory=list)


@attrs.define
class Memory:
    """What is remembered: of one storage, or of all nodes that share it."""

    rows: dict[QueueId, _Row] = attrs.field(factory=dict)
    keys: dict[str, list[QueueId]] = attrs.field(factory=dict)
    last_number: int = 0
    changed: Event = attrs.field(factory=Event)
    settled: list[tuple[Claim, Settlement]] = attrs.field(factory=list)


class MemoryStorage:
    """A storage in memory, for tests.

    Attributes:
        settled: every settlement that was recorded, oldest first, with its claim.
        fail_next: exceptions to raise from the next calls of a method, by the method's name.
    """

    durability = "Nothing survives the end of the process."
    spool_path: Path | None = None

    def __init__(self, clock: Clock, memory: Memory | None = None) -> None:
        self._clock = clock
        self._memory = memory or Memory()
        self._changed = self._memory.changed
        self.settled = self._memory.settled
        self.fail_next: dict[str, list[BaseException]] = {}
        if isinstance(clock, ManualClock):
            clock.on_advance(self._changed.set)

    def start(self) -> None: ...

    @property
    def renew_every_s(self) -> float | None:
        return None

    def start_reading(self) -> None: ...

    def drain(self, grace_s: float) -> bool:  # noqa: ARG002 - the contract's signature
        return True

    def stop(self) -> None: ...

    def health(self) -> Health:
        return Health(facts={"messages": len(self._rows)})

    def refusal(self, size_bytes: int) -> Reply | None:  # noqa: ARG002 - the contract's signature
        return None

    def write(self, messages: Sequence[NewMessage], *, queue: str, key: str = "") -> Sequence[Claim | QueueId]:
        self._fail("write")
        if key and key in self._memory.keys:
            return self._memory.keys[key]
        kept = [attrs.evolve(message, envelope=_kept(message.envelope)) for message in messages]  # all of them or none
        written = [self._insert(message, queue) for message in kept]
        if key:
            self._memory.keys[key] = [given.queue_id if isinstance(given, Claim) else given for given in written]
        return written

    def claim(self, queue: str, limit: int, *, full_lanes: Collection[str] = ()) -> Sequence[Claim]:
        self._fail("claim")
        now = self._clock.now()
        due = [
            (row.due_at, queue_id)
            for queue_id, row in self._rows.items()
            if row.queue == queue and self._is_free(row) and row.due_at <= now and row.message.lane not in full_lanes
            if row.unsettled < SUSPECT_AFTER
        ]
        return [self._claim(queue_id) for _, queue_id in sorted(due)[:limit]]

    def has_suspect(self, queue: str) -> bool:
        return self._suspect(queue) is not None

    def claim_suspect(self, queue: str) -> Claim | None:
        queue_id = self._suspect(queue)
        return None if queue_id is None else self._claim(queue_id)

    def _suspect(self, queue: str) -> QueueId | None:
        now = self._clock.now()
        found = [
            (row.unsettled, row.due_at, queue_id)
            for queue_id, row in self._rows.items()
            if row.queue == queue and self._is_free(row) and row.due_at <= now and row.unsettled >= SUSPECT_AFTER
        ]
        return min(found)[2] if found else None

    def release(self, claim: Claim, *, due_at: float | None = None) -> None:
        row = self._owned(claim)
        row.is_claimed = False
        row.attempts -= 1
        row.due_at = row.due_at if due_at is None else due_at
        self._changed.set()

    def read(self, claim: Claim) -> QueuedMessage:
        self._fail("read")
        return self._queued(claim.queue_id, self._owned(claim))

    def settle(self, claim: Claim, settlement: Settlement) -> Sequence[QueueId]:
        self._fail("settle")
        row = self._owned(claim)
        self.settled.append((claim, settlement))
        open_recipients = tuple(r for r in row.envelope.recipients if r.number not in settlement.closed)
        notice_queue = settlement.notice_queue or claim.queue
        notices = [self._insert(notice, notice_queue) for notice in settlement.notices]
        row.is_delay_reported |= settlement.reports_delay
        if open_recipients:
            ended = [r for r in row.envelope.recipients if r.number in settlement.closed]
            row.closed += [(r, settlement.closed[r.number]) for r in ended]
            row.envelope = attrs.evolve(row.envelope, recipients=open_recipients)
            row.last.update(settlement.deferred)
            row.due_at, row.held, row.is_claimed, row.unsettled = settlement.due_at, settlement.held, False, 0
        else:
            del self._rows[claim.queue_id]
        self._changed.set()
        return [given.queue_id if isinstance(given, Claim) else given for given in notices]

    def renew(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        return [claim for claim in claims if self._owns(claim)]

    def wait(self, queue: str, timeout_s: float) -> None:  # noqa: ARG002 - one event serves all queues
        self._changed.wait(timeout_s if isinstance(self._clock, ManualClock) else min(timeout_s, POLL_S))
        self._changed.clear()

    def entries(self, query: Query) -> Iterator[QueueEntry]:
        found = 0
        for queue_id, row in list(self._rows.items()):
            entry = self._entry(queue_id, row)
            if found != query.limit and fits(entry, query):
                found += 1
                yield entry

    def peek(self, queue_id: QueueId) -> PeekedMessage | None:
        row = self._rows.get(queue_id)
        return None if row is None else PeekedMessage(message=self._queued(queue_id, row), closed=tuple(row.closed))

    def amend(self, query: Query, change: Change) -> Sequence[QueueId]:
        self._fail("amend")
        amended = [entry.queue_id for entry in self.entries(query) if entry.state is not State.ACTIVE]
        for queue_id in amended:
            self._amend(queue_id, self._rows[queue_id], change)
        self._changed.set()
        return amended

    def crash(self) -> None:
        """Behave as after a crash and a restart: running claims are lost and counted."""
        for row in self._rows.values():
            if row.is_claimed:
                row.is_claimed = False
                row.unsettled += 1
        self._changed.set()

    @property
    def _rows(self) -> dict[QueueId, _Row]:
        return self._memory.rows

    def _insert(self, message: NewMessage, queue: str) -> Claim | QueueId:
        self._memory.last_number += 1
        queue_id = QueueId(f"memory{self._memory.last_number:010d}")
        self._rows[queue_id] = _Row(
            queue=queue, message=message, envelope=_kept(message.envelope), due_at=message.due_at, held=message.held
        )
        self._changed.set()
        return self._claim(queue_id) if message.claim and not message.held else queue_id

    def _claim(self, queue_id: QueueId) -> Claim:
        row = self._rows[queue_id]
        row.attempts += 1
        row.epoch += 1
        row.is_claimed = True
        return Claim(
            queue_id=queue_id,
            queue=row.queue,
            lane=row.message.lane,
            attempt=row.attempts,
            epoch=row.epoch,
            unsettled=row.unsettled,
        )

    def _owns(self, claim: Claim) -> bool:
        row = self._rows.get(claim.queue_id)
        return row is not None and row.is_claimed and row.epoch == claim.epoch

    def _owned(self, claim: Claim) -> _Row:
        if not self._owns(claim):
            raise ClaimLost(f"{claim.queue_id}: claim {claim.epoch} is not the current one")
        return self._rows[claim.queue_id]

    def _is_free(self, row: _Row) -> bool:
        return not row.is_claimed and not row.held

    def _amend(self, queue_id: QueueId, row: _Row, change: Change) -> None:
        if change is Change.HOLD:
            row.held = row.held or "held by an operator"
        elif change is Change.RELEASE:
            row.held, row.unsettled = "", 0
        elif change is Change.DISCARD:
            closing = Closing(outcome=Outcome.DISCARDED, reply=Reply(code=250, text="Discarded by an operator"))
            claim = self._claim(queue_id)
            self.settle(claim, Settlement(closed={rcpt.number: closing for rcpt in row.envelope.recipients}))
        else:
            row.held, row.due_at, row.must_bounce = "", self._clock.now(), change is Change.BOUNCE
            row.unsettled = 0 if row.must_bounce else row.unsettled

    def _entry(self, queue_id: QueueId, row: _Row) -> QueueEntry:
        state = State.ACTIVE if row.is_claimed else State.HELD if row.held else State.DUE
        return QueueEntry(
            queue_id=queue_id,
            queue=row.queue,
            lane=row.message.lane,
            state=state,
            sender=row.envelope.sender,
            recipients=[(rcpt.address, row.last.get(rcpt.number)) for rcpt in row.envelope.recipients],
            size_bytes=row.envelope.content.body.size_bytes,
            accepted_at=row.envelope.received_at,
            due_at=row.due_at,
            attempts=row.attempts,
            held=row.held,
        )

    def _queued(self, queue_id: QueueId, row: _Row) -> QueuedMessage:
        accepted_at = row.envelope.received_at
        return QueuedMessage(
            envelope=row.envelope,
            accepted_at=accepted_at,
            must_bounce=row.must_bounce,
            queue_id=queue_id,
            is_delay_reported=row.is_delay_reported,
        )

    def _fail(self, method: str) -> None:
        if self.fail_next.get(method):
            raise self.fail_next[method].pop(0)


def _kept(envelope: Envelope) -> Envelope:
    """With the body in memory: a spooled file stays the caller's. Raises StorageError if it cannot be read."""
    if isinstance(envelope.content.body, MemoryBody):
        return envelope
    try:
        body = MemoryBody(b"".join(envelope.content.body.chunks()))
    except OSError as error:
        raise StorageError(f"the body: {error}") from error
    return envelope.with_content(Content(body, envelope.content.edits))
