"""SpoolFile: one body on its way to the storage, in the queue's spool folder.

The disk is written in gevent's thread pool. Invariant: the name is known before anything can interrupt, so `remove`
leaves nothing behind, also while a write that nobody waits for any more is still running.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gevent import get_hub


class SpoolFile:
    """A file of its own: a name that nobody had, mode 0600, never followed through a symlink.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix="edge-", suffix=".body")
        os.close(descriptor)
        self.path = Path(name)
        self.size_bytes = 0

    def append(self, pieces: Sequence[bytes]) -> None:
        """Write these at the end. Blocks this greenlet only; nothing is synced; raises OSError."""
        self.size_bytes += sum(map(len, pieces))
        failure = get_hub().threadpool.apply(_append, (self.path, pieces))
        if failure is not None:
            raise failure

    def remove(self) -> None:
        """Remove it. Idempotent. One that cannot be removed is left to the storage, which sweeps its folder."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def _append(path: Path, pieces: Sequence[bytes]) -> OSError | None:
    """In the pool's thread. Without O_CREAT: a file that was removed meanwhile is not made again.

    The error is returned, since the pool prints whatever a job raises.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC), "wb") as file:
            file.writelines(pieces)
    except OSError as error:
        return error
    return None
