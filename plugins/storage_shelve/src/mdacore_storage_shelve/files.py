"""Files that are there after a loss of power: written whole or not at all, with their names."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(path: Path) -> None:
    """Make the names in this folder durable. Blocks on the disk. Raises OSError."""
    _sync(path, os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Make a file's octets durable. Blocks on the disk. Raises OSError, also for a symbolic link."""
    _sync(path, os.O_NOFOLLOW)


def replace_synced(path: Path, data: bytes) -> None:
    """Put a file there, whole or not at all, by way of ``<path>.new``. Blocks on the disk. Raises OSError."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    new.rename(path)
    sync_folder(path.parent)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
