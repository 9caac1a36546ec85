"""SocketFile: the name of the control socket in the file system.

Invariants: two live processes never have one name; only a socket is ever removed; nobody can connect before the
socket's mode is 0600.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gevent import socket

from mdacore.service.pid_file import PidFile

BACKLOG: Final = 64
_MODE: Final = 0o600
_MAX_ADDRESS_BYTES: Final = 100
"""Linux takes 107; other systems fewer."""


class SocketFile:
    """Held from `listen` to `remove`, by a pid file beside it: a dead process holds none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._holder = PidFile(path.with_name(f"{path.name}.pid"))

    def listen(self) -> socket.socket:
        """A socket that listens there. Raises OSError: another process holds it, or it is something else."""
        self._holder.start()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._remove_stale()
            with address_of(self._path) as address:
                listener.bind(address)
            self._path.chmod(_MODE)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            self._holder.stop()
            raise
        return listener

    def remove(self) -> None:
        """Take the name away. Idempotent; raises OSError."""
        try:
            self._remove_stale()
        finally:
            self._holder.stop()

    def _remove_stale(self) -> None:
        try:
            is_socket = stat.S_ISSOCK(self._path.lstat().st_mode)
        except FileNotFoundError:
            return
        if not is_socket:
            raise FileExistsError(f"{self._path} is there already, and is not a socket")
        self._path.unlink()


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """An address of this path that is short enough for the system. Raises OSError."""
    if len(os.fsencode(path)) <= _MAX_ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
