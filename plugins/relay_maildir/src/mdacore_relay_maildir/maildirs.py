"""The maildirs on the disk: how a message gets into one (https://cr.yp.to/proto/maildir.html). Blocks; no gevent here.

Invariants: what is in ``new/`` is whole and on the disk; nothing outside of the root is ever opened, made or removed
(see `walk`). What a process that was killed may leave in ``tmp/`` (see `drafts`) belongs to the readers of the maildir,
who remove it after 36 hours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from errno import EMFILE, ENFILE
from itertools import count
from pathlib import Path
from typing import TypeVar

from mdacore import Clock
from mdacore_relay_maildir.drafts import Drafts
from mdacore_relay_maildir.folder import Folder
from mdacore_relay_maildir.openplaces import Opened, OpenPlaces
from mdacore_relay_maildir.quota import Quota
from mdacore_relay_maildir.steps import Steps
from mdacore_relay_maildir.subfolder import MARK, Place
from mdacore_relay_maildir.walk import Descriptors, descend

_MAX_HOST_CHARS = 150
_MAX_KNOWN_PLACES = 10_000
_WRITE_BYTES = 65_536
_PARTS = ("tmp", "new", "cur")
_CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

T = TypeVar("T")


class UniqueNames:
    """Names for files, never the same twice: ``time.MµsPpidQn.host``. Any thread may call."""

    def __init__(self, hostname: str, clock: Clock) -> None:
        self._host = hostname.replace("/", r"\057").replace(":", r"\072").replace(",", r"\054")[:_MAX_HOST_CHARS]
        self._clock = clock
        self._numbers = count(1)

    def __call__(self) -> str:
        """The next name."""
        seconds, microseconds = divmod(int(self._clock.now() * 1_000_000), 1_000_000)
        return f"{seconds}.M{microseconds}P{os.getpid()}Q{next(self._numbers)}.{self._host}"


class Maildirs:
    """All the maildirs below one root. Any thread may call.

    Without `open_places` no folder stays open from one message to the next.
    """

    def __init__(
        self,
        root: Path,
        next_name: Callable[[], str],
        quota: Quota | None = None,
        *,
        open_places: OpenPlaces | None = None,
        drafts: Drafts | None = None,
    ) -> None:
        self._root = str(root)
        self._drafts = drafts or Drafts(next_name)
        self._quota = quota
        self._open_places = open_places or OpenPlaces(0)
        self._durable: set[Place] = set()

    def close(self) -> None:
        """Leave no folder open; where a message is being stored, once it is."""
        self._open_places.close()

    def place(self, maildir: Folder, subfolder: str, *, makes_up_to: int = 0) -> Place:
        """The sub-folder if it is there, or may be made because there are fewer than so many; else the maildir itself.

        What has the name but is no maildir stays alone.

        Raises:
            OSError: the maildir cannot be entered, or is not to be trusted.
        """
        return self._retried(lambda: self._find(maildir, subfolder, makes_up_to))

    def _find(self, maildir: Folder, subfolder: str, makes_up_to: int) -> Place:
        with Descriptors() as descriptors:
            try:
                maildir_fd = descend(descriptors, descriptors.root(self._root), maildir)[-1]
            except FileNotFoundError:
                return Place(maildir, subfolder if makes_up_to else "")
            try:
                subfolder_fd = descriptors.child(maildir_fd, subfolder)
            except FileNotFoundError:
                return Place(maildir, subfolder if _count_subfolders(maildir_fd) < makes_up_to else "")
            except NotADirectoryError:
                return Place(maildir)
            is_maildir = "new" in os.listdir(subfolder_fd)  # noqa: PTH208 - a Path cannot be a descriptor
            return Place(maildir, subfolder if is_maildir else "")

    def store(self, place: Place, pieces: Iterable[bytes], *, is_wanted: Callable[[], bool]) -> Steps[str]:
        """Put one message into a place, which is made if it is not there; returns the file's name in ``new/``.

        Durable at the end: the file, its name, and every folder on the way. `is_wanted` is asked last of all, when the
        file is durable but nobody can see it yet.

        Raises:
            OverQuota: the maildir has no room.
            OSError: there is nothing in ``new/``; but if the very last sync failed, there may be.
        """
        opened = self._open_places.take(place) or (yield from self._open(place))
        try:
            return (yield from self._store(place, opened, pieces, is_wanted))
        finally:
            self._open_places.give_back(opened)

    def _store(
        self, place: Place, opened: Opened, pieces: Iterable[bytes], is_wanted: Callable[[], bool]
    ) -> Steps[str]:
        draft = self._retried(lambda: self._drafts.make(opened.tmp_fd))
        try:
            size_bytes = _write_all(draft.fd, pieces)
            yield (draft.fd,)
            with self._room_for(size_bytes, place, opened):
                if not is_wanted():
                    raise InterruptedError("the attempt was given up")
                name = self._drafts.show(draft, f",S={size_bytes}", opened.new_fd)
            # The number of its links is kept with the file: where there is no journal, a file that was synced before
            # it had a name has none after a crash, whatever the folder says, and fsck removes it.
            yield draft.fd, opened.new_fd
            return name
        finally:
            draft.discard()

    def _retried(self, opens: Callable[[], T]) -> T:
        """What this opens; where there are no descriptors left, without those that were only kept."""
        try:
            return opens()
        except OSError as error:
            if error.errno not in (EMFILE, ENFILE) or not self._open_places.clear():
                raise
        return opens()

    def _room_for(self, size_bytes: int, place: Place, opened: Opened) -> AbstractContextManager[None]:
        if self._quota is None:
            return nullcontext()
        return self._quota.room_for(size_bytes, place.maildir, opened.maildir_fd, opened.tmp_fd)

    def _open(self, place: Place) -> Steps[Opened]:
        """Open a place, to be given back. One that this process has not used yet is made and synced."""
        opened = self._retried(lambda: self._walk_to_known(place))
        if opened is None:
            unsynced = self._retried(lambda: self._make(place))
            with Descriptors(unsynced):
                yield unsynced
            if len(self._durable) >= _MAX_KNOWN_PLACES:
                self._durable.clear()
            self._durable.add(place)
            opened = self._retried(lambda: self._walk(place))
        self._open_places.keep(place, opened)
        return opened

    def _walk_to_known(self, place: Place) -> Opened | None:
        if place not in self._durable:
            return None
        try:
            return self._walk(place)
        except FileNotFoundError:  # somebody has removed it since
            self._durable.discard(place)
            return None

    def _walk(self, place: Place) -> Opened:
        now = self._open_places.now()
        with Descriptors() as descriptors:
            fds = descend(descriptors, descriptors.root(self._root), place.path)
            tmp_fd, new_fd = (descriptors.child(fds[-1], part) for part in ("tmp", "new"))
            kept = fds[len(place.maildir)], tmp_fd, new_fd
            opened = Opened.at("/".join((self._root, *place.path)), kept, now)
            descriptors.hand_over(kept)
            return opened

    def _make(self, place: Place) -> tuple[int, ...]:
        """Make what is missing of a place, and of the maildir that it is in; gives the folders to be synced, open.

        What was there already is among them: whoever made it may have died before a sync, or may just be about to.
        """
        with Descriptors() as descriptors:
            fds = descend(descriptors, descriptors.root(self._root), place.path, makes=True)
            for fd in fds[len(place.maildir) :]:
                for part in _PARTS:
                    descriptors.child(fd, part, makes=True)
            if place.subfolder:
                with suppress(FileExistsError):
                    descriptors.keep(os.open(MARK, _CREATE_FILE, 0o600, dir_fd=fds[-1]))
            descriptors.hand_over(fds)
            return tuple(reversed(fds))


def _count_subfolders(maildir_fd: int) -> int:
    with os.scandir(maildir_fd) as entries:
        return sum(entry.name.startswith(".") and entry.is_dir(follow_symlinks=False) for entry in entries)


def _write_all(fd: int, pieces: Iterable[bytes]) -> int:
    """Write everything; returns how many bytes that was."""
    size_bytes = 0
    for block in _blocks(pieces):
        size_bytes += len(block)
        view = memoryview(block)
        while view:
            view = view[os.write(fd, view) :]
    return size_bytes


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same in fewer pieces: the fields on top and a small message are one write."""
    held: list[bytes] = []
    held_bytes = 0
    for piece in pieces:
        held.append(piece)
        held_bytes += len(piece)
        if held_bytes >= _WRITE_BYTES:
            yield b"".join(held)
            held, held_bytes = [], 0
    yield b"".join(held)
