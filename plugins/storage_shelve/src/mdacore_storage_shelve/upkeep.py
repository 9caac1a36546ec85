"""Upkeep: what may take its time, in a thread of its own: checkpoints, removed bodies, old keys, the whole-file check.

Invariant: no commit waits for a checkpoint, but for the last few pages of one each time that the log starts again from
its beginning. (With checkpoints inside the commits the slowest of 100 took 15 ms, with these 2 ms.)
"""

from __future__ import annotations

import sqlite3
from typing import Final

import gevent

from mdacore import Clock, EventLog, StorageError
from mdacore.runtime import GroupCommit
from mdacore_storage_shelve import events, schema, sql
from mdacore_storage_shelve.batch import KEY_LIFETIME_S
from mdacore_storage_shelve.bodies import BodyFiles
from mdacore_storage_shelve.commit import is_fatal, primary_code
from mdacore_storage_shelve.jobs import ForgetKeys, Job
from mdacore_storage_shelve.store import Store
from mdacore_storage_shelve.threads import make_threads

TICK_S: Final = 1.0
CHECKPOINT_PAGES: Final = 16 * 2**20 // schema.PAGE_SIZE_BYTES
"""16 MiB: often enough that the log stays short, seldom enough that a page that changes often is copied once."""
IDLE_TICKS: Final = 5
SWEEP_S: Final = 3600.0


class Upkeep:
    """Looks after one open store, once a second."""

    def __init__(
        self,
        store: Store,
        group: GroupCommit[Job[object], object],
        *,
        log_max_pages: int,
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._store = store
        self._group = group
        self._log_max_pages = log_max_pages
        self._clock = clock
        self._log = log
        self._bodies = BodyFiles(store.folder.bodies)
        self._reader = store.reader()
        self._checker = store.reader()
        self._threads = make_threads(2)
        self._seen_pages = self._copied_pages = 0
        self._idle_ticks = 0
        self._swept_at = float("-inf")
        self._is_failure_told = False
        self._greenlets = [gevent.spawn(self._run), gevent.spawn(self._check)]

    def stop(self) -> None:
        """End it, once what it is doing is done; only the whole-file check is cut short. Call it once."""
        self._checker.interrupt()
        gevent.killall(self._greenlets)
        self._threads.stop()
        self._group.run_between(lambda: None)  # a checkpoint may still run there
        self._tell_failure()
        self._reader.close()
        self._checker.close()

    def tick(self) -> None:
        """One round. Blocks this greenlet only."""
        try:
            if not self._store.committer.broken:
                self._checkpoint()
                self._threads.call(self._remove_unused_bodies)
                self._sweep()
        except sqlite3.Error as error:
            self._failed(error)
        except (OSError, StorageError) as error:
            self._log.warning(events.STORAGE_UPKEEP_FAILED, error=str(error))
        self._tell_failure()

    def _run(self) -> None:
        while True:
            self._clock.sleep(TICK_S)
            self.tick()

    def _check(self) -> None:
        try:
            damage = self._threads.call(self._checker.check)
        except sqlite3.Error as error:  # also the interrupt of `stop`
            self._failed(error)
        else:
            if damage:
                self._store.committer.fail(f"the database is damaged: {damage}")

    def _failed(self, error: sqlite3.Error) -> None:
        if is_fatal(error):
            self._store.committer.fail(f"the database failed: {error}")
        elif primary_code(error) != sqlite3.SQLITE_INTERRUPT:
            self._log.warning(events.STORAGE_UPKEEP_FAILED, error=str(error))

    def _tell_failure(self) -> None:
        if self._store.committer.broken and not self._is_failure_told:
            self._is_failure_told = True
            self._log.error(events.STORAGE_FAILED, reason=self._store.committer.broken)

    def _checkpoint(self) -> None:
        pages = self._store.committer.pages
        self._idle_ticks = self._idle_ticks + 1 if pages == self._seen_pages else 0
        self._seen_pages = pages
        if pages - self._copied_pages >= CHECKPOINT_PAGES:
            self._copied_pages = pages
            log_pages = self._threads.call(self._move_log, sql.CHECKPOINT)
            if log_pages >= self._log_max_pages:
                # Now all but the newest pages are in the database. The rest, and the turn back to the beginning, want
                # the writer's lock, so they are done where no commit is.
                self._group.run_between(lambda: self._move_log(sql.RESTART_LOG))
        elif self._idle_ticks == IDLE_TICKS:
            self._copied_pages = pages
            self._group.run_between(lambda: self._move_log(sql.EMPTY_LOG))

    def _move_log(self, statement: str) -> int:
        """Returns the number of pages in the log."""
        _is_busy, log_pages, _moved = self._store.checkpoints.execute(statement).fetchone()
        return int(log_pages)

    def _remove_unused_bodies(self) -> None:
        unused = self._store.ledger.unused_bodies
        while unused:
            body = unused.popleft()
            if not self._reader.is_body_used(body):
                self._bodies.remove(body)

    def _sweep(self) -> None:
        if self._clock.monotonic() - self._swept_at < SWEEP_S:
            return
        self._swept_at = self._clock.monotonic()
        forget = ForgetKeys(forgotten_at=self._clock.now() - KEY_LIFETIME_S)
        while self._group.submit(forget):
            pass
        if swept := self._threads.call(self._sweep_bodies):
            self._log.info(events.STORAGE_BODIES_SWEPT, count=swept)

    def _sweep_bodies(self) -> int:
        is_used, first_number = self._reader.is_body_used, self._store.first_number
        orphans = list(self._bodies.orphans(first_number=first_number, now=self._clock.now(), is_used=is_used))
        self._bodies.remove(*orphans)
        return len(orphans)
