"""The engine: what runs between start and stop, and the way of every change from the hub to the commit thread.

Invariant: what follows from a change on the hub (somebody is woken, a claim that nobody waits for is given back)
follows whether or not the greenlet that asked for the change is still there.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, TypeVar, cast

import attrs
import gevent

from mdacore import (
    Change,
    Claim,
    ClaimLost,
    Context,
    FileBody,
    NewMessage,
    OutcomeUnknown,
    Query,
    QueuedMessage,
    QueueId,
    Settlement,
    State,
    StorageError,
    StorageFull,
)
from mdacore.runtime import GroupCommit
from mdacore_storage_shelve import events, schema
from mdacore_storage_shelve.alarm import Alarms
from mdacore_storage_shelve.bodies import BodyFiles
from mdacore_storage_shelve.commit import is_fatal
from mdacore_storage_shelve.intake import Arrival, Intake, Numbers, check_text, check_time, deferred_row
from mdacore_storage_shelve.jobs import (
    Amend,
    AmendedRow,
    ClaimDue,
    Claimed,
    ClaimSuspect,
    Job,
    Release,
    ReserveIds,
    SetAside,
    Settle,
    Write,
)
from mdacore_storage_shelve.lister import Lister
from mdacore_storage_shelve.reader import STATES
from mdacore_storage_shelve.record import RecordError
from mdacore_storage_shelve.store import Store
from mdacore_storage_shelve.threads import make_threads
from mdacore_storage_shelve.upkeep import Upkeep

T = TypeVar("T")

_GIVE_BACK_RETRY_S: Final = 10.0
_ADOPTING_THREADS: Final = 4
"""Large bodies that are synced at once."""
_PATIENT: Final = frozenset({Settle, Release})
"""Jobs that wait a moment for others: a client waits for a write, and many are given back at the same time."""


class Engine:
    """One open store at work. It owns the store: `stop` closes it."""

    def __init__(self, store: Store, *, log_max_bytes: int, context: Context) -> None:
        self._reader = store.reader()
        self._reader.open()
        self._store = store
        self._ids = store.ids
        self._ledger = store.ledger
        self._is_stopping = False
        self._clock = context.clock
        self._log = context.log
        self._alarms = Alarms(context.clock)
        self._bodies = BodyFiles(store.folder.bodies)
        self._reading = make_threads(1)
        self._adopting = make_threads(_ADOPTING_THREADS)
        self.lister = Lister(store.reader())
        self._group: GroupCommit[Job[object], object] = GroupCommit(store.committer, abandoned=self._abandoned)
        self._numbers = Numbers(lambda count: self._commit(ReserveIds(count=count)))
        self._intake = Intake(store.ids, store.ledger.next_epoch)
        self._upkeep = Upkeep(
            store, self._group, log_max_pages=log_max_bytes // schema.PAGE_SIZE_BYTES, clock=self._clock, log=self._log
        )

    def stop(self) -> None:
        """Commit what waits, end the threads, close the store. Call it once. Raises sqlite3.Error, all being closed."""
        self._is_stopping = True
        self._upkeep.stop()
        self._group.stop()
        for threads in (self._reading, self._adopting):
            threads.stop()
        self.lister.close()
        self._store.close(self._reader)

    def write(self, messages: Sequence[NewMessage], *, queue: str, key: str) -> Sequence[Claim | QueueId]:
        """As `QueueStorage.write`."""
        check_text(queue, key)
        arrival = self._arrival(messages, queue)
        job = Write(
            queue=queue,
            key=key,
            now=self._clock.now(),
            messages=arrival.messages,
            bodies=arrival.bodies,
            claims=arrival.claims,
        )
        stored = self._commit_with_files(job, arrival.files)
        if key and [row.id for row in arrival.messages] != stored:
            self._ledger.unused_bodies.extend(arrival.files)
            return [self._ids.encode(number) for number in stored]
        return arrival.given

    def claim(self, queue: str, limit: int, full_lanes: Collection[str]) -> Sequence[Claim]:
        """As `QueueStorage.claim`."""
        if limit < 1:
            return ()
        job = ClaimDue(queue=queue, limit=limit, full_lanes=list(full_lanes), now=self._clock.now())
        return self._commit(job).claims

    def has_suspect(self, queue: str) -> bool:
        """As `QueueStorage.has_suspect`."""
        try:
            return self._reading.call(self._reader.has_suspect, queue, self._clock.now())
        except sqlite3.Error as error:
            raise StorageError(f"suspects cannot be looked for: {error}") from error

    def claim_suspect(self, queue: str) -> Claim | None:
        """As `QueueStorage.claim_suspect`."""
        return self._commit(ClaimSuspect(queue=queue, now=self._clock.now()))

    def release(self, claim: Claim, due_at: float | None = None) -> None:
        """As `QueueStorage.release`. Durable on return."""
        if due_at is not None:
            check_time(due_at)
        self._ledger.owned(claim)
        self._commit(Release(claim=claim, due_at=due_at))

    def read(self, claim: Claim) -> QueuedMessage:
        """As `QueueStorage.read`."""
        active = self._ledger.owned(claim)
        try:
            stored = self._reading.call(self._reader.message, active.number)
        except RecordError as error:
            self._set_aside(claim, str(error))
            raise StorageError(f"{claim.queue_id} is set aside: {error}") from error
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.Error) and is_fatal(error):
                self._store.committer.fail(f"the database failed: {error}")
            raise StorageError(f"{claim.queue_id} cannot be read: {error}") from error
        if stored is None:
            raise ClaimLost(f"{claim.queue_id}: this claim is over")
        active.open_numbers, active.progress = stored.open_numbers, stored.progress
        return stored.queued

    def settle(self, claim: Claim, settlement: Settlement) -> Sequence[QueueId]:
        """As `QueueStorage.settle`."""
        active = self._ledger.owned(claim)
        if active.open_numbers is None and (settlement.closed or settlement.deferred or settlement.reports_delay):
            self.read(claim)
        deferred = deferred_row(active, settlement)
        if not settlement.notices:
            self._commit(Settle(claim=claim, deferred=deferred))
            return ()
        check_text(settlement.notice_queue)
        notices = self._arrival(settlement.notices, settlement.notice_queue or claim.queue, may_claim=False)
        job = Settle(claim=claim, deferred=deferred, notices=notices.messages, bodies=notices.bodies)
        self._commit_with_files(job, notices.files)
        return cast(Sequence[QueueId], notices.given)

    def renew(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """As `QueueStorage.renew`."""
        return [claim for claim in claims if self._ledger.owns(claim)]

    def wait(self, queue: str, timeout_s: float) -> None:
        """As `QueueStorage.wait`."""
        self._alarms.of(queue).wait(timeout_s)

    def amend(self, query: Query, change: Change) -> Sequence[QueueId]:
        """As `QueueStorage.amend`."""
        states = set(query.states or State) - {State.ACTIVE}
        stored = [number for number, state in STATES.items() if state in states]
        amended: list[QueueId] = []
        for page in self.lister.pages(attrs.evolve(query, states=states)) if states else ():
            numbers = [cast(int, self._ids.decode(entry.queue_id)) for entry in page]
            job = Amend(ids=numbers, change=change, now=self._clock.now(), states=stored, attempts=query.attempts)
            amended += [self._ids.encode(row.id) for row in self._commit(job)]
        return amended

    @property
    def broken(self) -> str:
        """Why nothing is accepted any more; ``""`` = all is well."""
        return self._store.committer.broken

    @property
    def claims(self) -> int:
        """How many claims are running."""
        return len(self._ledger)

    @property
    def set_aside(self) -> int:
        """How many messages could not be read and wait for an operator."""
        return self._ledger.aside

    def _arrival(self, messages: Sequence[NewMessage], queue: str, *, may_claim: bool = True) -> Arrival:
        return self._intake.arrival(messages, queue, self._numbers.take(len(messages)), may_claim=may_claim)

    def _set_aside(self, claim: Claim, reason: str) -> None:
        self._log.error(events.STORAGE_ENTRY_QUARANTINED, queue_id=claim.queue_id, reason=reason)
        self._commit(SetAside(claim=claim, reason=reason))

    def _commit(self, job: Job[T]) -> T:
        if self._is_stopping:
            raise StorageError("the storage has been stopped")
        result = self._group.submit(job, is_urgent=type(job) not in _PATIENT)
        self._follow_up(job, result)
        return cast(T, result)

    def _follow_up(self, job: Job[object], result: object) -> None:
        self._alarms.announce(job, result)
        if isinstance(job, Amend):
            for row in cast(Sequence[AmendedRow], result):
                self._log.info(events.STORAGE_AMENDED, queue_id=self._ids.encode(row.id), change=job.change.value)

    def _commit_with_files(self, job: Job[T], files: Mapping[int, FileBody]) -> T:
        if not files:
            return self._commit(job)
        try:
            self._adopting.call(self._bodies.adopt, files)
        except OSError as error:
            raise self._adoption_error(error) from error
        try:
            return self._commit(job)
        except OutcomeUnknown:
            raise
        except StorageError:
            self._ledger.unused_bodies.extend(files)
            raise

    def _adoption_error(self, error: OSError) -> StorageError:
        if error.errno == errno.ENOSPC:
            return StorageFull(f"no room for a body: {error}")
        if error.errno == errno.EIO:
            self._store.committer.fail(f"a body could not be synced: {error}")
        return StorageError(f"a body cannot be stored: {error}")

    def _abandoned(self, job: Job[object], result: object) -> None:
        self._follow_up(job, result)
        claims: Iterable[Claim] = ()
        if isinstance(job, ClaimDue):
            claims = cast(Claimed, result).claims
        elif isinstance(job, ClaimSuspect):
            claims = () if result is None else (cast(Claim, result),)
        elif isinstance(job, Write):
            claims = (
                Claim(queue_id=queue_id, queue=job.queue, lane="", attempt=1, epoch=active.epoch)
                for queue_id, active in job.claims.items()
            )
        for claim in claims:
            gevent.spawn(self._give_back, claim)

    def _give_back(self, claim: Claim) -> None:
        while not self._is_stopping:
            try:
                return self.release(claim)
            except ClaimLost:  # it never began: its key was known
                return None
            except StorageError:  # what is not given back is active until the next start
                self._clock.sleep(_GIVE_BACK_RETRY_S)
        return None
