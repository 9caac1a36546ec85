"""MemoryBudget: how much the messages on their way hold in memory, all sessions of an edge together."""

from __future__ import annotations


class MemoryBudget:
    """A number, and its limit. Whoever holds octets adds them to `held_bytes`, and takes them off again."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.held_bytes = 0

    @property
    def is_exceeded(self) -> bool:
        """What can go to a disk should, and what cannot has no place here."""
        return self.held_bytes > self._max_bytes

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether so much more could be held."""
        return self.held_bytes + size_bytes <= self._max_bytes
