"""DiskStorage keeps every rule of the storage contract."""

from __future__ import annotations

from pathlib import Path

from mdacore import Clock, QueueStorage
from mdacore.testing import DurableStorageContract, make_context
from mdacore_storage_disk import DiskConfig, DiskStorage


class TestDiskStorage(DurableStorageContract):
    def make_storage(self, path: Path, clock: Clock) -> QueueStorage:
        return DiskStorage(DiskConfig(path=path), make_context("storages.spool", clock=clock))
