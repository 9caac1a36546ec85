"""Recovery: a sound store in a damaged one's place, for ``mdacore queue recover``. How rows are found is in `salvage`.

The new database is made beside the damaged one. It counts from the moment that it has the name ``queue.db.new``: from
then on it is put in its place by this command or by the next start (`Folder.finish_replacing`).

Invariant: until then the store is as it was; nothing of a damaged store is ever removed, only moved aside.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from mdacore import Recovery, StorageError, StorageFull
from mdacore_storage_shelve import schema
from mdacore_storage_shelve.bodies import BodyFiles, link_or_copy
from mdacore_storage_shelve.commit import primary_code
from mdacore_storage_shelve.files import sync_file, sync_folder
from mdacore_storage_shelve.folder import Folder
from mdacore_storage_shelve.ids import QueueIds
from mdacore_storage_shelve.lock import StoreLock
from mdacore_storage_shelve.pages import Pages
from mdacore_storage_shelve.reader import Reader
from mdacore_storage_shelve.salvage import Salvage, Salvaged, set_aside_incomplete, take_ownerless

NUMBERS_LEFT_OUT: Final = 2**40
"""Where the next free number is not known, so many after the highest that was seen are given to nobody: one in a
thousand of all there are, and more than any service has given since its oldest message."""

KEYS_FORGOTTEN: Final = "Idempotency keys are forgotten: what a client sends a second time is stored a second time."
MAYBE_REPEATED: Final = (
    "Which parts of the database were in use is not known: some of what was delivered may be delivered again."
)
_PRAGMAS: Final = "PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;"


def recover(folder: Folder, *, is_dry_run: bool) -> Recovery:
    """As `RecoverableStorage.recover`."""
    if not folder.database.exists() and not folder.new_database.exists():
        raise StorageError(f"there is no {folder.database.name} in {folder.path}: nothing can be recovered")
    lock = StoreLock(folder.lock)
    try:
        lock.acquire()
        return _Recovery(folder).run(is_dry_run=is_dry_run)
    except OSError as error:
        raise StorageError(f"{folder.path} cannot be recovered: {error}; the store is as it was") from error
    except sqlite3.Error as error:
        kind = StorageFull if primary_code(error) == sqlite3.SQLITE_FULL else StorageError
        raise kind(f"{folder.path} cannot be recovered: {error}; the store is as it was") from error
    finally:
        lock.release()


class _Recovery:
    """One, with the lock held."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._files = BodyFiles(folder.bodies)

    def run(self, *, is_dry_run: bool) -> Recovery:
        if self._folder.new_database.exists() and not is_dry_run:  # cut off at its end, the last time
            self._folder.finish_replacing()
        damage = self._damage()
        if not damage:
            return Recovery()
        self._refuse_what_is_no_damage()
        with self._new_database(is_dry_run=is_dry_run) as target:
            found = self._fill(target, keeps_bodies=not is_dry_run)
            store_id = self._store_id(found)
            report, lost_files = self._report(target, found, store_id, damage)
            self._number(target, found, store_id)
        if is_dry_run:
            return report
        return attrs.evolve(report, kept_at=self._replace(store_id, lost_files))

    def _damage(self) -> str:
        try:
            reader = Reader(self._folder, self._folder.read_marker())
            reader.open()
        except StorageError as error:
            return str(error).removesuffix(f"; {schema.RECOVER}").removesuffix("; nothing was changed")
        try:
            return reader.check()
        except sqlite3.Error as error:
            return str(error)
        finally:
            reader.close()

    def _refuse_what_is_no_damage(self) -> None:
        """Raises StorageError: a later version's, or two stores mixed."""
        with contextlib.suppress(sqlite3.Error), contextlib.closing(schema.look(self._folder.database)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > schema.SCHEMA_VERSION:
                raise StorageError(f"{self._folder.database} was written by a newer version: nothing was changed")

    @contextlib.contextmanager
    def _new_database(self, *, is_dry_run: bool) -> Iterator[sqlite3.Connection]:
        with contextlib.ExitStack() as on_error:
            if is_dry_run:
                target = schema.scratch()
            else:
                self._drop_salvaged()
                on_error.callback(self._drop_salvaged)
                schema.create(self._folder.salvaged, uuid.UUID(int=0))
                target = sqlite3.connect(self._folder.salvaged, isolation_level=None)
            with contextlib.closing(target):
                target.executescript(_PRAGMAS)
                yield target
                target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            on_error.pop_all()

    def _drop_salvaged(self) -> None:
        path = self._folder.salvaged
        for end in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        if self._folder.lost_bodies.exists():
            shutil.rmtree(self._folder.lost_bodies)

    def _fill(self, target: sqlite3.Connection, *, keeps_bodies: bool) -> Salvaged:
        with contextlib.closing(Pages(self._folder.database)) as pages:
            found = Salvage(pages, target, keeps_bodies=keeps_bodies).run()
        set_aside_incomplete(target, self._files)
        (count,) = target.execute("SELECT count(*) FROM message").fetchone()
        if count == 0 and found.store is None:
            raise StorageError(
                f"nothing can be read in {self._folder.database}: restore it from a copy; the store is as it was"
            )
        return found

    def _store_id(self, found: Salvaged) -> uuid.UUID:
        in_database = None
        with contextlib.suppress(ValueError):
            in_database = uuid.UUID(found.store[0]) if found.store else None
        try:
            marked = self._folder.read_marker()
        except StorageError:
            return in_database or uuid.uuid4()
        if in_database not in (None, marked):
            raise StorageError(
                f"{self._folder.database} belongs to store {in_database}, and its folder is marked as store {marked}: "
                "this is no damage; nothing was changed"
            )
        return marked

    def _report(
        self, target: sqlite3.Connection, found: Salvaged, store_id: uuid.UUID, damage: str
    ) -> tuple[Recovery, list[Path]]:
        ids = QueueIds.of_store(store_id)
        aside = [(ids.encode(number), why) for number, why in target.execute(_ASIDE)]
        (saved,) = target.execute(_COUNT_SAVED).fetchone()
        lost: list[tuple[str, str]] = [
            (ids.encode(number), "only its body is left") for number in take_ownerless(target)
        ]
        files = list(self._ownerless_files(target))
        lost += [(ids.encode(int(path.name, 16)), f"only its body is left, as {path.name}") for path in files]
        if found.damaged_pages:
            pages = "1 page" if found.damaged_pages == 1 else f"{found.damaged_pages} pages"
            lost.append((f"{pages} of the database", "not readable"))
        notes = [KEYS_FORGOTTEN, *([MAYBE_REPEATED] if found.has_stale else [])]
        return Recovery(damage=damage, saved=saved, set_aside=aside, lost=lost, notes=notes), files

    def _ownerless_files(self, target: sqlite3.Connection) -> Iterator[Path]:
        """Large bodies that no message names: left by a crash, or of messages that are lost."""

        def is_used(number: int) -> bool:
            return bool(target.execute("SELECT 1 FROM message WHERE body = ? LIMIT 1", (number,)).fetchone())

        if self._folder.bodies.is_dir():
            everything = 32**10
            for number in self._files.orphans(first_number=everything, now=0.0, is_used=is_used):
                yield self._files.path(number)

    def _number(self, target: sqlite3.Connection, found: Salvaged, store_id: uuid.UUID) -> None:
        (highest,) = target.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
        next_id, run = (max(found.store[1], highest + 1), found.store[2]) if found.store else (0, 0)
        if not found.store:
            files = self._files.numbers() if self._folder.bodies.is_dir() else ()
            next_id = max(highest, *files, 0) + NUMBERS_LEFT_OUT
        target.execute("UPDATE store SET uuid = ?, next_id = ?, run = ?", (str(store_id), next_id, run))

    def _replace(self, store_id: uuid.UUID, lost_files: list[Path]) -> Path | None:
        sync_file(self._folder.salvaged)
        self._folder.mark(store_id)
        self._keep_bodies(lost_files)
        self._folder.salvaged.rename(self._folder.new_database)
        sync_folder(self._folder.path)
        kept_at = self._folder.finish_replacing()
        for path in lost_files:
            path.unlink()
        return kept_at

    def _keep_bodies(self, lost_files: list[Path]) -> None:
        """Under a second name: the next start removes from the bodies what its database does not name."""
        if not lost_files:
            return
        self._folder.lost_bodies.mkdir(mode=0o700)
        for path in lost_files:
            link_or_copy(path, self._folder.lost_bodies / path.name)
            sync_file(self._folder.lost_bodies / path.name)
        sync_folder(self._folder.lost_bodies)


_ASIDE: Final = f"SELECT id, held FROM message WHERE state = {schema.ASIDE} ORDER BY id"  # noqa: S608 - a constant
_COUNT_SAVED: Final = f"SELECT count(*) FROM message WHERE state <> {schema.ASIDE}"  # noqa: S608 - a constant
