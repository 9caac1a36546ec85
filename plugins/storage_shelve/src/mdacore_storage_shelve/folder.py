"""The folder of a store: what is in it, how it is made, and when it is refused.

    lock               who owns the store
    mdacore-store      the marker: this folder is a store, with its UUID
    queue.db           the database, with SQLite's own -wal and -shm
    lost-bodies/       second names of bodies that no message of queue.db.new has, until that is the database
    bodies/            large bodies, one file each
    spool/             where edges put large bodies before they are written
    reserve            room for a start where there is none

Invariant: a folder with a marker has a whole database, or is refused. A store that was being made when the process
died holds no mail, and is made anew. Once a recovered database has the name ``queue.db.new`` it is the store's,
whatever happens: the next start puts it in the damaged one's place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Sequence
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
_LOGS: Final = ("queue.db-wal", "queue.db-shm")
_NOBODYS: Final = "lost+found"
"""What a new file system holds."""
RESERVE_BYTES: Final = 4 * 2**20
"""Enough for SQLite's shared memory and for the first commit of a run."""


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
    def salvaged(self) -> Path:
        return self.path / "queue.db.salvaged"

    @property
    def bodies(self) -> Path:
        return self.path / "bodies"

    @property
    def lost_bodies(self) -> Path:
        return self.path / "lost-bodies"

    @property
    def spool(self) -> Path:
        return self.path / "spool"

    @property
    def reserve(self) -> Path:
        return self.path / "reserve"

    def make(self, *, may_init: bool = False) -> None:
        """Make the folder if it is missing; `may_init`: an empty one that is there is good, too.

        Raises:
            StorageError: it is not ours, or it cannot be made; nothing in it was changed.
        """
        try:
            if not self.path.exists():
                self._make_folder()
            self._refuse_foreign(may_init=may_init)
        except OSError as error:
            raise StorageError(f"{self.path} cannot be used: {error.strerror}") from error

    def prepare(self) -> uuid.UUID:
        """Make the store if there is none, and what belongs in its folder; gives its UUID. Call it with the lock held.

        Raises:
            StorageError: the marker or the database is missing or wrong.
            OSError, sqlite3.Error: the store could not be made; the next start tries again.
        """
        if not self.marker.exists():
            self._refuse_foreign(may_init=True)
            self._create()
        self._use_reserve()
        self.finish_replacing()
        store_id = self.read_marker()
        self.bodies.mkdir(mode=0o700, exist_ok=True)
        if os.path.lexists(self.spool):
            shutil.rmtree(self.spool)
        self.spool.mkdir(mode=0o700)
        self._fill_reserve()
        sync_folder(self.path)
        return store_id

    def finish_replacing(self) -> Path | None:
        """Put ``queue.db.new`` in the database's place, if it is there; gives where the old one is now, and the bodies
        that only the old one may have named. Raises OSError.

        It may be cut off anywhere and called again.
        """
        if not self.new_database.exists():
            return None
        logs = map(self.database.with_name, _LOGS)
        old = [path for path in (self.database, *logs, self.lost_bodies) if path.exists()]
        kept_at = self._keep(old) if old else None
        self.new_database.rename(self.database)
        sync_folder(self.path)
        return kept_at

    def _keep(self, files: Sequence[Path]) -> Path:
        kept_at = self._folder_for_damage()
        for path in files:  # the database first: a log without it is not looked at
            path.rename(kept_at / path.name)
        sync_folder(kept_at)
        sync_folder(self.path)
        return kept_at

    def _folder_for_damage(self) -> Path:
        stem = time.strftime("damaged-%Y%m%dT%H%M%SZ", time.gmtime())
        for name in (stem, *(f"{stem}-{number}" for number in range(1, 1000))):
            with contextlib.suppress(FileExistsError):
                (self.path / name).mkdir(mode=0o700)
                sync_folder(self.path)
                return self.path / name
        raise FileExistsError(f"{self.path / stem} is there a thousand times")

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
            raise StorageError(
                f"{self.marker} is damaged: it does not hold a UUID; nothing was changed; {schema.RECOVER}"
            ) from error

    def _make_folder(self) -> None:
        # The lock's file comes with the folder, in one step: so it is seen that the folder is ours, wherever the
        # process dies.
        missing = [path for path in self.path.parents if not path.exists()]
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path.with_name(self.path.name + ".new")
        new.mkdir(mode=0o700, exist_ok=True)
        if set(os.listdir(new)) - {self.lock.name}:  # noqa: PTH208 - the names alone
            raise StorageError(f"{new} is in the way: {self.path} is made under this name")
        (new / self.lock.name).touch(mode=0o600)
        sync_folder(new)
        new.rename(self.path)
        for path in (self.path, *missing):
            sync_folder(path.parent)

    def _refuse_foreign(self, *, may_init: bool) -> None:
        names = set(os.listdir(self.path))  # noqa: PTH208 - the names alone
        if self.marker.name in names:
            return
        foreign = names - _FIRST_FILES - {_NOBODYS}
        if self.database.name in foreign:
            raise StorageError(f"{self.marker} is missing, and there is a {self.database.name}: {schema.RECOVER}")
        if foreign:
            raise StorageError(
                f"{self.path} holds {min(foreign)!r} and no {self.marker.name} file, so it is not a store: "
                "is the right file system mounted? A new store needs a new or an empty folder"
            )
        if not may_init and not names & _FIRST_FILES:
            raise StorageError(
                f"{self.path} is there and holds no store: is its file system mounted? "
                "`mdacore run --init-spool` makes a new store in it"
            )

    def _use_reserve(self) -> None:
        if _free_bytes(self.path) < RESERVE_BYTES:
            self.reserve.unlink(missing_ok=True)

    def _fill_reserve(self) -> None:
        if self.reserve.exists() or _free_bytes(self.path) < 2 * RESERVE_BYTES:
            return
        try:
            fd = os.open(self.reserve, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
            finally:
                os.close(fd)
        except OSError:  # it is only a help
            self.reserve.unlink(missing_ok=True)

    def _create(self) -> None:
        # The marker comes after the database is whole, and the database's name after the marker: wherever the process
        # dies, the next start sees either an unfinished store, which holds nothing, or a finished one.
        store_id = uuid.uuid4()
        for name in _FIRST_FILES - {self.lock.name}:
            (self.path / name).unlink(missing_ok=True)
        schema.create(self.new_database, store_id)
        self.mark(store_id)

    def mark(self, store_id: uuid.UUID) -> None:
        """Say that this is the store of this UUID; durable on return. Raises OSError."""
        replace_synced(self.marker, f"{_MARKER_TEXT}{store_id}\n".encode("ascii"))


def _free_bytes(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
