"""The maildirs on the disk: how a message gets into one (https://cr.yp.to/proto/maildir.html). Blocks; no gevent here.

Invariants: what is in ``new/`` is whole and on the disk; nothing outside of the root is ever opened, made or removed.
Each folder below the root is opened from its parent, and no symbolic link is followed, so that a folder that is
swapped in between changes nothing. Leftovers in ``tmp/`` of a process that was killed belong to the readers of the
maildir, who remove them after 36 hours.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from errno import EEXIST, EPERM
from io import FileIO
from itertools import count
from pathlib import Path

from mdacore import Clock
from mdacore_relay_maildir.folder import Folder

_NAME_TRIES = 100
_MAX_HOST_CHARS = 150
_MAX_KNOWN_FOLDERS = 10_000
_OPEN_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FOLDER = _OPEN_ROOT | os.O_NOFOLLOW
_CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafeFolder(OSError):
    """Somebody else may change this folder under our hands."""


class UniqueNames:
    """Names for files, never the same twice: ``time.MµsPpidQn.host``. Any thread may call."""

    def __init__(self, hostname: str, clock: Clock) -> None:
        self._host = hostname.replace("/", r"\057").replace(":", r"\072")[:_MAX_HOST_CHARS]
        self._clock = clock
        self._numbers = count(1)

    def __call__(self) -> str:
        """The next name."""
        seconds, microseconds = divmod(int(self._clock.now() * 1_000_000), 1_000_000)
        return f"{seconds}.M{microseconds}P{os.getpid()}Q{next(self._numbers)}.{self._host}"


class Maildirs:
    """All the maildirs below one root. Any thread may call."""

    def __init__(self, root: Path, next_name: Callable[[], str]) -> None:
        self._root = root
        self._next_name = next_name
        self._durable: set[Folder] = set()

    def store(self, folder: Folder, pieces: Iterable[bytes], *, is_wanted: Callable[[], bool]) -> str:
        """Put one message into a maildir, which is made if it is not there; returns the file's name in ``new/``.

        Durable on return: the file, its name, and every folder on the way. `is_wanted` is asked last of all, when the
        file is written but nobody can see it yet.

        Raises:
            OSError: there is nothing in ``new/``; but if the very last sync failed, there may be.
        """
        with ExitStack() as descriptors:
            tmp_fd, new_fd = self._open(descriptors, folder)
            tmp_name, file_fd = self._create(tmp_fd)
            try:
                with os.fdopen(file_fd, "wb", buffering=0) as file:
                    for piece in pieces:
                        _write_all(file, piece)
                    os.fsync(file_fd)
                if not is_wanted():
                    raise InterruptedError("the attempt was given up")
                name = self._publish(tmp_name, tmp_fd, new_fd)
            finally:
                with suppress(OSError):
                    os.unlink(tmp_name, dir_fd=tmp_fd)
            os.fsync(new_fd)
            return name

    def _open(self, descriptors: ExitStack, folder: Folder) -> tuple[int, int]:
        """The maildir's ``tmp`` and ``new``. A folder that this process has not used yet is made and synced."""
        if folder in self._durable:
            try:
                return self._walk(descriptors, folder)
            except FileNotFoundError:  # somebody has removed it since
                self._durable.discard(folder)
        subfolders = self._walk(descriptors, folder, makes=True)
        if len(self._durable) >= _MAX_KNOWN_FOLDERS:
            self._durable.clear()
        self._durable.add(folder)
        return subfolders

    def _walk(self, descriptors: ExitStack, folder: Folder, *, makes: bool = False) -> tuple[int, int]:
        """Open the root, each folder below it, and ``tmp`` and ``new`` of the maildir; with `makes` make and sync them.

        What was there already is synced too: whoever made it may have died before that, or may just be about to.
        """
        path_fds = [_opened(descriptors, self._root, _OPEN_ROOT)]
        for name in folder:
            path_fds.append(_child(descriptors, path_fds[-1], name, makes=makes))
        tmp_fd, new_fd = (_child(descriptors, path_fds[-1], name, makes=makes) for name in ("tmp", "new"))
        if makes:
            _child(descriptors, path_fds[-1], "cur", makes=True)
            for fd in reversed(path_fds):
                os.fsync(fd)
        return tmp_fd, new_fd

    def _create(self, tmp_fd: int) -> tuple[str, int]:
        for _ in range(_NAME_TRIES):
            name = self._next_name()
            with suppress(FileExistsError):
                return name, os.open(name, _CREATE_FILE, 0o600, dir_fd=tmp_fd)
        raise OSError(EEXIST, "no free name", "tmp")

    def _publish(self, tmp_name: str, tmp_fd: int, new_fd: int) -> str:
        """Link the file into ``new``: unlike a rename, a link never replaces what is there."""
        name = tmp_name
        for _ in range(_NAME_TRIES):
            with suppress(FileExistsError):
                os.link(tmp_name, name, src_dir_fd=tmp_fd, dst_dir_fd=new_fd, follow_symlinks=False)
                return name
            name = self._next_name()
        raise OSError(EEXIST, "no free name", "new")


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
        with ExitStack() as descriptors:
            _opened(descriptors, root, _OPEN_ROOT)
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


def _child(descriptors: ExitStack, parent_fd: int, name: str, *, makes: bool) -> int:
    if makes:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent_fd)
    return _opened(descriptors, name, _OPEN_FOLDER, parent_fd)


def _opened(descriptors: ExitStack, path: str | Path, flags: int, parent_fd: int | None = None) -> int:
    fd = os.open(path, flags, dir_fd=parent_fd)
    descriptors.callback(os.close, fd)
    if objection := objection_to(os.fstat(fd)):
        raise UnsafeFolder(EPERM, objection, str(path))
    return fd


def _sync_folder(path: Path) -> None:
    with ExitStack() as descriptors:
        fd = os.open(path, _OPEN_ROOT)
        descriptors.callback(os.close, fd)
        os.fsync(fd)


def _write_all(file: FileIO, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]
