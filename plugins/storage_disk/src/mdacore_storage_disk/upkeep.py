"""Upkeep: what may take its time: files of messages that are over, forgotten keys, leftovers in `tmp/`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import gevent

from mdacore import Clock, EventLog, StorageError
from mdacore_storage_disk import events
from mdacore_storage_disk.keys import Keys
from mdacore_storage_disk.state import Acceptance
from mdacore_storage_disk.store import Store
from mdacore_storage_disk.threads import make_threads

TICK_S: Final = 1.0
SWEEP_S: Final = 3600.0


class Upkeep:
    """Looks after one open store, once a second.

    Attributes:
        over: acceptances whose files are to be removed.
    """

    def __init__(self, store: Store, keys: Keys, over: list[Acceptance], *, clock: Clock, log: EventLog) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._log = log
        self._threads = make_threads(1)
        self._swept_at = float("-inf")
        self._is_failure_told = False
        self.over = over
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """End it, after a last round. Call it once."""
        self._greenlet.kill()
        self.tick()
        self._threads.stop()

    def tick(self) -> None:
        """One round. Blocks this greenlet only."""
        try:
            if not self._store.files.broken:
                self._remove()
                self._sweep()
        except (OSError, StorageError) as error:
            self._log.warning(events.STORAGE_UPKEEP_FAILED, error=str(error))
        self._tell_failure()

    def _run(self) -> None:
        while True:
            self._clock.sleep(TICK_S)
            self.tick()

    def _remove(self) -> None:
        if not self.over:
            return
        over = self.over[:]
        self._threads.call(self._store.files.remove, over)
        del self.over[: len(over)]
        for acceptance in over:
            self._keys.remember(acceptance.memory, self._store.files.path(acceptance, ".log"))

    def _sweep(self) -> None:
        if self._clock.monotonic() - self._swept_at < SWEEP_S:
            return
        self._swept_at = self._clock.monotonic()
        self._threads.call(self._sweep_files, self._keys.forget(self._clock.now()), self._clock.now())

    def _sweep_files(self, logs: list[Path], now: float) -> None:
        for log in logs:
            self._store.folder.fs.unlink(log)
        self._store.files.sweep(now)

    def _tell_failure(self) -> None:
        if self._store.files.broken and not self._is_failure_told:
            self._is_failure_told = True
            self._log.error(events.STORAGE_FAILED, reason=self._store.files.broken)
