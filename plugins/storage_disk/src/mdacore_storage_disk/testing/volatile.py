"""VolatileFs: an `Fs` in memory of which a test can see what a crash would leave at any moment.

Invariant: octets are durable once their file was synced, names once their folder was, and nothing else is.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from mdacore_storage_disk.fs import Kind, LockHeld, Room, Status
from mdacore_storage_disk.testing.node import Node
from mdacore_storage_disk.testing.outcomes import outcomes


class VolatileFs:
    """Files in memory. Its paths are absolute; `/` is there.

    Attributes:
        before: called with each call that is about to change or sync something, and its path; what it raises is raised.
        after: called after each of them.
        syncs: what was synced, in order: a file's path, a folder's with a slash at its end, ``"all"``.
        ignored: numbers of syncs, from 0, that report success and do nothing.
    """

    def __init__(self, root: Node | None = None, *, was_left: bool = False) -> None:
        self.before: Callable[[str, Path], None] = lambda _call, _path: None
        self.after: Callable[[], None] = lambda: None
        self.syncs: list[str] = []
        self.ignored: set[int] = set()
        self._root = root or Node(is_folder=True)
        self._was_left = was_left
        self._is_locked = False
        self._open: dict[int, tuple[Node, Path]] = {}
        self._fds = itertools.count(3)
        self._turn = threading.RLock()

    # what a crash leaves

    def killed(self) -> VolatileFs:
        """As the kill of the process leaves it: everything is there, and no more durable than before."""
        return VolatileFs(self._root.copy({}), was_left=True)

    def crashed(self, *, at_most: int, seed: int) -> Iterator[VolatileFs]:
        """As a loss of power may leave it: in all such ways, or in some if there are more than `at_most`."""
        for root in outcomes(self._root, at_most=at_most, seed=seed):
            yield VolatileFs(root, was_left=True)

    # Fs

    def create(self, path: Path) -> int:
        with self._change("create", path):
            folder = self._folder(path.parent)
            if path.name in folder.names:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            folder.put(path.name, Node(is_folder=False))
        return self.open(path)

    def open(self, path: Path, *, is_writable: bool = False) -> int:  # noqa: ARG002 - the interface's
        fd = next(self._fds)
        self._open[fd] = self._node(path), path
        return fd

    def read(self, fd: int, size_bytes: int, offset: int) -> bytes:
        return self._open[fd][0].data[offset : offset + size_bytes]

    def write(self, fd: int, data: bytes, offset: int) -> None:
        node, path = self._open[fd]
        with self._change("write", path):
            node.do((offset, bytes(data)))

    def truncate(self, fd: int, size_bytes: int) -> None:
        node, path = self._open[fd]
        with self._change("truncate", path):
            node.do((size_bytes, None))

    def sync(self, fd: int) -> None:
        node, path = self._open[fd]
        with self._change("sync", path):
            if self._is_honoured(str(path)):
                node.sync()

    def close(self, fd: int) -> None:
        del self._open[fd]

    def status(self, path: Path) -> Status:
        node = self._node(path)
        kind = Kind.FOLDER if node.is_folder else Kind.FILE
        return Status(kind=kind, size_bytes=len(node.data), changed_at=0.0)

    def names(self, path: Path) -> list[str]:
        return list(self._folder(path).names)

    def rename(self, old: Path, new: Path) -> None:
        with self._change("rename", new):
            node = self._node(old)
            self._folder(old.parent).put(old.name, None)
            self._folder(new.parent).put(new.name, node)

    def unlink(self, path: Path) -> None:
        folder = self._folder(path.parent)
        if path.name in folder.names:
            with self._change("unlink", path):
                folder.put(path.name, None)

    def mkdir(self, path: Path) -> None:
        folder = self._folder(path.parent)
        if path.name not in folder.names:
            with self._change("mkdir", path):
                folder.put(path.name, Node(is_folder=True))

    def sync_folder(self, path: Path) -> None:
        folder = self._folder(path)
        with self._change("sync_folder", path):
            if self._is_honoured(f"{path}/"):
                folder.sync_names()

    def sync_all(self) -> None:
        with self._change("sync_all", Path("/")):
            if self._is_honoured("all"):
                for node in self._root.everything():
                    node.sync()
                    node.sync_names()

    def lock(self, path: Path) -> tuple[int, bool]:  # noqa: ARG002 - there is one
        if self._is_locked:
            raise LockHeld("1")
        self._is_locked = True
        return 0, self._was_left

    def unlock(self, fd: int, *, is_clean: bool) -> None:  # noqa: ARG002 - there is one
        self._is_locked, self._was_left = False, not is_clean

    def room(self, path: Path) -> Room:  # noqa: ARG002 - there is one
        return Room(free_bytes=2**60, has_inodes=True)

    def _node(self, path: Path) -> Node:
        node = self._root
        for name in path.parts[1:]:
            if name not in node.names:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            node = node.names[name]
        return node

    def _folder(self, path: Path) -> Node:
        node = self._node(path)
        if not node.is_folder:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        return node

    def _is_honoured(self, what: str) -> bool:
        self.syncs.append(what)
        return len(self.syncs) - 1 not in self.ignored

    @contextlib.contextmanager
    def _change(self, call: str, path: Path) -> Iterator[None]:
        with self._turn:
            self.before(call, path)
            yield
            self.after()
