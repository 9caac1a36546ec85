"""Drafts: files that are written and synced before anybody can see them, and then linked into ``new/``. Blocks.

Where the file system makes files without a name (O_TMPFILE), a draft has none until it is linked: that saves two
changes of ``tmp/`` for each message, and a process that is killed leaves nothing behind. Elsewhere it lies in ``tmp/``
under a name of its own, as the maildir's convention has it.
Invariant: a link never replaces what is there, as a rename would.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from errno import EEXIST, EISDIR, EOPNOTSUPP
from pathlib import Path
from typing import Final, Protocol

from mdacore_relay_maildir.walk import close

_NAME_TRIES: Final = 100
_NAMED: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMELESS: Final = os.O_WRONLY | os.O_CLOEXEC | getattr(os, "O_TMPFILE", 0)
_OWN_DESCRIPTORS: Final = Path("/proc/self/fd")
"""By its entry in here a file without a name is linked (open(2), O_TMPFILE)."""

_NOT_KNOWN: Final = frozenset({EOPNOTSUPP, EISDIR})
"""What open(2) says to O_TMPFILE where the file system, or the kernel, does not know it."""


class Draft(Protocol):
    """A file to be written.

    Attributes:
        name: what it is to be called.
        fd: open for writing.
    """

    name: str
    fd: int

    def link(self, name: str, new_fd: int) -> None:
        """Show it under this name in the folder ``new``; not synced. Raises OSError, FileExistsError too."""

    def discard(self) -> None:
        """Close it, and leave nothing but what was linked. Raises nothing."""


class _NamelessDraft:
    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self.fd = fd

    def link(self, name: str, new_fd: int) -> None:
        os.link(f"{_OWN_DESCRIPTORS}/{self.fd}", name, dst_dir_fd=new_fd, follow_symlinks=True)

    def discard(self) -> None:
        with suppress(OSError):  # what had to be durable has been synced by now
            close(self.fd)


class _NamedDraft:
    def __init__(self, name: str, fd: int, tmp_fd: int) -> None:
        self.name = name
        self.fd = fd
        self._tmp_fd = tmp_fd

    def link(self, name: str, new_fd: int) -> None:
        os.link(self.name, name, src_dir_fd=self._tmp_fd, dst_dir_fd=new_fd, follow_symlinks=False)

    def discard(self) -> None:
        with suppress(OSError):
            os.unlink(self.name, dir_fd=self._tmp_fd)
        with suppress(OSError):
            close(self.fd)


class Drafts:
    """Makes drafts, without names for as long as the file system can. Any thread may call."""

    def __init__(self, next_name: Callable[[], str], *, may_be_nameless: bool = True) -> None:
        self._next_name = next_name
        self._are_nameless: bool | None = None if may_be_nameless else False  # None = not tried yet

    def make(self, tmp_fd: int) -> Draft:
        """An empty file, mode 0600, on the file system of this ``tmp``. Raises OSError."""
        if self._are_nameless is None:
            self._are_nameless = hasattr(os, "O_TMPFILE") and _OWN_DESCRIPTORS.is_dir()
        if self._are_nameless:
            try:
                return _NamelessDraft(self._next_name(), os.open(".", _NAMELESS, 0o600, dir_fd=tmp_fd))
            except OSError as error:
                if error.errno not in _NOT_KNOWN:
                    raise
                self._are_nameless = False
        for _ in range(_NAME_TRIES):
            name = self._next_name()
            with suppress(FileExistsError):
                return _NamedDraft(name, os.open(name, _NAMED, 0o600, dir_fd=tmp_fd), tmp_fd)
        raise OSError(EEXIST, "no free name", "tmp")

    def show(self, draft: Draft, suffix: str, new_fd: int) -> str:
        """Link it into ``new``, under its name with this suffix if that is free; returns the name. Raises OSError."""
        name = draft.name + suffix
        for _ in range(_NAME_TRIES):
            with suppress(FileExistsError):
                draft.link(name, new_fd)
                return name
            name = self._next_name() + suffix
        raise OSError(EEXIST, "no free name", "new")
