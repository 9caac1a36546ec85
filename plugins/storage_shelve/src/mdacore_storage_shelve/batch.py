"""From jobs to SQL: the statements of one batch, and what the ledger learns once they are committed.

Invariant: of two jobs for one claim the first one counts; the second gets ClaimLost and changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from mdacore import Change, Claim, ClaimLost, QueueId
from mdacore_storage_shelve import schema, sql
from mdacore_storage_shelve.ids import QueueIds
from mdacore_storage_shelve.jobs import (
    Amend,
    AmendedRow,
    BodyRow,
    ClaimDue,
    Claimed,
    ClaimSuspect,
    DeferredRow,
    ForgetKeys,
    Job,
    MessageRow,
    Release,
    ReleasedRow,
    ReserveIds,
    SetAside,
    Settle,
    Write,
)
from mdacore_storage_shelve.ledger import ActiveClaim, Ledger

KEY_LIFETIME_S: Final = 48 * 3600.0
KEYS_FORGOTTEN_AT_ONCE: Final = 1000
_AMENDMENTS: Final = {
    Change.HOLD: sql.HOLD,
    Change.RELEASE: sql.RELEASE_HELD,
    Change.DUE_NOW: sql.DUE_NOW,
    Change.BOUNCE: sql.BOUNCE,
    Change.DISCARD: sql.REMOVE,
}

RowT = TypeVar("RowT", bound=tuple[object, ...])


class Batch:
    """The jobs of one transaction. What many of them want is gathered and done for all in one statement."""

    def __init__(self, connection: sqlite3.Connection, ids: QueueIds, ledger: Ledger) -> None:
        self._execute = connection.execute
        self._ids = ids
        self._ledger = ledger
        self._messages: list[MessageRow] = []
        self._bodies: list[BodyRow] = []
        self._deferred: list[DeferredRow] = []
        self._removed: list[int] = []
        self._released: list[ReleasedRow] = []
        self._begun: dict[QueueId, ActiveClaim] = {}
        self._ended: set[QueueId] = set()
        self._unused_bodies: list[int] = []
        self._aside = 0
        self.pages = 0

    def run(self, jobs: Sequence[Job[object]]) -> list[object]:
        """Execute all; gives their results in order. Ends of claims come first, then what looks for free messages."""
        gathered = [self._gather(job) for job in jobs]
        self._write_gathered()
        return [self._perform(job) if result is job else result for job, result in zip(jobs, gathered, strict=True)]

    def enter(self) -> None:
        """The commit is through: tell the ledger."""
        self._ledger.end(self._ended)
        self._ledger.begin(self._begun)
        self._ledger.unused_bodies.extend(self._unused_bodies)
        self._ledger.aside += self._aside

    def _gather(self, job: Job[object]) -> object:
        """The job's result, once all that is gathered has been written; the job itself = it comes later."""
        match job:
            case Write():
                return self._gather_write(job)
            case Settle() | Release() | SetAside():
                try:
                    active = self._end(job.claim)
                except ClaimLost as lost:
                    return lost
                if isinstance(job, Settle):
                    self._gather_settle(job, active)
                elif isinstance(job, Release):
                    self._released.append(ReleasedRow(active.number, job.due_at))
                else:
                    self._aside += 1
                    self._execute(sql.SET_ASIDE, {"id": active.number, "reason": job.reason})
                return None
        return job

    def _gather_write(self, job: Write) -> Sequence[int]:
        numbers = [row.id for row in job.messages]
        if job.key:
            known = {"queue": job.queue, "key": job.key}
            seen = self._execute(sql.FIND_KEY, {**known, "forgotten_at": job.now - KEY_LIFETIME_S}).fetchone()
            if seen:
                return [int(number) for number in json.loads(seen[0])]
            self._execute(sql.REMEMBER_KEY, {**known, "now": job.now, "ids": json.dumps(numbers)})
        self._messages += job.messages
        self._bodies += job.bodies
        self._begun.update(job.claims)
        return numbers

    def _gather_settle(self, job: Settle, active: ActiveClaim) -> None:
        if job.deferred is not None:
            self._deferred.append(job.deferred)
        else:
            self._removed.append(active.number)
            if active.body_is_file:
                self._unused_bodies.append(active.body)
        self._messages += job.notices
        self._bodies += job.bodies

    def _end(self, claim: Claim) -> ActiveClaim:
        active = self._ledger.owned(claim)
        if claim.queue_id in self._ended:
            raise ClaimLost(f"{claim.queue_id}: this claim is over")
        self._ended.add(claim.queue_id)
        return active

    def _write_gathered(self) -> None:
        self._insert(sql.insert_bodies, self._bodies)
        self._insert(sql.insert_messages, self._messages)
        self._insert(sql.defer_messages, self._deferred)
        self._insert(sql.release_messages, self._released)
        if self._removed:
            self._execute(sql.REMOVE, {"ids": json.dumps(self._removed)})
        self.pages = 2 * len(self._messages) + len(self._deferred) + len(self._released) + len(self._removed)
        self.pages += sum(len(row.data) for row in self._bodies) // schema.PAGE_SIZE_BYTES

    def _insert(self, statement: Callable[[int], str], rows: Sequence[RowT]) -> None:
        for start in range(0, len(rows), sql.MAX_ROWS):
            some = rows[start : start + sql.MAX_ROWS]
            self._execute(statement(len(some)), [value for row in some for value in row])

    def _perform(self, job: Job[object]) -> object:
        match job:
            case ClaimDue():
                return self._claim(job)
            case ClaimSuspect():
                return self._claim_suspect(job)
            case Amend():
                return self._amend(job)
            case ReserveIds():
                self._execute(sql.RESERVE_IDS, {"count": job.count})
                end = int(self._one(sql.NEXT_ID))
                return range(end - job.count, end)
            case ForgetKeys():
                limits = {"forgotten_at": job.forgotten_at, "limit": KEYS_FORGOTTEN_AT_ONCE}
                return self._execute(sql.FORGET_KEYS, limits).rowcount == KEYS_FORGOTTEN_AT_ONCE
        raise TypeError(f"no such job: {job!r}")

    def _claim(self, job: ClaimDue) -> Claimed:
        wanted = {"queue": job.queue, "now": job.now}
        limits = {"limit": job.limit, "full_lanes": json.dumps(job.full_lanes)}
        rows = sorted(json.loads(self._one(sql.FIND_DUE, {**wanted, **limits})))
        if rows:
            self._execute(sql.CLAIM, {"ids": _ids(rows)})
            self.pages += len(rows)
        claims = [self._begin(job.queue, *row[1:]) for row in rows]
        if len(claims) == job.limit:
            return Claimed(claims=claims, next_due_at=job.now)
        later = self._execute(sql.NEXT_DUE, wanted).fetchone()
        return Claimed(claims=claims, next_due_at=later[0] if later else float("inf"))

    def _claim_suspect(self, job: ClaimSuspect) -> Claim | None:
        row = self._execute(sql.FIND_SUSPECT, {"queue": job.queue, "now": job.now}).fetchone()
        if row is None:
            return None
        self._execute(sql.CLAIM, {"ids": json.dumps([row[0]])})
        self.pages += 1
        return self._begin(job.queue, *row)

    def _begin(
        self, queue: str, number: int, lane: str, attempts: int, unsettled: int, body: int, is_file: int
    ) -> Claim:
        queue_id = self._ids.encode(number)
        epoch = self._ledger.next_epoch()
        self._begun[queue_id] = ActiveClaim(number=number, epoch=epoch, body=body, body_is_file=bool(is_file))
        return Claim(queue_id=queue_id, queue=queue, lane=lane, attempt=attempts + 1, epoch=epoch, unsettled=unsettled)

    def _amend(self, job: Amend) -> list[AmendedRow]:
        seen: dict[str, object] = {
            "ids": json.dumps(job.ids),
            "states": json.dumps(job.states),
            "attempts": job.attempts,
        }
        found = json.loads(self._one(sql.FIND_AMENDABLE, seen))
        rows = [AmendedRow(*values) for values in found]
        self._execute(_AMENDMENTS[job.change], {"ids": _ids(rows, 0), "now": job.now})
        self.pages += len(rows)
        if job.change is Change.DISCARD:
            self._unused_bodies += [row.body for row in rows if row.body_is_file]
        if job.change in (Change.DISCARD, Change.RELEASE, Change.BOUNCE):
            self._aside -= sum(row.state == schema.ASIDE for row in rows)
        return rows

    def _one(self, statement: str, values: dict[str, object] | None = None) -> Any:
        (value,) = self._execute(statement, values or {}).fetchone()
        return value


def _ids(rows: Iterable[Sequence[Any]], column: int = 1) -> str:
    return json.dumps([row[column] for row in rows])
