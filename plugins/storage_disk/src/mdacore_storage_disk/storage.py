"""DiskStorage: one file for each accepted message, as a component and a QueueStorage. The work is in `engine`."""

from __future__ import annotations

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
    Reply,
    Settlement,
    Status,
    StorageError,
)
from mdacore_storage_disk import events
from mdacore_storage_disk.config import DiskConfig
from mdacore_storage_disk.engine import Engine
from mdacore_storage_disk.folder import Folder
from mdacore_storage_disk.fs import Fs, RealFs
from mdacore_storage_disk.lister import Reader
from mdacore_storage_disk.space import Space
from mdacore_storage_disk.store import Store

DURABILITY: Final = (
    "An accepted message, its file and its name, survives the kill of the process, a crash of the system and a loss "
    "of power, provided the disk honours flushes; at most the deliveries in flight are repeated."
)


class DiskStorage:
    """A store in one folder, for one process."""

    def __init__(self, config: DiskConfig, context: Context, fs: Fs | None = None) -> None:
        self._config = config
        self._context = context
        self._folder = Folder(context.resolve(config.path), fs or RealFs())
        self._spool_path = self._folder.spool  # asked for at each message
        self._space = Space(self._folder, config.min_free_bytes, context.clock)
        self._engine: Engine | None = None
        self._reader: Reader | None = None
        self._may_init = False

    @property
    def durability(self) -> str:
        return DURABILITY

    @property
    def spool_path(self) -> Path | None:
        return self._spool_path

    @property
    def renew_every_s(self) -> float | None:
        return None

    # Component

    def start(self) -> None:
        store = Store.open(self._folder.path, self._folder.fs, may_init=self._may_init)
        try:
            self._space.takes()  # for health, before the first mail asks
            self._engine = Engine(store, parallel_syncs=self._config.parallel_syncs, context=self._context)
        except BaseException:
            store.close()
            raise
        self._context.log.info(events.STORAGE_OPENED, path=str(self._folder.path), durability=DURABILITY)

    def start_reading(self) -> None:
        self._reader = Reader(self._folder)

    def drain(self, grace_s: float) -> bool:  # noqa: ARG002 - the contract's signature
        """Nothing of its own is ever in hand: what was asked for is on the disk when the caller is told."""
        return True

    def stop(self) -> None:
        engine, self._engine = self._engine, None
        reader, self._reader = self._reader, None
        try:
            if engine is not None:
                engine.stop()
            if reader is not None:
                reader.close()
        except OSError as error:
            self._context.log.warning(events.STORAGE_UPKEEP_FAILED, error=str(error))

    def health(self) -> Health:
        engine = self._engine
        if engine is None:
            return Health(status=Status.FAILED, reason="not running")
        facts = {
            "messages": engine.queued,
            "set_aside": engine.set_aside,
            "free_bytes": self._space.room.free_bytes,
        }
        if engine.broken:
            return Health(status=Status.FAILED, reason=engine.broken, facts=facts)
        if engine.set_aside:
            reason = f"files in corrupt/, or not readable: {engine.set_aside}"
            return Health(status=Status.DEGRADED, reason=reason, facts=facts)
        if self._space.is_low:
            return Health(status=Status.DEGRADED, reason="the file system is nearly full", facts=facts)
        return Health(facts=facts)

    # QueueStorage

    def refusal(self, size_bytes: int) -> Reply | None:
        if self._engine is None or self._engine.broken:
            return LOCAL_ERROR
        try:
            return None if self._space.takes(size_bytes) else STORAGE_FULL
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
        for page in self._pages(query):
            yield from page

    def peek(self, queue_id: QueueId) -> PeekedMessage | None:
        return self._reader.peek(queue_id) if self._reader is not None else self._running.peek(queue_id)

    def amend(self, query: Query, change: Change) -> Sequence[QueueId]:
        return self._running.amend(query, change)

    # InitializableStorage

    def allow_init(self) -> None:
        self._may_init = True

    def _pages(self, query: Query) -> Iterator[list[QueueEntry]]:
        return self._reader.pages(query) if self._reader is not None else self._running.pages(query)

    @property
    def _running(self) -> Engine:
        if self._engine is None:
            raise StorageError("the storage is not running")
        return self._engine
