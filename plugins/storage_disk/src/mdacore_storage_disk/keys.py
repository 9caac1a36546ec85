"""Idempotency keys: what was stored under each in the last 48 hours. In memory; the truth is in the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from mdacore import QueueId
from mdacore_storage_disk.journal import Remembered

KEY_LIFETIME_S: Final = 48 * 3600.0


@attrs.define
class _Known:
    memory: Remembered
    log: Path | None = None


@attrs.define
class Keys:
    """The keys of one store, for each queue by itself. On the hub only."""

    _known: dict[tuple[str, str], _Known] = attrs.field(factory=dict)

    def find(self, queue: str, key: str, now: float) -> Sequence[QueueId] | None:
        """What was stored under this key; None = nothing, as far as that is remembered."""
        known = self._known.get((queue, key))
        return None if known is None or self._is_forgotten(known, now) else known.memory.queue_ids

    def remember(self, memory: Remembered | None, log: Path | None = None) -> None:
        """This was stored; `log` is what alone still says so. None: it had no key."""
        if memory is None:
            return
        known = self._known.get((memory.queue, memory.key))
        if known is None or known.memory.written_at <= memory.written_at:
            self._known[memory.queue, memory.key] = _Known(memory, log)

    def forget(self, now: float) -> list[Path]:
        """Forget what is too old; gives the logs that nobody needs any more."""
        old = {name: known for name, known in self._known.items() if self._is_forgotten(known, now)}
        for name in old:
            del self._known[name]
        return [known.log for known in old.values() if known.log is not None]

    def _is_forgotten(self, known: _Known, now: float) -> bool:
        return now - known.memory.written_at > KEY_LIFETIME_S
