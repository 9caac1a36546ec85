"""Message files and their logs: written, made visible, continued, removed. Everything in here blocks on the disk.

Durable are, in this order: the file's octets (`stage`), its name and its empty log's (`publish`). From then on all that
happens to its messages is a line of the log (`append`). When all of them are over the file goes first, and the log only
after that is durable: a file without its log would be a message to which nothing has happened yet.

Invariant: after a sync that failed nothing is written any more. Linux may drop the pages that it could not write and
report success on the next try, so a sync is never tried again.
"""

from __future__ import annotations

import contextlib
import errno
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs

from mdacore import Body, OutcomeUnknown, StorageError, StorageFull
from mdacore_storage_disk import journal, message
from mdacore_storage_disk.folder import Folder
from mdacore_storage_disk.fs import Kind
from mdacore_storage_disk.journal import Event
from mdacore_storage_disk.message import BodyFacts, Head
from mdacore_storage_disk.state import Acceptance

MESSAGE: Final = ".msg"
LOG: Final = ".log"
ORPHAN_AGE_S: Final = 36 * 3600.0
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@attrs.frozen(kw_only=True)
class Staged:
    """A message file that is complete and durable, and not visible yet."""

    acceptance: Acceptance
    path: Path


class MessageFiles:
    """Those of one store.

    Attributes:
        broken: why nothing is written any more; ``""`` = all is well.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.broken = ""
        self._fs = folder.fs
        self._in_hand: set[Path] = set()

    def path(self, acceptance: Acceptance, ending: str) -> Path:
        """The message file's or the log's."""
        return self.folder.shard(acceptance.shard) / (acceptance.stem + ending)

    def stage(self, shard: str, head: Head, bodies: Sequence[Body]) -> Staged:
        """Write a message file aside; its octets are durable on return. `head.bodies` has the sizes alone.

        Raises:
            StorageFull, StorageError: nothing is left of it.
        """
        self.refuse_if_broken()
        acceptance = Acceptance.of(head, shard)
        path = self.folder.tmp / (acceptance.stem + MESSAGE)
        self._in_hand.add(path)
        try:
            self._fs.unlink(path)  # a notice that a crash has cut off had this name, too
            self._write(path, head, bodies)
        except OSError as error:
            self._drop(path)
            raise self._explained(f"{path.name} cannot be written", error) from error
        except (StorageError, ValueError) as error:
            self._drop(path)
            raise error if isinstance(error, StorageError) else StorageError(str(error)) from error
        return Staged(acceptance=acceptance, path=path)

    def publish(self, batch: Sequence[Staged]) -> Sequence[Exception | None]:
        """Make these visible, each with an empty log; durable on return. One sync serves all that share a folder.

        Gives for each what it ended with: None, StorageFull or StorageError (nothing is left of it), OutcomeUnknown.
        """
        results = [self._name(staged) for staged in batch]
        named = [staged for staged, result in zip(batch, results, strict=True) if result is None]
        failed = self._sync_folders({staged.acceptance.shard for staged in named})
        for index, staged in enumerate(batch):
            if results[index] is None and staged.acceptance.shard in failed:
                self._drop(self.path(staged.acceptance, MESSAGE))
                results[index] = OutcomeUnknown(self.broken)
        return results

    def withdraw(self, acceptance: Acceptance) -> None:
        """Take back notices that no log names. Raises StorageError: the next start does it.

        It need not be durable: as long as their original or its log is there they are known as unnamed, and the sync of
        the folder after which that log goes is theirs, too.
        """
        self.refuse_if_broken()
        try:
            for ending in (LOG, MESSAGE):
                self._fs.unlink(self.path(acceptance, ending))
        except OSError as error:
            self.fail(f"{acceptance.stem} cannot be taken back: {error}")  # its original must not go before it
            raise StorageError(self.broken) from error

    def append(self, acceptance: Acceptance, event: Event) -> None:
        """Add a line to the log; durable on return. One caller at a time for each acceptance.

        Raises:
            StorageFull, StorageError: nothing was changed.
            OutcomeUnknown: it may be there after the next start.
        """
        self.refuse_if_broken()
        path = self.path(acceptance, LOG)
        try:
            line = journal.encode(event)
            fd = self._fs.open(path, is_writable=True)
        except ValueError as error:
            raise StorageError(f"this cannot be stored: {error}") from error
        except OSError as error:
            raise self._explained(f"{path.name} cannot be written", error) from error
        try:
            self._append(fd, line, acceptance.log_bytes, path)
        finally:
            self._fs.close(fd)
        acceptance.log_bytes += len(line)

    def sync_shard(self, shard: str) -> None:
        """Make the names in a shard's folder durable. Raises StorageError."""
        if self._sync_folders({shard}):
            raise StorageError(self.broken)

    def remove(self, over: Sequence[Acceptance]) -> None:
        """Remove these, whose messages are over; the logs of those with a key stay. Raises OSError, StorageError."""
        self.refuse_if_broken()
        for acceptance in over:
            self._fs.unlink(self.path(acceptance, MESSAGE))
        if self._sync_folders({acceptance.shard for acceptance in over}):
            raise StorageError(self.broken)
        for acceptance in over:
            if acceptance.memory is None:
                self._fs.unlink(self.path(acceptance, LOG))

    def sweep(self, now: float) -> None:
        """Remove what earlier runs have left in `tmp/`, once it is old; `now` in epoch seconds. Raises OSError."""
        for name in self._fs.names(self.folder.tmp):
            path = self.folder.tmp / name
            found = None if path in self._in_hand else self._fs.status(path)
            if found is not None and found.kind is Kind.FILE and now - found.changed_at > ORPHAN_AGE_S:
                self._fs.unlink(path)

    def fail(self, reason: str) -> None:
        """Write nothing any more; the first reason is kept."""
        self.broken = self.broken or reason

    def refuse_if_broken(self) -> None:
        """Raise StorageError if nothing is written any more."""
        if self.broken:
            raise StorageError(self.broken)

    def _write(self, path: Path, head: Head, bodies: Sequence[Body]) -> None:
        offset = start = len(message.encode(head))
        fd = self._fs.create(path)
        try:
            facts = []
            for body, expected in zip(bodies, head.bodies, strict=True):
                facts.append(self._write_body(fd, body, offset))
                offset += facts[-1].size_bytes
                if facts[-1].size_bytes != expected.size_bytes:
                    raise StorageError(f"a body has {facts[-1].size_bytes} octets, not {expected.size_bytes}")
            octets = message.encode(attrs.evolve(head, bodies=facts))
            if len(octets) != start:
                raise ValueError("the head is not as long as it was")  # it would lie over the first body
            self._fs.write(fd, octets, 0)
            self._sync(fd, path)
        finally:
            self._fs.close(fd)

    def _write_body(self, fd: int, body: Body, offset: int) -> BodyFacts:
        size_bytes = crc = 0
        for piece in body.chunks():
            self._fs.write(fd, piece, offset + size_bytes)
            size_bytes += len(piece)
            crc = zlib.crc32(piece, crc)
        return BodyFacts(size_bytes=size_bytes, crc=crc)

    def _sync(self, fd: int, path: Path) -> None:
        try:
            self._fs.sync(fd)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                self.fail(f"{path.name} could not be synced: {error}")
            raise

    def _name(self, staged: Staged) -> StorageError | None:
        path = self.path(staged.acceptance, MESSAGE)
        try:
            self.refuse_if_broken()
            self._fs.close(self._fs.create(path.with_suffix(LOG)))
            try:
                self._fs.rename(staged.path, path)
            except OSError:
                self._drop(path.with_suffix(LOG))
                raise
        except OSError as error:
            self._drop(staged.path)
            return self._explained(f"{path.name} cannot be made", error)
        except StorageError as error:
            self._drop(staged.path)
            return error
        self._in_hand.discard(staged.path)
        return None

    def _append(self, fd: int, line: bytes, offset: int, path: Path) -> None:
        try:
            self._fs.write(fd, line, offset)
        except OSError as error:
            with contextlib.suppress(OSError):  # half a line that stays is no line
                self._fs.truncate(fd, offset)
            raise self._explained(f"{path.name} cannot be written", error) from error
        try:
            self._fs.sync(fd)
        except OSError as error:
            self.fail(f"{path.name} could not be synced: {error}")
            raise OutcomeUnknown(self.broken) from error

    def _sync_folders(self, shards: Iterable[str]) -> set[str]:
        """Make the names in these durable; gives those that could not be: from then on nothing is written."""
        failed = set()
        for shard in shards:
            try:
                self._fs.sync_folder(self.folder.shard(shard))
            except OSError as error:
                self.fail(f"messages/{shard} could not be synced: {error}")
                failed.add(shard)
        return failed

    def _drop(self, path: Path) -> None:
        """Remove it if that can be done; what stays in `tmp/` is swept later."""
        self._in_hand.discard(path)
        with contextlib.suppress(OSError):
            self._fs.unlink(path)

    def _explained(self, what: str, error: OSError) -> StorageError:
        text = f"{what}: {error.strerror or error}"
        result = StorageFull(text) if error.errno == errno.ENOSPC else StorageError(text)
        result.__cause__ = error
        return result
