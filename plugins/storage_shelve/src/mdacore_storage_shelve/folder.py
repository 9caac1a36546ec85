"""The folder of a store: what is in it, how it is made, and when it is refused.

    lock               who owns the store
    mdacore-store      the marker: this folder is a store, with its UUID
    queue.db           the database, with SQLite's own -wal and -shm
    bodies/            large bodies, one file each
    spool/             where edges put large bodies before they are written

Invariant: a folder with a marker has a whole database, or is refused. A store that was being made when the process
died holds no mail, and is made anew.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Final

import attrs

from mdacore import StorageError
from mdacore_storage_shelve import schema
from mdacore_storage_shelve.files import replace_synced, sync_folder

_MARKER_TEXT: Final = "mdacore shelve store\n"
_FIRST_FILES: Final = frozenset(
    {"lock", "mdacore-store.new", "queue.db.new", "queue.db.new-journal", "queue.db.new-wal", "queue.db.new-shm"}
)
"""What may be there without a marker: the beginnings of a store."""


@attrs.frozen
class Folder:
    """The paths of one store."""

    path: Path

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def marker(self) -> Path:
        return self.path / "mdacore-store"

    @property
    def database(self) -> Path:
        return self.path / "queue.db"

    @property
    def new_database(self) -> Path:
        return self.path / "queue.db.new"

    @property
    def bodies(self) -> Path:
        return self.path / "bodies"

    @property
    def spool(self) -> Path:
        return self.path / "spool"

    def make(self) -> None:
        """Make the folder if it is missing.

        Raises:
            StorageError: it is not ours, or it cannot be made; nothing in it was changed.
        """
        try:
            missing = [path for path in (self.path, *self.path.parents) if not path.exists()]
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in missing:
                sync_folder(path.parent)
            self._refuse_foreign()
        except OSError as error:
            raise StorageError(f"{self.path} cannot be used: {error.strerror}") from error

    def prepare(self) -> uuid.UUID:
        """Make the store if there is none, and what belongs in its folder; gives its UUID. Call it with the lock held.

        Raises:
            StorageError: the marker or the database is missing or wrong.
            OSError, sqlite3.Error: the store could not be made; the next start tries again.
        """
        if not self.marker.exists():
            self._refuse_foreign()
            self._create()
        if self.new_database.exists() and not self.database.exists():
            self.new_database.rename(self.database)
        store_id = self.read_marker()
        self.bodies.mkdir(mode=0o700, exist_ok=True)
        if os.path.lexists(self.spool):
            shutil.rmtree(self.spool)
        self.spool.mkdir(mode=0o700)
        sync_folder(self.path)
        return store_id

    def read_marker(self) -> uuid.UUID:
        """The store's UUID. Raises StorageError: there is no store, or its marker is damaged."""
        try:
            text = self.marker.read_text(encoding="ascii")
            return uuid.UUID(text.removeprefix(_MARKER_TEXT).strip())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StorageError(f"there is no store in {self.path}") from error
        except OSError as error:
            raise StorageError(f"{self.marker} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise StorageError(f"{self.marker} is damaged: it does not hold a UUID; nothing was changed") from error

    def _refuse_foreign(self) -> None:
        foreign = set(os.listdir(self.path)) - _FIRST_FILES  # noqa: PTH208 - the names alone
        if foreign and not self.marker.exists():
            raise StorageError(
                f"{self.path} holds {min(foreign)!r} and no {self.marker.name} file, so it is not a store: "
                "is the right file system mounted? A new store needs a new or an empty folder"
            )

    def _create(self) -> None:
        # The marker comes after the database is whole, and the database's name after the marker: wherever the process
        # dies, the next start sees either an unfinished store, which holds nothing, or a finished one.
        store_id = uuid.uuid4()
        for name in _FIRST_FILES - {self.lock.name}:
            (self.path / name).unlink(missing_ok=True)
        schema.create(self.new_database, store_id)
        replace_synced(self.marker, f"{_MARKER_TEXT}{store_id}\n".encode("ascii"))
