"""The durable half of the storage model: rows that survive every crash, changed in whole steps only.

No faults, no waiting and no gevent but the event that says that something has changed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Sequence

import attrs
from gevent.event import Event

from mdacore import (
    Change,
    Claim,
    ClaimLost,
    Clock,
    Closing,
    Envelope,
    NewMessage,
    Outcome,
    QueueId,
    Reply,
    Settlement,
)
from mdacore.contracts import SUSPECT_AFTER
from queuesim.ledger import Ledger

DISCARDED_BY_OPERATOR = Closing(outcome=Outcome.DISCARDED, reply=Reply(code=250, text="Discarded by an operator"))


@attrs.define(eq=False)
class Row:
    """One message as the disk has it; `envelope` has only the open recipients.

    Attributes:
        is_orphan: claimed, and the claim went to nobody that knows of it: only a restart, or the lease's end, frees it.
        lease_ends_at: on the monotonic clock; infinite where a claim lasts as long as its process.
        free_since: on the monotonic clock.
    """

    queue_id: QueueId
    lane: str
    envelope: Envelope
    accepted_at: float
    due_at: float
    held: str = ""
    attempts: int = 0
    epoch: int = 0
    is_claimed: bool = False
    is_orphan: bool = False
    lease_ends_at: float = math.inf
    free_since: float = 0.0
    unsettled: int = 0
    must_bounce: bool = False
    is_delay_reported: bool = False

    @property
    def is_suspect(self) -> bool:
        """So many of its claims have ended in a crash that it is attempted alone."""
        return self.unsettled >= SUSPECT_AFTER


class Disk:
    """What is durable, and the ledger that watches every change of it."""

    def __init__(self, clock: Clock, ledger: Ledger, lease_s: float | None = None) -> None:
        self.now = clock.now
        self._monotonic = clock.monotonic
        self._ledger = ledger
        self._lease_s = math.inf if lease_s is None else lease_s
        self._last_number = 0
        self.rows: dict[QueueId, Row] = {}
        self.changed = Event()

    def write(self, messages: Sequence[NewMessage]) -> list[Claim | QueueId]:
        """All of them, at once."""
        written = [self._insert(message) for message in messages]
        self.changed.set()
        return written

    def claim(self, limit: int, full_lanes: Collection[str]) -> list[Claim]:
        """What is due, the longest due first."""
        self._end_leases()
        due = [(row.due_at, queue_id) for queue_id, row in self.rows.items() if self.is_due(row, full_lanes)]
        return [self._claim(self.rows[queue_id]) for _, queue_id in heapq.nsmallest(limit, due)]

    def has_suspect(self) -> bool:
        """Whether any is due that was claimed in too many crashes."""
        return self._suspect() is not None

    def claim_suspect(self) -> Claim | None:
        """One of those."""
        row = self._suspect()
        return None if row is None else self._claim(row)

    def _suspect(self) -> Row | None:
        self._end_leases()
        return next((row for row in self.rows.values() if row.is_suspect and self._is_free(row)), None)

    def is_due(self, row: Row, full_lanes: Collection[str] = ()) -> bool:
        """It could be claimed now."""
        return self._is_free(row) and not row.is_suspect and row.lane not in full_lanes

    def next_due_in_s(self) -> float:
        """Until something that waits for its time is due."""
        now, monotonic = self.now(), self._monotonic()
        waiting = [row.due_at - now for row in self.rows.values() if not row.is_claimed and not row.held]
        leased = [row.lease_ends_at - monotonic for row in self.rows.values() if row.is_claimed]
        return max(0.001, min([*waiting, *leased], default=math.inf))  # epoch seconds in a float are good for 0.2 µs

    def release(self, claim: Claim, due_at: float | None = None) -> None:
        """Back, uncounted."""
        row = self.owned(claim)
        self._ledger.releasing(row, claim, due_at)
        row.is_claimed, row.free_since = False, self._monotonic()
        row.attempts -= 1
        row.due_at = row.due_at if due_at is None else due_at
        self.changed.set()

    def settle(self, claim: Claim, settlement: Settlement) -> list[QueueId]:
        """One step: ends, what is left, notices."""
        row = self.owned(claim)
        self._ledger.settling(row, claim, settlement)
        self._apply(row, settlement)
        written = self.write(settlement.notices)
        notices = [given.queue_id if isinstance(given, Claim) else given for given in written]
        self._ledger.settled(row, settlement, notices)
        return notices

    def owned(self, claim: Claim) -> Row:
        """The row of a claim that is current. Raises ClaimLost."""
        self._end_leases()
        row = self.rows.get(claim.queue_id)
        if row is None or not row.is_claimed or row.epoch != claim.epoch:
            raise ClaimLost(f"{claim.queue_id} epoch {claim.epoch}")
        return row

    def recover(self) -> None:
        """What a start after a crash does: claims that were never settled are free again, and counted."""
        for row in self.rows.values():
            if row.is_claimed and row.lease_ends_at == math.inf:
                self._free(row)

    def renew(self, claims: Sequence[Claim]) -> list[Claim]:
        """Those that are not lost, for another lease."""
        self._end_leases()
        kept = []
        for claim in claims:
            row = self.rows.get(claim.queue_id)
            if row is not None and row.is_claimed and row.epoch == claim.epoch:
                row.lease_ends_at = self._monotonic() + self._lease_s
                kept.append(claim)
        return kept

    def amend(self, queue_id: QueueId, change: Change) -> bool:
        """An operator's change of one message, if nobody has claimed it."""
        row = self.rows.get(queue_id)
        if row is None or row.is_claimed:
            return False
        if change is Change.HOLD:
            row.held = row.held or "held by an operator"
        elif change is Change.RELEASE:
            row.held, row.unsettled = "", 0
        elif change is Change.DISCARD:
            closed = dict.fromkeys((rcpt.number for rcpt in row.envelope.recipients), DISCARDED_BY_OPERATOR)
            self._ledger.ended(row, closed)
            self._apply(row, Settlement(closed=closed))
        else:
            row.held, row.due_at, row.must_bounce = "", self.now(), change is Change.BOUNCE
            row.unsettled = 0 if row.must_bounce else row.unsettled
        self.changed.set()
        return True

    def _insert(self, message: NewMessage) -> Claim | QueueId:
        self._last_number += 1
        row = Row(
            queue_id=QueueId(f"sim{self._last_number:07d}"),
            lane=message.lane,
            envelope=message.envelope,
            accepted_at=message.envelope.received_at,
            due_at=message.due_at,
            held=message.held,
            free_since=self._monotonic(),
        )
        self.rows[row.queue_id] = row
        self._ledger.inserted(row)
        return self._claim(row) if message.claim and not message.held else row.queue_id

    def _claim(self, row: Row) -> Claim:
        self._ledger.claimed(row, min(self._monotonic() - row.free_since, self.now() - row.due_at))
        row.attempts += 1
        row.epoch += 1
        row.is_claimed = True
        row.lease_ends_at = self._monotonic() + self._lease_s
        return Claim(
            queue_id=row.queue_id,
            queue="main",
            lane=row.lane,
            attempt=row.attempts,
            epoch=row.epoch,
            unsettled=row.unsettled,
        )

    def _is_free(self, row: Row) -> bool:
        return not row.is_claimed and not row.held and row.due_at <= self.now()

    def _end_leases(self) -> None:
        now = self._monotonic()
        for row in self.rows.values():
            if row.is_claimed and row.lease_ends_at <= now:
                self._ledger.excuse(row, "its lease ran out")
                self._free(row)

    def _free(self, row: Row) -> None:
        row.is_claimed, row.is_orphan, row.free_since = False, False, self._monotonic()
        row.unsettled += 1

    def _apply(self, row: Row, settlement: Settlement) -> None:
        row.is_delay_reported |= settlement.reports_delay
        left = tuple(rcpt for rcpt in row.envelope.recipients if rcpt.number not in settlement.closed)
        if left:
            row.envelope = attrs.evolve(row.envelope, recipients=left)
            row.due_at, row.held = settlement.due_at, settlement.held
            row.is_claimed, row.unsettled, row.free_since = False, 0, self._monotonic()
        else:
            del self.rows[row.queue_id]
        self.changed.set()
