"""The file calls that this storage makes: all that it asks of the operating system goes through `Fs`.

Tests put a file system in its place that forgets what was not synced. Nothing in here knows what a message is.

Invariant: no call follows a symbolic link at the end of a path, and none waits for the other end of a FIFO.
"""

from __future__ import annotations

import enum
import fcntl
import os
import stat
from pathlib import Path
from typing import Protocol

import attrs

MIN_FREE_INODES = 0.01
"""The share of the inodes that has to stay free."""


class Kind(enum.Enum):
    """What a name stands for."""

    FILE = "file"
    FOLDER = "folder"
    OTHER = "neither a file nor a folder"


@attrs.frozen(kw_only=True)
class Status:
    """What is known of a name without opening it; `changed_at` is in epoch seconds."""

    kind: Kind
    size_bytes: int
    changed_at: float


@attrs.frozen(kw_only=True)
class Room:
    """How much a file system still takes; `free_bytes` is for this user."""

    free_bytes: int
    has_inodes: bool


class LockHeld(Exception):
    """Another process has the lock; `holder` is its pid as text, or ``"unknown"``."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


class Fs(Protocol):
    """A file system. Every call blocks the thread and raises OSError; only the syncs wait for the disk.

    What is written is durable after `sync` of the file; a name that was made, moved or removed, after `sync_folder` of
    each folder concerned. Until then each by itself may survive a loss of power or not.
    """

    def create(self, path: Path) -> int:
        """Make a file for this user alone; gives its descriptor. Raises FileExistsError."""

    def open(self, path: Path, *, is_writable: bool = False) -> int:
        """The descriptor of a file that is there."""

    def read(self, fd: int, size_bytes: int, offset: int) -> bytes:
        """So many octets from there; fewer only at the file's end."""

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Put all of them there. When it raises, some of them may be there."""

    def truncate(self, fd: int, size_bytes: int) -> None:
        """Cut the file to this size."""

    def sync(self, fd: int) -> None:
        """Make the file's octets durable, not its name."""

    def close(self, fd: int) -> None:
        """Forget the descriptor."""

    def status(self, path: Path) -> Status:
        """What is there. Raises FileNotFoundError."""

    def names(self, path: Path) -> list[str]:
        """The names in a folder, in no order."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in place of what has that name."""

    def unlink(self, path: Path) -> None:
        """Remove a name; no error if it is not there."""

    def mkdir(self, path: Path) -> None:
        """Make a folder for this user alone; no error if it is there."""

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""

    def sync_all(self) -> None:
        """Make durable whatever any process has written so far."""

    def lock(self, path: Path) -> tuple[int, bool]:
        """Take an exclusive lock, held until `unlock` or the process's end; never waits.

        Gives its descriptor, and whether the last holder has died instead of letting go. Raises LockHeld.
        """

    def unlock(self, fd: int, *, is_clean: bool) -> None:
        """Let go. Not clean: the next holder is to think that this one has died."""

    def room(self, path: Path) -> Room:
        """How much the file system under this path still takes. Reads counters in memory only."""


class RealFs:
    """The operating system's."""

    def create(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def open(self, path: Path, *, is_writable: bool = False) -> int:
        mode = os.O_RDWR if is_writable else os.O_RDONLY
        return os.open(path, mode | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)

    def read(self, fd: int, size_bytes: int, offset: int) -> bytes:
        pieces = []
        while size_bytes > 0 and (piece := os.pread(fd, size_bytes, offset)):
            pieces.append(piece)
            size_bytes -= len(piece)
            offset += len(piece)
        return b"".join(pieces)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        left = memoryview(data)
        while left:
            written = os.pwrite(fd, left, offset)
            left = left[written:]
            offset += written

    def truncate(self, fd: int, size_bytes: int) -> None:
        os.ftruncate(fd, size_bytes)

    def sync(self, fd: int) -> None:
        os.fsync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def status(self, path: Path) -> Status:
        found = os.lstat(path)
        is_file, is_folder = stat.S_ISREG(found.st_mode), stat.S_ISDIR(found.st_mode)
        kind = Kind.FILE if is_file else Kind.FOLDER if is_folder else Kind.OTHER
        return Status(kind=kind, size_bytes=found.st_size, changed_at=found.st_mtime)

    def names(self, path: Path) -> list[str]:
        return os.listdir(path)  # noqa: PTH208 - the names alone

    def rename(self, old: Path, new: Path) -> None:
        old.rename(new)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def mkdir(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)

    def sync_folder(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_all(self) -> None:
        os.sync()

    def lock(self, path: Path) -> tuple[int, bool]:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_left = os.fstat(fd).st_size > 0
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            if isinstance(error, BlockingIOError):
                raise LockHeld(holder) from error
            raise
        return fd, is_left

    def unlock(self, fd: int, *, is_clean: bool) -> None:
        try:
            if is_clean:
                os.ftruncate(fd, 0)  # the file stays: to remove it would race with the next holder
        finally:
            os.close(fd)

    def room(self, path: Path) -> Room:
        found = os.statvfs(path)
        has_inodes = found.f_favail >= found.f_files * MIN_FREE_INODES  # 0 of 0: it does not count them
        return Room(free_bytes=found.f_bavail * found.f_frsize, has_inodes=has_inodes)
