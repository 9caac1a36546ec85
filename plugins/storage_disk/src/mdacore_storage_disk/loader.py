"""The loader: fills the index after a start, shard by shard, while new mail is already accepted.

Invariant: what was in the page cache alone when a process was killed is durable before anybody acts on it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import gevent
from gevent.event import Event

from mdacore import Clock, EventLog, StorageError
from mdacore_storage_disk import events
from mdacore_storage_disk.index import Index
from mdacore_storage_disk.keys import Keys
from mdacore_storage_disk.recovery import Recovered
from mdacore_storage_disk.state import Acceptance
from mdacore_storage_disk.store import Store
from mdacore_storage_disk.threads import make_threads

T = TypeVar("T")

_RETRY_S: Final = 10.0
_AT_ONCE: Final = 200


class Loader:
    """Loads one store, once, in a greenlet of its own.

    Attributes:
        unreadable: files that could not be read and were left where they are.
        over: acceptances that were found to be over, for Upkeep to remove.
    """

    def __init__(self, store: Store, index: Index, keys: Keys, *, clock: Clock, log: EventLog) -> None:
        self._store = store
        self._recovery = store.recovery()
        self._index = index
        self._keys = keys
        self._clock = clock
        self._log = log
        self._threads = make_threads(1)
        self._crashed = 0
        self._has_news = Event()
        self._has_ended = Event()
        self._is_complete = False
        self.unreadable = 0
        self.over: list[Acceptance] = []
        self._greenlet = gevent.spawn(self._run)

    def wait(self, timeout_s: float) -> None:
        """Block until everything is in the index. Raises StorageError: not within `timeout_s`, or never."""
        self._has_ended.wait(timeout_s)
        if not self._is_complete:
            raise StorageError(self._store.files.broken or "the store is still being read")

    def expect_news(self) -> None:
        """What is loaded from now on is news."""
        self._has_news.clear()

    def wait_for_news(self, timeout_s: float) -> bool:
        """Block until more is loaded, at most `timeout_s`; False = nothing more, or not yet."""
        return not self._has_ended.is_set() and self._has_news.wait(timeout_s)

    def stop(self) -> None:
        """Cut it short. Call it once."""
        self._greenlet.kill()
        self._end()
        self._threads.stop()

    def _run(self) -> None:
        try:
            if self._store.was_left:
                self._threads.call(self._store.folder.fs.sync_all)
            for shard in self._insistently(self._recovery.filled):
                self._enter(shard, self._insistently(partial(self._recovery.shard, shard)))
        except StorageError as error:
            self._store.files.fail(f"the store could not be read: {error}")
        else:
            self._is_complete = True
            self._log.info(
                events.STORAGE_LOADED,
                messages=len(self._index),
                crashed_claims=self._crashed,
                set_aside=self._store.quarantine.count,
            )
        self._end()

    def _end(self) -> None:
        self._has_ended.set()
        self._has_news.set()

    def _insistently(self, read: Callable[[], T]) -> T:
        while True:
            try:
                return self._threads.call(read)
            except OSError as error:
                self._log.warning(events.STORAGE_UPKEEP_FAILED, error=f"the messages cannot be read now: {error}")
                self._clock.sleep(_RETRY_S)

    def _enter(self, shard: str, recovered: Recovered) -> None:
        for number, acceptance in enumerate(recovered.live):
            if number % _AT_ONCE == 0:
                gevent.sleep(0)  # others want the hub, too
            self._crashed += sum(message.unsettled > 0 for message in acceptance.messages.values())
            self._index.add(acceptance)
        for acceptance in (*recovered.live, *recovered.over):
            self._keys.remember(acceptance.memory)
        for memory, path in recovered.remembered:
            self._keys.remember(memory, path)
        self.over += recovered.over
        self.unreadable += len(recovered.unreadable)
        for name, reason in (*recovered.aside, *recovered.unreadable):
            self._log.error(events.STORAGE_ENTRY_QUARANTINED, queue_id=f"messages/{shard}/{name}", reason=reason)
        if recovered.live:
            self._has_news.set()
