"""IncomingBody: the octets of one message as they arrive, in memory and past a threshold in a file.

Invariants: with a folder to spill to, memory holds at most the threshold and one piece, and no more than one piece
while the budget of all messages is exceeded; after `discard` there is no file, and nothing is held.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path

from mdacore import Body, FileBody, MemoryBody
from mdacore_edge_smtp.memory import MemoryBudget
from mdacore_edge_smtp.spool_file import SpoolFile

HEAD_SIZE_BYTES = 65_536


class IncomingBody:
    """Collects one message's body. A file is its own until `discard`, also after `finish`.

    Attributes:
        head: once finished, the message's beginning: all of a body in memory, `HEAD_SIZE_BYTES` of one in a file.
    """

    def __init__(self, spool_path: Path | None, threshold_bytes: int, budget: MemoryBudget | None = None) -> None:
        self._spool_path = spool_path
        self._threshold_bytes = threshold_bytes
        self._budget = budget or MemoryBudget(sys.maxsize)
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._file: SpoolFile | None = None
        self._failure: OSError | None = None
        self.head = b""

    def write(self, octets: bytes) -> None:
        """Take the next piece. May block on the disk; once that has failed, the rest is only swallowed."""
        if self._failure is not None:
            return
        self._pieces.append(octets)
        self._held_bytes += len(octets)
        self._budget.held_bytes += len(octets)
        if self._held_bytes > self._threshold_bytes or self._budget.is_exceeded:
            self._make_room()

    def finish(self) -> Body:
        """The whole body; a file is complete and closed then, but not synced. May block on the disk.

        Raises:
            OSError: the disk failed, now or earlier.
        """
        if self._failure is not None:
            raise self._failure
        if self._file is None:
            self.head = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            return MemoryBody(self.head)
        self._file.append(self._pieces)
        return FileBody(self._file.path, self._file.size_bytes)

    def discard(self) -> None:
        """Forget everything and remove the file. Idempotent."""
        self._let_go()
        file, self._file = self._file, None
        if file is not None:
            file.remove()

    def _make_room(self) -> None:
        if self._spool_path is not None:
            try:
                self._spill(self._spool_path)
            except OSError as error:
                self._give_up(error)
        elif self._budget.is_exceeded:
            self._give_up(OSError(errno.ENOSPC, "no memory left for messages, and no folder to put them in"))

    def _spill(self, folder: Path) -> None:
        if self._file is None:
            self.head = b"".join(self._pieces)[:HEAD_SIZE_BYTES]
            self._file = SpoolFile(folder)
        self._file.append(self._pieces)
        self._let_go()

    def _give_up(self, error: OSError) -> None:
        self._failure = error
        self._let_go()

    def _let_go(self) -> None:
        self._budget.held_bytes -= self._held_bytes
        self._pieces, self._held_bytes = [], 0
