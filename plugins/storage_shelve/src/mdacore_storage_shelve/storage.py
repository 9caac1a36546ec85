"""ShelveStorage: the embedded default storage as a component and a QueueStorage. The work is in `engine`."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from mdacore import (
    LOCAL_ERROR,
    STORAGE_FULL,
    Change,
    Claim,
    Context,
    Health,
    NewMessage,
    PeekedMessage,
    Query,
    QueuedMessage,
    QueueEntry,
    QueueId,
    Recovery,
    Reply,
    Settlement,
    Status,
    StorageError,
)
from mdacore_storage_shelve import events
from mdacore_storage_shelve.config import ShelveConfig
from mdacore_storage_shelve.engine import Engine
from mdacore_storage_shelve.folder import Folder
from mdacore_storage_shelve.lister import Lister
from mdacore_storage_shelve.reader import Reader
from mdacore_storage_shelve.recovery import recover
from mdacore_storage_shelve.space import FreeSpace
from mdacore_storage_shelve.store import Store

DURABILITY: Final = (
    "An accepted message survives the kill of the process, a crash of the system and a loss of power, "
    "provided the disk honours flushes; at most the deliveries in flight are repeated."
)


class ShelveStorage:
    """A store in one folder, for one process."""

    def __init__(self, config: ShelveConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._folder = Folder(context.resolve(config.path))
        self._spool_path = self._folder.spool  # asked for at each message
        self._space = FreeSpace(self._folder.path, min_free_bytes=config.min_free_bytes, clock=context.clock)
        self._engine: Engine | None = None
        self._lister: Lister | None = None
        self._may_init = False

    @property
    def durability(self) -> str:
        return DURABILITY

    @property
    def spool_path(self) -> Path | None:
        return self._spool_path

    @property
    def renew_every_s(self) -> float | None:
        return None  # nobody else has the store

    # Component

    def start(self) -> None:
        store = Store.open(self._folder.path, may_init=self._may_init)
        try:
            self._engine = Engine(store, log_max_bytes=self._config.wal_max_bytes, context=self._context)
        except BaseException:
            store.close()
            raise
        self._space.has_room()  # for health, before the first mail asks
        self._context.log.info(
            events.STORAGE_OPENED, path=str(self._folder.path), crashed_claims=store.crashed, durability=DURABILITY
        )

    def start_reading(self) -> None:
        reader = Reader(self._folder, self._folder.read_marker())
        reader.open()
        self._lister = Lister(reader)

    def drain(self, grace_s: float) -> bool:  # noqa: ARG002 - the contract's signature
        """Nothing of its own is ever in hand: what was asked for is committed, and everything else is on the disk."""
        return True

    def stop(self) -> None:
        engine, self._engine = self._engine, None
        lister, self._lister = self._lister, None
        try:
            if engine is not None:
                engine.stop()
            if lister is not None:
                lister.close()
        except sqlite3.Error as error:
            self._context.log.warning(events.STORAGE_UPKEEP_FAILED, error=str(error))

    def health(self) -> Health:
        engine = self._engine
        if engine is None:
            return Health(status=Status.FAILED, reason="not running")
        facts = {"claims": engine.claims, "set_aside": engine.set_aside, "free_bytes": self._space.free_bytes}
        if engine.broken:
            return Health(status=Status.FAILED, reason=engine.broken, facts=facts)
        if engine.set_aside:
            reason = f"messages set aside: {engine.set_aside}; `mdacore queue list --only held` shows them"
            return Health(status=Status.DEGRADED, reason=reason, facts=facts)
        if self._space.is_low:
            return Health(status=Status.DEGRADED, reason="the file system is nearly full", facts=facts)
        return Health(facts=facts)

    # QueueStorage

    def refusal(self, size_bytes: int) -> Reply | None:
        if self._engine is None or self._engine.broken:
            return LOCAL_ERROR
        try:
            return None if self._space.has_room(size_bytes) else STORAGE_FULL
        except OSError:
            return LOCAL_ERROR

    def write(self, messages: Sequence[NewMessage], *, queue: str, key: str = "") -> Sequence[Claim | QueueId]:
        return self._running.write(messages, queue=queue, key=key)

    def claim(self, queue: str, limit: int, *, full_lanes: Collection[str] = ()) -> Sequence[Claim]:
        return self._running.claim(queue, limit, full_lanes)

    def has_suspect(self, queue: str) -> bool:
        return self._running.has_suspect(queue)

    def claim_suspect(self, queue: str) -> Claim | None:
        return self._running.claim_suspect(queue)

    def release(self, claim: Claim, *, due_at: float | None = None) -> None:
        self._running.release(claim, due_at)

    def read(self, claim: Claim) -> QueuedMessage:
        return self._running.read(claim)

    def settle(self, claim: Claim, settlement: Settlement) -> Sequence[QueueId]:
        return self._running.settle(claim, settlement)

    def renew(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        return self._running.renew(claims)

    def wait(self, queue: str, timeout_s: float) -> None:
        self._running.wait(queue, timeout_s)

    def entries(self, query: Query) -> Iterator[QueueEntry]:
        lister = self._lister or self._running.lister
        for page in lister.pages(query):
            yield from page

    def peek(self, queue_id: QueueId) -> PeekedMessage | None:
        lister = self._lister or self._running.lister
        return lister.peek(queue_id)

    def amend(self, query: Query, change: Change) -> Sequence[QueueId]:
        return self._running.amend(query, change)

    # InitializableStorage, RecoverableStorage

    def allow_init(self) -> None:
        self._may_init = True

    def recover(self, *, is_dry_run: bool) -> Recovery:
        return recover(self._folder, is_dry_run=is_dry_run)

    @property
    def _running(self) -> Engine:
        if self._engine is None:
            raise StorageError("the storage is not running")
        return self._engine
