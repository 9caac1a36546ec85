"""The memory storage keeps the storage contract, but for durability."""

from __future__ import annotations

from mdacore.testing import MemoryStorage, StorageContract


class TestMemoryStorage(StorageContract):
    def make_storage(self, path, clock):
        return MemoryStorage(clock)
