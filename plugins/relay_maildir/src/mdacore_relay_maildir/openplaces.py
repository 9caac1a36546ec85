"""The folders of places that stay open between messages, so that the next one need not walk down again. Blocks.

How a place is opened is not in here (`maildirs`, `walk`). Invariants: what `take` gives is the very folders that the
path leads to at that moment; every place is closed when it is neither kept nor in use; no more than so many are kept.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final

import attrs
from gevent.monkey import get_original

from mdacore_relay_maildir.subfolder import Place
from mdacore_relay_maildir.walk import Descriptors, objection_to

_WALK_AGAIN_S: Final = 10.0
"""How long it may take until a change of the owner or the mode of a folder further up is noticed."""


@attrs.frozen
class _Folder:
    """An open folder, and the way to it."""

    path: str
    device: int
    inode: int

    @classmethod
    def of(cls, path: str, fd: int) -> _Folder:
        status = os.fstat(fd)
        return cls(path, status.st_dev, status.st_ino)

    @property
    def is_there(self) -> bool:
        """The path leads to this folder, which can still be trusted; it is no symbolic link itself."""
        try:
            status = os.lstat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (self.device, self.inode) and not objection_to(status)


@attrs.define(eq=False)
class Opened:
    """Descriptors of a place: its maildir, and where messages are written and shown. They belong to this object.

    A folder has one parent only, so that `tmp_fd` and `new_fd` in their places mean that the maildir is there too.
    """

    maildir_fd: int
    tmp_fd: int
    new_fd: int
    _tmp: _Folder
    _new: _Folder
    _walked_at: float
    users: int = 1
    is_kept: bool = False

    @classmethod
    def at(cls, path: str, fds: tuple[int, int, int], now: float) -> Opened:
        """Take over the descriptors of the maildir, `tmp` and `new` of the folder with this path."""
        maildir_fd, tmp_fd, new_fd = fds
        tmp, new = (_Folder.of("/".join((path, part)), fd) for part, fd in (("tmp", tmp_fd), ("new", new_fd)))
        return cls(maildir_fd, tmp_fd, new_fd, tmp, new, now)

    def is_current(self, now: float) -> bool:
        """Whether it may be used without another walk."""
        return now < self._walked_at + _WALK_AGAIN_S and self._tmp.is_there and self._new.is_there

    def close(self) -> None:
        """Once, when nobody uses it."""
        with Descriptors((self.maildir_fd, self.tmp_fd, self.new_fd)):
            pass


class OpenPlaces:
    """The open places of one relay, the least recently used first. Any thread may call.

    Whoever has got an `Opened`, from `take` or by making it, gives it back.
    """

    def __init__(self, max_places: int, now: Callable[[], float] = time.monotonic) -> None:
        self._max = max_places
        self.now = now
        self._places: OrderedDict[Place, Opened] = OrderedDict()
        # Threads wait for this, not greenlets: it must be the system's, also where gevent has patched.
        self._lock: AbstractContextManager[bool] = get_original("_thread", "allocate_lock")()

    def take(self, place: Place) -> Opened | None:
        """The folders of this place, if they are open and still those that the path leads to."""
        with self._lock:
            opened = self._places.get(place)
            if opened is None:
                return None
            opened.users += 1
            self._places.move_to_end(place)
        if opened.is_current(self.now()):
            return opened
        with self._lock:
            if self._places.get(place) is opened:
                self._drop(place)  # it is in use, here
        self.give_back(opened)
        return None

    def keep(self, place: Place, opened: Opened) -> None:
        """Leave these open once they have been given back, instead of those that were used least recently."""
        with self._lock:
            idle = self._drop(place) if place in self._places else []
            self._places[place] = opened
            opened.is_kept = True
            idle += self._shrink_to(self._max)
        _close(idle)

    def give_back(self, opened: Opened) -> None:
        """It is not used any more."""
        with self._lock:
            opened.users -= 1
            is_over = not (opened.users or opened.is_kept)
        if is_over:
            opened.close()

    def clear(self) -> bool:
        """Close all that nobody uses, and keep none of the others; returns whether that has freed descriptors."""
        with self._lock:
            idle = self._shrink_to(0)
        _close(idle)
        return bool(idle)

    def close(self) -> None:
        """Clear, and keep none from now on."""
        with self._lock:
            self._max = 0
        self.clear()

    def _shrink_to(self, size: int) -> list[Opened]:
        dropped: list[Opened] = []
        while len(self._places) > size:
            dropped += self._drop(next(iter(self._places)))
        return dropped

    def _drop(self, place: Place) -> list[Opened]:
        """Do not keep it any more; returns it if nobody uses it, to be closed when the lock is free."""
        opened = self._places.pop(place)
        opened.is_kept = False
        return [] if opened.users else [opened]


def _close(idle: Iterable[Opened]) -> None:
    for opened in idle:
        opened.close()
