"""A message's octets on their way in: in memory while they are few, else in a file beside the storage."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import gevent

from mdacore.words import Body, FileBody, MemoryBody

IN_MEMORY_MAX_BYTES: Final = 262_144


@contextmanager
def received_body(pieces: Iterable[bytes], size_bytes: int, spool_path: Path | None) -> Iterator[Body]:
    """The octets as a body, for as long as the context lasts. Raises OSError, and what `pieces` raises.

    Blocks this greenlet only. `spool_path` None: a file in the system's folder for temporary files.
    """
    if size_bytes <= IN_MEMORY_MAX_BYTES:
        yield MemoryBody(b"".join(pieces))
        return
    fd, name = tempfile.mkstemp(dir=spool_path, prefix="import-")
    try:
        with os.fdopen(fd, "wb") as file:
            for piece in pieces:
                gevent.get_hub().threadpool.apply(file.write, (piece,))
        yield FileBody(Path(name), size_bytes)
    finally:
        Path(name).unlink(missing_ok=True)
