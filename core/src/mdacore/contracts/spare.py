"""What a storage may offer beside `QueueStorage`: to be made where the operator says so, and to be recovered.

The commands look for these methods; a storage without them is passed over. Both are asked of a storage that was built
and not started.

Invariant: neither takes anything away: what a recovery replaces is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import attrs


@attrs.frozen(kw_only=True)
class Recovery:
    """What a recovery has found and done, or would do.

    Attributes:
        damage: what is wrong with the store; ``""`` = it is sound, and nothing was changed.
        saved: how many messages are there whole.
        set_aside: those that are there, held, and miss a part: their ids, and why.
        lost: what cannot be read: a message by its id where that is known, or a part of the store; and why.
        notes: what the operator has to know besides, in sentences.
        kept_at: where the damaged files are now; None where nothing was changed.
    """

    damage: str = ""
    saved: int = 0
    set_aside: Sequence[tuple[str, str]] = ()
    lost: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    kept_at: Path | None = None


@runtime_checkable
class RecoverableStorage(Protocol):
    """A storage that can save what is readable of a damaged store: ``mdacore queue recover``."""

    def recover(self, *, is_dry_run: bool) -> Recovery:
        """Put a sound store with all that can be read in the damaged one's place; durable on return. May take long.

        A dry run changes nothing but the lock. Called instead of `start`; the storage is not running afterwards.
        Raises:
            StorageFull: there is no room for it; the damaged store is as it was.
            StorageError: somebody owns the store, there is none, or nothing can be done; it is as it was.
        """


@runtime_checkable
class InitializableStorage(Protocol):
    """A storage that refuses an existing place without a store of its own: ``mdacore run --init-spool``.

    Such a place may be a mount point whose file system is not mounted: with a new store there, what is queued would
    wait unseen under it.
    """

    def allow_init(self) -> None:
        """The next `start` may make a new store in an existing place that is empty. Does nothing by itself."""
