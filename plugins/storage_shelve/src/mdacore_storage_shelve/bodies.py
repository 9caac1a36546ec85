"""Large bodies: one file each, beside the database that names them.

Invariant: a body's file is complete and durable before the commit of the first row that names it, and is removed after
the commit that removes the last one. A crash in between leaves a file that nobody names; it is found by its age.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from mdacore import FileBody, StorageError
from mdacore_storage_shelve.files import sync_file, sync_folder
from mdacore_storage_shelve.ids import MAX_NUMBER

ORPHAN_AGE_S: Final = 36 * 3600.0
_CANNOT_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP})
"""Another file system, somebody else's file (fs.protected_hardlinks), too many links, no links at all."""


@attrs.frozen
class BodyFiles:
    """The folder of large bodies. All its methods block on the disk."""

    folder: Path

    def path(self, number: int) -> Path:
        """The file of the body with this number."""
        return self.folder / f"{number:x}"

    def adopt(self, sources: Mapping[int, FileBody]) -> None:
        """Link these files in, or copy them, under their numbers; durable on return. The sources stay as they are.

        Raises:
            StorageError: a source is not as long as it is said to be; none of them is there.
            OSError: none of them is there.
        """
        try:
            for number, source in sources.items():
                link_or_copy(source.path, self.path(number))
                if (found := self.path(number).stat().st_size) != source.size_bytes:
                    raise StorageError(f"{source.path} has {found} octets, not {source.size_bytes}")  # noqa: TRY301
                sync_file(self.path(number))
            sync_folder(self.folder)
        except BaseException:
            self.remove(*sources)
            raise

    def numbers(self) -> Iterator[int]:
        """Those of all bodies that are there; what else is in the folder is nobody's. Raises OSError."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if (number := _number(entry.name)) is not None:
                    yield number

    def remove(self, *numbers: int) -> None:
        """Remove the files of bodies that nothing names. Raises OSError."""
        for number in numbers:
            self.path(number).unlink(missing_ok=True)

    def orphans(self, *, first_number: int, now: float, is_used: Callable[[int], bool]) -> Iterator[int]:
        """The numbers of files that nothing names and nothing will.

        A file that is waiting for its commit is not one of them: it is neither from before this run, whose numbers
        begin with `first_number`, nor old at `now` (epoch seconds). Raises OSError.
        """
        with os.scandir(self.folder) as entries:
            for entry in entries:
                number = _number(entry.name)
                if number is None or not entry.is_file(follow_symlinks=False):
                    continue
                age_s = now - entry.stat().st_ctime  # when it was linked, not when it was made
                if (number < first_number or age_s > ORPHAN_AGE_S) and not is_used(number):
                    yield number


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where that cannot be. Not durable yet. Raises OSError."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with source.open("rb") as octets, os.fdopen(fd, "wb") as copy:
            shutil.copyfileobj(octets, copy, 2**20)


def _number(name: str) -> int | None:
    try:
        number = int(name, 16)
    except ValueError:
        return None
    return number if 0 < number <= MAX_NUMBER and f"{number:x}" == name else None
