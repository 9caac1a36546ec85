"""PidFile: a file that holds the number of the one process that runs with it.

Invariants: two processes never hold one file at once, whatever is left of those before them; nothing but a pid file is
ever overwritten, also where somebody else may write into its folder.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from mdacore.service.part import Part

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MODE = 0o644
_CONTENT = re.compile(rb"[0-9]{0,20}\n?")
_MAX_BYTES = 32


class PidFile(Part):
    """Held from `start` to `stop` by a lock, which the system takes away from a process that was killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def start(self) -> None:
        """Take the file. Raises OSError if another process holds it, or if it is something else."""
        fd = self._open()
        try:
            text = f"{os.getpid()}\n".encode()
            os.pwrite(fd, text, 0)  # in one piece: a reader sees the old number or the new one
            os.ftruncate(fd, len(text))
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def stop(self) -> None:
        """Remove the file, or leave it empty where the service's user may not remove it."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, 0)
        finally:
            os.close(fd)

    def _open(self) -> int:
        while True:
            fd = os.open(self._path, _FLAGS, _MODE)
            try:
                self._lock(fd)
                if self._is_still(fd):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _lock(self, fd: int) -> None:
        facts = os.fstat(fd)
        content = os.pread(fd, _MAX_BYTES, 0) if stat.S_ISREG(facts.st_mode) else b"?"
        if facts.st_nlink > 1 or not _CONTENT.fullmatch(content):
            raise FileExistsError(f"{self._path} is there already, and is not a pid file")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(f"{self._path} is held by process {content.decode().strip()}") from error

    def _is_still(self, fd: int) -> bool:
        """Whoever held it before may have removed it after we had opened it."""
        try:
            return os.path.samestat(os.fstat(fd), self._path.lstat())
        except FileNotFoundError:
            return False
