"""The folder of a store: what is in it, how it is made, and when it is refused.

    lock               who owns the store
    mdacore-store      the marker: this folder is a store, of which format, and which one
    next-number        no acceptance has had this number yet, or a higher one
    messages/00 … 3f   the message files and their logs
    tmp/               message files on their way
    corrupt/           what could not be read, each with its reason
    spool/             where edges put large bodies before they are written

Invariant: a folder with a marker is a whole store, or is refused. A store that was being made when the process died
holds no mail, and is made anew.
"""

from __future__ import annotations

import re
import uuid
import zlib
from pathlib import Path
from typing import Final

import attrs

from mdacore import StorageError
from mdacore_storage_disk.fs import Fs, Kind

FORMAT: Final = 1
SHARDS: Final = tuple(f"{number:02x}" for number in range(64))
NUMBERS_A_SHARD: Final = 4096
"""Acceptances that follow each other share a folder, so that one sync makes the names of a whole batch durable."""

_MARKER: Final = re.compile(r"mdacore disk store\nformat ([0-9]{1,9})\n([0-9a-f-]{36})\n")
_NEXT_NUMBER: Final = re.compile(rb"([0-9]{1,15}) ([0-9a-f]{8})\n")
_MAX_SMALL_FILE_BYTES: Final = 4096
_NOBODYS: Final = "lost+found"
"""What a new file system holds."""


@attrs.frozen
class Folder:
    """The paths of one store, on one file system. All methods block on the disk."""

    path: Path
    fs: Fs

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def marker(self) -> Path:
        return self.path / "mdacore-store"

    @property
    def next_number(self) -> Path:
        return self.path / "next-number"

    @property
    def messages(self) -> Path:
        return self.path / "messages"

    @property
    def tmp(self) -> Path:
        return self.path / "tmp"

    @property
    def corrupt(self) -> Path:
        return self.path / "corrupt"

    @property
    def spool(self) -> Path:
        return self.path / "spool"

    def shard(self, name: str) -> Path:
        """The folder of this shard."""
        return self.messages / name

    def make(self, *, may_init: bool = False) -> None:
        """Make the folder if it is missing; `may_init`: an empty one that is there is good, too.

        Raises:
            StorageError: it is not ours; nothing in it was changed.
            OSError: it cannot be made.
        """
        if self._kind(self.path) is None:
            self._make_folder()
        self._refuse_foreign(may_init=may_init)

    def prepare(self) -> uuid.UUID:
        """Make the store if there is none, and empty the spool; gives its UUID. Call it with the lock held.

        Raises:
            StorageError: the marker is damaged, of a newer version or another storage's, or a folder is missing.
            OSError: the store could not be made; the next start tries again.
        """
        if self._kind(self.marker) is None:
            self._refuse_foreign(may_init=True)
            self._create()
        store_id = self.read_marker()
        for path in (self.tmp, self.corrupt, *map(self.shard, SHARDS)):
            if self._kind(path) is not Kind.FOLDER:
                raise StorageError(f"{path} is missing or no folder: this store is damaged; nothing was changed")
        self._empty_spool()
        return store_id

    def read_marker(self) -> uuid.UUID:
        """The store's UUID. Raises StorageError: there is no store, or none that this version may use."""
        try:
            text = self._read_small(self.marker).decode("ascii", "replace")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StorageError(f"there is no store in {self.path}") from error
        except OSError as error:
            raise StorageError(f"{self.marker} cannot be read: {error.strerror}") from error
        match = _MARKER.fullmatch(text)
        newer = re.match(r"mdacore disk store\nformat ([0-9]{1,9})\n", text)
        if newer is not None and int(newer[1]) > FORMAT:
            raise StorageError(
                f"{self.path} was written by a newer version (format {newer[1]}; this one knows {FORMAT}); "
                "nothing was changed"
            )
        if match is None or int(match[1]) != FORMAT:
            raise StorageError(f"{self.marker} is damaged or another storage's; nothing was changed")
        return uuid.UUID(match[2])

    def reserve_numbers(self, count: int) -> range:
        """Numbers that no acceptance has had or will have, whatever crashes; durable on return.

        Raises:
            StorageError: which ones are free is not known.
            OSError: none were reserved.
        """
        try:
            match = _NEXT_NUMBER.fullmatch(self._read_small(self.next_number))
        except FileNotFoundError:
            match = None
        if match is None or f"{zlib.crc32(match[1]):08x}" != match[2].decode():
            raise StorageError(f"{self.next_number} is missing or damaged: without it ids would be given twice")
        first = int(match[1])
        self._write_next_number(first + count)
        return range(first, first + count)

    def _create(self) -> None:
        # The marker comes last: wherever the process dies, the next start sees either an unfinished store, which holds
        # nothing, or a finished one.
        for path in (self.messages, *map(self.shard, SHARDS), self.tmp, self.corrupt):
            self.fs.mkdir(path)
        self.fs.sync_folder(self.messages)
        self._write_next_number(1)
        self._replace(self.marker, f"mdacore disk store\nformat {FORMAT}\n{uuid.uuid4()}\n".encode("ascii"))

    def _write_next_number(self, number: int) -> None:
        digits = b"%d" % number
        self._replace(self.next_number, b"%s %08x\n" % (digits, zlib.crc32(digits)))

    def _replace(self, path: Path, octets: bytes) -> None:
        """Put a file there, whole or not at all, durable on return."""
        new = path.with_name(path.name + ".new")
        self.fs.unlink(new)
        fd = self.fs.create(new)
        try:
            self.fs.write(fd, octets, 0)
            self.fs.sync(fd)
        finally:
            self.fs.close(fd)
        self.fs.rename(new, path)
        self.fs.sync_folder(path.parent)

    def _read_small(self, path: Path) -> bytes:
        fd = self.fs.open(path)
        try:
            return self.fs.read(fd, _MAX_SMALL_FILE_BYTES, 0)
        finally:
            self.fs.close(fd)

    def _make_folder(self) -> None:
        # The lock's file comes with the folder, in one step: so it is seen that the folder is ours, wherever the
        # process dies.
        for path in reversed(self.path.parents):
            if self._kind(path) is None:
                self.fs.mkdir(path)
                self.fs.sync_folder(path.parent)
        new = self.path.with_name(self.path.name + ".new")
        self.fs.mkdir(new)
        names = self.fs.names(new)
        if set(names) - {self.lock.name}:
            raise StorageError(f"{new} is in the way: {self.path} is made under this name")
        if not names:
            self.fs.close(self.fs.create(new / self.lock.name))
        self.fs.sync_folder(new)
        self.fs.rename(new, self.path)
        self.fs.sync_folder(self.path.parent)

    def _refuse_foreign(self, *, may_init: bool) -> None:
        names = set(self.fs.names(self.path))
        if self.marker.name in names:
            return
        ours = {path.name for path in (self.lock, self.messages, self.tmp, self.corrupt, self.spool)}
        ours |= {f"{path.name}{end}" for path in (self.next_number, self.marker) for end in ("", ".new")}
        foreign = sorted(names - ours - {_NOBODYS})
        if not foreign and self._kind(self.messages) is not None:
            shards = self.fs.names(self.messages)
            foreign = [f"messages/{shard}/{name}" for shard in shards for name in self.fs.names(self.shard(shard))]
        if foreign:
            raise StorageError(
                f"{self.path} holds {foreign[0]!r} and no {self.marker.name} file, so it is not a store: "
                "is the right file system mounted? A new store needs a new or an empty folder"
            )
        if not may_init and not names & ours:
            raise StorageError(
                f"{self.path} is there and holds no store: is its file system mounted? "
                "`mdacore run --init-spool` makes a new store in it"
            )

    def _empty_spool(self) -> None:
        self.fs.mkdir(self.spool)
        if self._kind(self.spool) is not Kind.FOLDER:
            raise StorageError(f"{self.spool} is no folder; nothing was changed")
        for name in self.fs.names(self.spool):
            if self._kind(self.spool / name) is not Kind.FOLDER:
                self.fs.unlink(self.spool / name)

    def _kind(self, path: Path) -> Kind | None:
        try:
            return self.fs.status(path).kind
        except FileNotFoundError:
            return None


def shard_of(number: int) -> str:
    """Which shard an acceptance of this number begins in."""
    return SHARDS[number // NUMBERS_A_SHARD % len(SHARDS)]
