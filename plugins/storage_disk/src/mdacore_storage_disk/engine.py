"""The engine: what runs between start and stop, and what of it a caller's interruption does not reach.

Invariant: a change that has begun is made to its end whether or not the greenlet that asked for it is still there; a
claim that nobody waits for any more is given back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final

import attrs
from gevent.pool import Group

from mdacore import (
    Change,
    Claim,
    ClaimLost,
    Context,
    NewMessage,
    PeekedMessage,
    Query,
    QueuedMessage,
    QueueEntry,
    QueueId,
    Settlement,
    State,
    StorageError,
)
from mdacore.runtime import GroupCommit
from mdacore_storage_disk.changes import LOADING_LIMIT_S, Changes
from mdacore_storage_disk.files import MESSAGE, Staged
from mdacore_storage_disk.index import Index
from mdacore_storage_disk.intake import Intake, Numbers
from mdacore_storage_disk.keys import Keys
from mdacore_storage_disk.lister import Lister
from mdacore_storage_disk.loader import Loader
from mdacore_storage_disk.record import RecordError
from mdacore_storage_disk.retrieval import retrieve
from mdacore_storage_disk.store import Store
from mdacore_storage_disk.threads import Shield, make_threads
from mdacore_storage_disk.upkeep import Upkeep

_PATIENCE_S: Final = 5.0
"""How long a claim waits for the first messages to be loaded, and a list for changes whose callers have left."""
_GIVE_BACK_RETRY_S: Final = 10.0
_READING_THREADS: Final = 2


class Engine:
    """One open store at work. It owns the store: `stop` closes it."""

    def __init__(self, store: Store, *, parallel_syncs: int, context: Context) -> None:
        clock, log = context.clock, context.log
        self._store = store
        self._clock = clock
        self._index = Index(clock)
        self._shield = Shield()
        self._given_back = Group()
        self._reading = make_threads(_READING_THREADS)
        self._writing = make_threads(parallel_syncs)
        self._group: GroupCommit[Staged, None] = GroupCommit(store.files.publish)
        keys = Keys()
        numbers = Numbers(store.numbers, lambda count: self._writing.call(store.folder.reserve_numbers, count))
        intake = Intake(store.files, store.ids, numbers, threads=self._writing, group=self._group, clock=clock)
        self._loader = Loader(store, self._index, keys, clock=clock, log=log)
        self._changes = Changes(
            store,
            self._index,
            keys,
            intake=intake,
            loader=self._loader,
            threads=self._writing,
            clock=clock,
            log=log,
        )
        self.upkeep = Upkeep(store, keys, self._changes.over, clock=clock, log=log)
        self._lister = Lister(store.files, self._index)

    def stop(self) -> None:
        """Finish what has begun, end the threads, close the store. Call it once. Raises OSError, all being closed."""
        self._loader.stop()
        self._shield.close()
        self._given_back.kill()
        self._group.stop()
        self.upkeep.stop()
        for threads in (self._reading, self._writing):
            threads.stop()
        self._lister.close()
        self._store.close()

    def write(self, messages: Sequence[NewMessage], *, queue: str, key: str) -> Sequence[Claim | QueueId]:
        """As `QueueStorage.write`."""
        if not messages:
            return ()
        return self._shield.call(lambda: self._changes.write(messages, queue, key), self._give_back)

    def claim(self, queue: str, limit: int, full_lanes: Collection[str]) -> Sequence[Claim]:
        """As `QueueStorage.claim`. While the store is still being read, the first that it has are given."""
        full_lanes = set(full_lanes)
        return self._loaded(lambda: self._changes.claim(queue, limit, full_lanes)) if limit > 0 else ()

    def has_suspect(self, queue: str) -> bool:
        """As `QueueStorage.has_suspect`. While the store is still being read it waits a few seconds."""
        while True:
            self._loader.expect_news()
            if self._index.suspect(queue) is not None:
                return True
            if not self._loader.wait_for_news(_PATIENCE_S):
                return False

    def claim_suspect(self, queue: str) -> Claim | None:
        """As `QueueStorage.claim_suspect`. While the store is still being read, the first that it has is given."""
        return next(iter(self._loaded(lambda: self._changes.claim_suspect(queue))), None)

    def release(self, claim: Claim, due_at: float | None = None) -> None:
        """As `QueueStorage.release`. Durable on return."""
        self._shield.call(lambda: self._changes.release(claim, due_at))

    def read(self, claim: Claim) -> QueuedMessage:
        """As `QueueStorage.read`."""
        message = self._changes.owned(claim)
        path = self._store.files.path(message.acceptance, MESSAGE)
        try:
            queued, progress = self._reading.call(retrieve, self._store.folder.fs, path, claim.queue_id)
        except (RecordError, FileNotFoundError) as error:
            self._changes.owned(claim)
            reason = str(error) if isinstance(error, RecordError) else "its message file is missing"
            self._shield.call(lambda: self._changes.set_aside(message, reason))
            raise StorageError(f"{claim.queue_id} is set aside: {reason}") from error
        except OSError as error:
            raise StorageError(f"{claim.queue_id} cannot be read: {error}") from error
        self._changes.owned(claim).progress = progress
        return queued

    def settle(self, claim: Claim, settlement: Settlement) -> Sequence[QueueId]:
        """As `QueueStorage.settle`."""
        if self._changes.owned(claim).progress is None and (settlement.closed or settlement.deferred):
            self.read(claim)
        return self._shield.call(lambda: self._changes.settle(claim, settlement))

    def renew(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """As `QueueStorage.renew`."""
        return [claim for claim in claims if self._changes.find(claim) is not None]

    def wait(self, queue: str, timeout_s: float) -> None:
        """As `QueueStorage.wait`."""
        self._index.wait(queue, timeout_s)

    def pages(self, query: Query) -> Iterator[list[QueueEntry]]:
        """As `QueueStorage.entries`, page by page; with what was begun for somebody who has left since."""
        self._loader.wait(LOADING_LIMIT_S)
        self._shield.wait_for_left(_PATIENCE_S)
        return self._lister.pages(query)

    def peek(self, queue_id: QueueId) -> PeekedMessage | None:
        """As `QueueStorage.peek`."""
        self._loader.wait(LOADING_LIMIT_S)
        return self._lister.peek(queue_id)

    def amend(self, query: Query, change: Change) -> Sequence[QueueId]:
        """As `QueueStorage.amend`."""
        states = set(query.states or State) - {State.ACTIVE}
        query = attrs.evolve(query, states=states)
        amended: list[QueueId] = []
        for page in self.pages(query) if states else ():
            amend = partial(self._changes.amend, [entry.queue_id for entry in page], query, change)
            amended += self._shield.call(amend)
        return amended

    @property
    def broken(self) -> str:
        """Why nothing is accepted any more; ``""`` = all is well."""
        return self._store.files.broken

    @property
    def queued(self) -> int:
        """How many messages there are, as far as they are loaded."""
        return len(self._index)

    @property
    def set_aside(self) -> int:
        """How many files could not be read and wait for an operator."""
        return self._store.quarantine.count + self._loader.unreadable

    def _loaded(self, claim: Callable[[], Sequence[Claim]]) -> Sequence[Claim]:
        """Claim, again and again until there is something or the store has been read: a few seconds at most."""
        while True:
            self._loader.expect_news()
            claims = self._shield.call(claim, self._give_back)
            if claims or not self._loader.wait_for_news(_PATIENCE_S):
                return claims

    def _give_back(self, given: Sequence[Claim | QueueId]) -> None:
        """Nobody waits for these claims any more."""
        for one in given:
            if isinstance(one, Claim):
                self._given_back.spawn(self._release_some_time, one)

    def _release_some_time(self, claim: Claim) -> None:
        while True:
            try:
                return self.release(claim)
            except ClaimLost:
                return None
            except StorageError:  # what is not given back is active until the next start
                self._clock.sleep(_GIVE_BACK_RETRY_S)
