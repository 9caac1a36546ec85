"""Stores in real folders, with time that the test moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mdacore import Context
from mdacore.testing import CapturedLog, ManualClock, make_context
from mdacore_storage_shelve import ShelveConfig, ShelveStorage
from mdacore_storage_shelve.store import Store


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
def open_storage(context: Context) -> Iterator[Callable[..., ShelveStorage]]:
    """Opens the storage; a second call first stops the one before."""
    opened: list[ShelveStorage] = []

    def open_(**config: object) -> ShelveStorage:
        for storage in opened:
            storage.stop()
        opened.append(ShelveStorage(ShelveConfig(**config), context))
        opened[-1].start()
        return opened[-1]

    yield open_
    for storage in opened:
        storage.stop()


@pytest.fixture
def storage(open_storage: Callable[..., ShelveStorage]) -> ShelveStorage:
    return open_storage()


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """An open store without greenlets."""
    store = Store.open(path)
    yield store
    store.close()
