"""Stores in real folders, with time that the test moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mdacore import Context, Query
from mdacore.testing import CapturedLog, ManualClock, make_context
from mdacore_storage_disk import DiskConfig, DiskStorage
from mdacore_storage_disk.fs import Fs


@pytest.fixture
def clock() -> ManualClock:
    """Begins at the real time: files get theirs from the system."""
    return ManualClock(time.time())


@pytest.fixture
def log() -> CapturedLog:
    return CapturedLog()


@pytest.fixture
def context(tmp_path: Path, clock: ManualClock, log: CapturedLog) -> Context:
    return make_context("storages.spool", state_path=tmp_path / "state", clock=clock, log=log)


@pytest.fixture
def path(context: Context) -> Path:
    """The folder of the store, not made yet."""
    return context.state_path / "spool"


@pytest.fixture
def open_storage(context: Context) -> Iterator[Callable[..., DiskStorage]]:
    """Opens the storage and waits until it is loaded; a second call first stops the one before."""
    opened: list[DiskStorage] = []

    def open_(fs: Fs | None = None, **config: object) -> DiskStorage:
        for storage in opened:
            storage.stop()
        opened.append(DiskStorage(DiskConfig(**config), context, fs))
        opened[-1].start()
        list(opened[-1].entries(Query(limit=0)))
        return opened[-1]

    yield open_
    for storage in opened:
        storage.stop()


@pytest.fixture
def storage(open_storage: Callable[..., DiskStorage]) -> DiskStorage:
    return open_storage()
