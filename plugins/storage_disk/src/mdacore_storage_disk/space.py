"""How much room is left on the file system, as refusals need to know it before any message comes."""

from __future__ import annotations

from typing import Final

import attrs

from mdacore import Clock
from mdacore_storage_disk.folder import Folder
from mdacore_storage_disk.fs import Room

_MAX_AGE_S: Final = 1.0


@attrs.define
class Space:
    """The room for one store, looked up at most once a second; `room` is what was found then."""

    _folder: Folder
    _min_free_bytes: int
    _clock: Clock
    room: Room = attrs.field(factory=lambda: Room(free_bytes=0, has_inodes=True))
    _looked_at: float = float("-inf")

    @property
    def is_low(self) -> bool:
        """Less than what has to stay free."""
        return self.room.free_bytes < self._min_free_bytes or not self.room.has_inodes

    def takes(self, size_bytes: int = 0) -> bool:
        """So many more octets would leave enough. Waits for no disk. Raises OSError: the folder is gone."""
        now = self._clock.monotonic()
        if now - self._looked_at >= _MAX_AGE_S:
            self._looked_at = now
            self.room = self._folder.fs.room(self._folder.path)
        return not self.is_low and self.room.free_bytes - size_bytes >= self._min_free_bytes
