"""The lock that makes one process the owner of a store.

Invariant: the kernel holds it (flock), so a dead owner never does; the pid inside is only for the message.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from mdacore import StorageError


class StoreLock:
    """An exclusive lock on one file, held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock, making its file if need be. Never waits.

        Raises:
            StorageError: somebody else has it; names their pid.
            OSError: the file cannot be opened.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sign(fd)
        except BlockingIOError as error:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise StorageError(f"{self._path.parent} is in use by process {holder}") from error
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    @staticmethod
    def _sign(fd: int) -> None:
        os.ftruncate(fd, 0)
        try:
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:  # on a full disk it is held all the same
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def release(self) -> None:
        """Give the lock back. Idempotent. The file stays: to remove it would race with the next owner."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
