"""How much room is left on the file system, as refusals need to know it before any message comes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from mdacore import Clock

MAX_AGE_S: Final = 1.0
MIN_FREE_INODES: Final = 0.01
"""The share of the inodes that has to stay free."""


class FreeSpace:
    """The free space under one path, looked up at most once a second.

    Attributes:
        free_bytes: for this user, when it was last looked up.
        is_low: less than what has to stay free.
    """

    def __init__(self, path: Path, *, min_free_bytes: int, clock: Clock) -> None:
        self._path = path
        self._min_free_bytes = min_free_bytes
        self._clock = clock
        self._looked_at = float("-inf")
        self.free_bytes = 0
        self.is_low = False

    def has_room(self, size_bytes: int = 0) -> bool:
        """So many more octets would leave enough. No disk is waited for: statvfs reads counters in memory.

        Raises:
            OSError: the path is gone.
        """
        now = self._clock.monotonic()
        if now - self._looked_at >= MAX_AGE_S:
            self._looked_at = now
            found = os.statvfs(self._path)
            self.free_bytes = found.f_bavail * found.f_frsize
            has_inodes = found.f_favail >= found.f_files * MIN_FREE_INODES  # 0 of 0: it does not count them
            self.is_low = self.free_bytes < self._min_free_bytes or not has_inodes
        return not self.is_low and self.free_bytes - size_bytes >= self._min_free_bytes
