"""Spool: the folder in which edges put large bodies while a proxy queue relays them.

Nothing in it outlives its message: what is found at the start was left behind by a process that was killed.
Invariant: one process has it at a time, so that none removes another's files.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from mdacore.words import StartError


class Spool:
    """One folder, of mode 0700."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def start(self) -> None:
        """Make it, lock it and empty it. Blocks. Raises StartError, OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._empty()
        except BlockingIOError as error:
            os.close(descriptor)
            raise StartError(f"{self.path} is used by another process") from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def stop(self) -> None:
        """Unlock it; what is still in it, its edge removes. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _empty(self) -> None:
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    Path(entry.path).unlink(missing_ok=True)
