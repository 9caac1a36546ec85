"""Threads for what blocks on a disk; after they were stopped a call is a StorageError."""

from __future__ import annotations

from mdacore import StorageError
from mdacore.runtime import Threads


def make_threads(count: int) -> Threads:
    """At most `count` calls at once; more wait for their turn, in order."""
    return Threads(count, stopped=lambda: StorageError("the storage has been stopped"))
