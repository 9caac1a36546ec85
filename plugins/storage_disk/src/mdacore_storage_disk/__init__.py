"""mdacore-storage-disk: one file for each accepted message, for who wants to see and copy mail with a shell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mdacore import API_VERSION, Context, Provider, QueueStorage, hookimpl
from mdacore_storage_disk.config import DiskConfig, check
from mdacore_storage_disk.storage import DiskStorage

__all__ = ["DiskConfig", "DiskStorage", "mdacore_storages"]


@hookimpl
def mdacore_storages() -> Iterable[Provider[Any, Context, QueueStorage]]:
    """One kind: ``disk``."""
    yield Provider(kind="disk", config=DiskConfig, build=DiskStorage, api=API_VERSION, default=True, check=check)
