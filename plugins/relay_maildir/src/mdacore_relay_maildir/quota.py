"""Quotas of maildirs, by Maildir++: kept in ``maildirsize``, counted anew when that cannot be trusted. Blocks.

Deliveries of this process into one maildir take turns from the look at the quota to the note of the message, so that
they do not pass the limit together. Other programs may: Maildir++ has no locks, and what they get wrong lasts until the
next count. Invariant: ``maildirsize`` is never half written, and no error in keeping it loses or repeats a message.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final

from gevent.monkey import get_original

from mdacore_relay_maildir.folder import Folder
from mdacore_relay_maildir.maildirsize import (
    MAX_BYTES,
    Limits,
    Record,
    Usage,
    is_counted,
    parse,
    render,
    render_change,
    size_in,
)
from mdacore_relay_maildir.walk import Descriptors, close

_FILE: Final = "maildirsize"
_STALE_S: Final = 15 * 60  # Maildir++, "Calculating the quota"
_TURNS: Final = 64
_COUNTS: Final = 3
_UNCOUNTED: Final = frozenset({".", "..", ".Trash"})
_OPEN_FILE: Final = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class OverQuota(Exception):
    """The maildir has no room for this message."""


class Quota:
    """One quota for each of many maildirs. Any thread may call.

    Attributes:
        limits: what a maildir may hold; a maildirsize with another quota in it is written anew.
    """

    def __init__(self, limits: Limits, now: Callable[[], float], next_name: Callable[[], str]) -> None:
        self.limits = limits
        self._now = now
        self._next_name = next_name
        # Threads wait for these, not greenlets: they must be the system's, also where gevent has patched.
        make_lock: Callable[[], AbstractContextManager[bool]] = get_original("_thread", "allocate_lock")
        self._turns = tuple(make_lock() for _ in range(_TURNS))

    @contextmanager
    def room_for(self, size_bytes: int, maildir: Folder, maildir_fd: int, tmp_fd: int) -> Iterator[None]:
        """Keep room for a message while the block puts it into the maildir; counted if the block raises nothing.

        `tmp_fd` is any folder on the same file system that readers leave alone.

        Raises:
            OverQuota: it has no room; the block is not entered.
            OSError: maildirsize can be neither read nor written; likewise.
        """
        message = Usage(size_bytes=size_bytes, messages=1)
        with self._turns[hash(maildir) % _TURNS], Descriptors() as descriptors:
            file_fd = self._open(descriptors, message, maildir_fd, tmp_fd)
            yield
            try:
                os.write(file_fd, render_change(message))  # one write in append mode: others may append too
            except OSError:  # the message is delivered; let it be counted anew
                _remove(maildir_fd)

    def _open(self, descriptors: Descriptors, message: Usage, maildir_fd: int, tmp_fd: int) -> int:
        """Open maildirsize, which says by then that there is room for the message."""
        file_fd, record, is_stale = self._read(descriptors, maildir_fd)
        if record and record.limits == self.limits:
            if self.limits.hold(record.usage + message):
                return file_fd
            if record.lines == 1 and not is_stale:
                raise OverQuota(f"{record.usage} leaves no room for {message}")
        file_fd, usage = self._count(descriptors, maildir_fd, tmp_fd)
        if not self.limits.hold(usage + message):
            raise OverQuota(f"{usage}, just counted, leaves no room for {message}")
        return file_fd

    def _read(self, descriptors: Descriptors, maildir_fd: int) -> tuple[int, Record | None, bool]:
        """The open file, what it says, and whether that is old; no record where it must be counted anew."""
        try:
            fd = descriptors.keep(os.open(_FILE, _OPEN_FILE, dir_fd=maildir_fd))
        except OSError:  # it is not there, or no file; whatever it is, the count puts a new one in its place
            return -1, None, True
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size >= MAX_BYTES:
            return fd, None, True
        return fd, parse(os.read(fd, MAX_BYTES)), status.st_mtime <= self._now() - _STALE_S

    def _count(self, descriptors: Descriptors, maildir_fd: int, tmp_fd: int) -> tuple[int, Usage]:
        """Count all messages and write maildirsize; it is removed again where the maildir changes all the time."""
        for _ in range(_COUNTS):
            usage, changed_ns = _count(maildir_fd)
            file_fd = descriptors.keep(self._write(usage, maildir_fd, tmp_fd))
            if _last_change(maildir_fd) <= changed_ns:
                return file_fd, usage
        _remove(maildir_fd)
        return file_fd, usage

    def _write(self, usage: Usage, maildir_fd: int, tmp_fd: int) -> int:
        name = self._next_name()
        fd = os.open(name, _OPEN_FILE | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=tmp_fd)
        try:
            os.write(fd, render(self.limits, usage))
            os.rename(name, _FILE, src_dir_fd=tmp_fd, dst_dir_fd=maildir_fd)
        except OSError:
            close(fd)
            os.unlink(name, dir_fd=tmp_fd)
            raise
        return fd


def _remove(maildir_fd: int) -> None:
    with suppress(OSError):
        os.unlink(_FILE, dir_fd=maildir_fd)


def _count(maildir_fd: int) -> tuple[Usage, int]:
    """What the maildir and its folders hold, without the Trash, and when the last of them had changed before."""
    size_bytes = messages = changed_ns = 0
    for folder_fd in _message_folders(maildir_fd):
        changed_ns = max(changed_ns, os.fstat(folder_fd).st_mtime_ns)
        with os.scandir(folder_fd) as entries:
            for entry in entries:
                if is_counted(entry.name):
                    with suppress(FileNotFoundError):  # moved away meanwhile
                        size = size_in(entry.name)
                        size_bytes += entry.stat(follow_symlinks=False).st_size if size is None else size
                        messages += 1
    return Usage(size_bytes=size_bytes, messages=messages), changed_ns


def _last_change(maildir_fd: int) -> int:
    return max((os.fstat(fd).st_mtime_ns for fd in _message_folders(maildir_fd)), default=0)


def _message_folders(maildir_fd: int) -> Iterator[int]:
    """The ``new`` and ``cur`` of the maildir and of each folder in it, open until the next one is asked for."""
    with os.scandir(maildir_fd) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(".") and entry.name not in _UNCOUNTED]
    for folder in ("", *names):
        for part in ("new", "cur"):
            with suppress(FileNotFoundError, NotADirectoryError), Descriptors() as descriptors:
                folder_fd = _child(descriptors, maildir_fd, folder) if folder else maildir_fd
                yield _child(descriptors, folder_fd, part)


def _child(descriptors: Descriptors, parent_fd: int, name: str) -> int:
    return descriptors.keep(os.open(name, _OPEN_FOLDER, dir_fd=parent_fd))
