"""The way down to a folder, one name at a time, and the root that it starts from. Blocks; no gevent here.

Invariant: each folder below the root is opened from its parent, no symbolic link is followed, and no folder is entered
that somebody else may change: a folder that is swapped in between changes nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from errno import EPERM
from pathlib import Path
from types import TracebackType

from gevent.monkey import get_original

close = get_original("os", "close")
"""The system's: gevent's defers it where there is an event loop, and looks for one in each of these threads."""

_OPEN_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FOLDER = _OPEN_ROOT | os.O_NOFOLLOW


class UnsafeFolder(OSError):
    """Somebody else may change this folder under our hands."""


class Descriptors:
    """Open files and folders, closed together at the end of a ``with``. For one thread."""

    __slots__ = ("_fds",)

    def __init__(self, fds: Iterable[int] = ()) -> None:
        self._fds = list(fds)

    def __enter__(self) -> Descriptors:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        for fd in self._fds:
            with suppress(OSError):  # what had to be durable has been synced by now
                close(fd)

    def keep(self, fd: int) -> int:
        """Close this one too."""
        self._fds.append(fd)
        return fd

    def hand_over(self, fds: Iterable[int]) -> None:
        """Do not close these: they belong to somebody else from now on."""
        gone = set(fds)
        self._fds = [fd for fd in self._fds if fd not in gone]

    def root(self, path: str | Path) -> int:
        """Open a folder that may be reached by symbolic links. Raises UnsafeFolder."""
        return self._checked(path, os.open(path, _OPEN_ROOT))

    def child(self, parent_fd: int, name: str, *, makes: bool = False) -> int:
        """Open a folder in an open one; with `makes`, make it if it is not there. Raises UnsafeFolder."""
        if makes:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent_fd)
        return self._checked(name, os.open(name, _OPEN_FOLDER, dir_fd=parent_fd))

    def _checked(self, name: str | Path, fd: int) -> int:
        self._fds.append(fd)
        if objection := objection_to(os.fstat(fd)):
            raise UnsafeFolder(EPERM, objection, str(name))
        return fd


def descend(descriptors: Descriptors, fd: int, names: Iterable[str], *, makes: bool = False) -> list[int]:
    """Open one folder after the other, each in the one before; gives `fd` and theirs."""
    fds = [fd]
    for name in names:
        fds.append(descriptors.child(fds[-1], name, makes=makes))
    return fds


def make_root(root: Path) -> None:
    """Make the root and its missing parents, durably; if that fails, what was made is removed again.

    Raises:
        OSError: it cannot be made or is no folder, or others may write it (UnsafeFolder).
    """
    made: list[Path] = []
    try:
        for path in reversed([root, *root.parents]):
            if not path.exists():
                path.mkdir(mode=0o700)
                made.append(path)
                _sync_folder(path.parent)
        with Descriptors() as descriptors:
            descriptors.root(root)
    except OSError:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir()
        raise


def objection_to(status: os.stat_result) -> str:
    """Why a folder with this status cannot be trusted, ``""`` if it can."""
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to user {status.st_uid}, not to this service"
    if status.st_mode & stat.S_IWOTH:
        return "can be written by everybody"
    return ""


def _sync_folder(path: Path) -> None:
    with Descriptors() as descriptors:
        os.fsync(descriptors.keep(os.open(path, _OPEN_ROOT)))
