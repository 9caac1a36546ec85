"""The open store of its owner: lock, marker and numbers, acquired and released together. No threads, no greenlets."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

import attrs

from mdacore import StorageError
from mdacore_storage_disk.files import MessageFiles
from mdacore_storage_disk.folder import Folder
from mdacore_storage_disk.fs import Fs, LockHeld
from mdacore_storage_disk.ids import QueueIds
from mdacore_storage_disk.quarantine import Quarantine
from mdacore_storage_disk.recovery import Recovery

NUMBERS_AT_ONCE: Final = 65_536
"""How many numbers are reserved at once; a restart loses what is left of them, of 32**10."""


@attrs.define(kw_only=True)
class Store:
    """What one run of the store works with.

    Attributes:
        numbers: reserved for this run; the first is higher than all that were used before.
        was_left: whoever had the store before has died instead of stopping.
    """

    folder: Folder
    files: MessageFiles
    ids: QueueIds
    quarantine: Quarantine
    numbers: range
    was_left: bool
    _lock: int

    @classmethod
    def open(cls, path: Path, fs: Fs, *, may_init: bool = False) -> Store:
        """Become the owner of the store in this folder; make it if there is none. Blocks on the disk.

        `may_init`: also in a folder that is there and empty.

        Raises:
            StorageError: with one sentence for the operator; nothing stays acquired.
        """
        folder = Folder(path, fs)
        try:
            folder.make(may_init=may_init)
            lock, was_left = fs.lock(folder.lock)
        except LockHeld as held:
            raise StorageError(f"{path} is in use by process {held.holder}") from held
        except OSError as error:
            raise StorageError(f"the store in {path} cannot be opened: {error}") from error
        try:
            return cls._of(folder, folder.prepare(), lock, was_left=was_left)
        except BaseException as error:
            fs.unlock(lock, is_clean=not was_left)
            if isinstance(error, OSError):
                raise StorageError(f"the store in {path} cannot be opened: {error}") from error
            raise

    @classmethod
    def _of(cls, folder: Folder, store_id: uuid.UUID, lock: int, *, was_left: bool) -> Store:
        quarantine = Quarantine(folder)
        quarantine.look()
        return cls(
            folder=folder,
            files=MessageFiles(folder),
            ids=QueueIds.of_store(store_id),
            quarantine=quarantine,
            numbers=folder.reserve_numbers(NUMBERS_AT_ONCE),
            was_left=was_left,
            lock=lock,
        )

    def recovery(self) -> Recovery:
        """Reads what earlier runs have left."""
        return Recovery(files=self.files, ids=self.ids, quarantine=self.quarantine, first_number=self.numbers.start)

    def close(self) -> None:
        """Let go. After a failed sync the next owner is told to make sure of what was written."""
        self.folder.fs.unlock(self._lock, is_clean=not self.files.broken)
