"""mdacore-storage-shelve: the embedded default storage: a durable shelf over SQLite, with group commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mdacore import API_VERSION, Context, Provider, QueueStorage, hookimpl
from mdacore_storage_shelve.config import ShelveConfig, check
from mdacore_storage_shelve.shelf import Shelf, open_shelf
from mdacore_storage_shelve.storage import ShelveStorage

__all__ = ["Shelf", "ShelveConfig", "ShelveStorage", "mdacore_storages", "open_shelf"]


@hookimpl
def mdacore_storages() -> Iterable[Provider[Any, Context, QueueStorage]]:
    """One kind: ``shelve``."""
    yield Provider(kind="shelve", config=ShelveConfig, build=ShelveStorage, api=API_VERSION, default=True, check=check)
