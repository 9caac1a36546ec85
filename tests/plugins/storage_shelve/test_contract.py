"""ShelveStorage keeps every rule of the storage contract."""

from __future__ import annotations

from pathlib import Path

from mdacore import Clock, Context, QueueStorage
from mdacore.log import get_log
from mdacore.testing.storage_contract import DurableStorageContract
from mdacore_storage_shelve import ShelveConfig, ShelveStorage


class TestShelveStorage(DurableStorageContract):
    def make_storage(self, path: Path, clock: Clock) -> QueueStorage:
        context = Context(
            instance="storages.spool", state_path=path, hostname="mx.example.test", clock=clock, log=get_log()
        )
        return ShelveStorage(ShelveConfig(path=path), context)
