"""ShelveStorage keeps every rule of the storage contract."""

from __future__ import annotations

from pathlib import Path

from mdacore import Clock, QueueStorage
from mdacore.testing import DurableStorageContract, make_context
from mdacore_storage_shelve import ShelveConfig, ShelveStorage


class TestShelveStorage(DurableStorageContract):
    def make_storage(self, path: Path, clock: Clock) -> QueueStorage:
        return ShelveStorage(ShelveConfig(path=path), make_context("storages.spool", clock=clock))
