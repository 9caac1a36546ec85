"""The pages of an SQLite file with its write-ahead log, read without SQLite, which gives up at the first damage.

What the format is: https://www.sqlite.org/fileformat2.html (§1 the file, §4 the log).

Invariant: reading never fails for what is in the files: a page that cannot be had is None, and a log is believed up to
its last whole commit.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from mdacore_storage_shelve.schema import PAGE_SIZE_BYTES, wal_of

MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = struct.Struct(">16sHBBBBBBIIII")
_LOG_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")
_LOG_MAGICS: Final = {0x377F0682: "<", 0x377F0683: ">"}
_WORDS: Final = PAGE_SIZE_BYTES // 4


class Pages:
    """The newest committed pages of one database, by number from 1. Blocks on the disk."""

    def __init__(self, database: Path) -> None:
        """Raises OSError."""
        self._fd = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
        self._log = -1
        self._frames: Mapping[int, int] = {}
        try:
            self._open_log(wal_of(database))
        except BaseException:
            self.close()
            raise
        in_file = os.fstat(self._fd).st_size // PAGE_SIZE_BYTES
        self.count = max(in_file, *self._frames, 0)

    def close(self) -> None:
        """Let go of the files."""
        for fd in (self._fd, self._log):
            if fd >= 0:
                os.close(fd)

    def page(self, number: int) -> bytes | None:
        """The octets of one page; None = there is no such page, or the disk does not give it."""
        offset = self._frames.get(number)
        try:
            if offset is not None:
                found = os.pread(self._log, PAGE_SIZE_BYTES, offset)
            else:
                found = os.pread(self._fd, PAGE_SIZE_BYTES, (number - 1) * PAGE_SIZE_BYTES) if number > 0 else b""
        except OSError:
            return None
        return found if len(found) == PAGE_SIZE_BYTES else None

    @property
    def has_header(self) -> bool:
        """The first page begins as that of a database does."""
        first = self.page(1)
        return first is not None and first.startswith(MAGIC)

    def free(self) -> set[int] | None:
        """The pages that are in no use; None = that is not known."""
        first = self.page(1)
        if first is None or not self.has_header:
            return None
        *_, trunk, expected = _HEADER.unpack_from(first)
        found: set[int] = set()
        while trunk:
            page = self.page(trunk)
            if page is None or trunk in found:
                return None
            found.add(trunk)
            trunk, length = struct.unpack_from(">II", page)
            if length > _WORDS - 2:
                return None
            found.update(struct.unpack_from(f">{length}I", page, 8))
        return found if len(found) == expected else None

    def _open_log(self, path: Path) -> None:
        try:
            self._log = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        self._frames = self._committed(os.fstat(self._log).st_size)

    def _committed(self, size_bytes: int) -> dict[int, int]:
        frames: dict[int, int] = {}
        waiting: dict[int, int] = {}
        for number, offset, is_commit in self._whole_frames(size_bytes):
            waiting[number] = offset
            if is_commit:
                frames |= waiting
                waiting = {}
        return frames

    def _whole_frames(self, size_bytes: int) -> Iterator[tuple[int, int, bool]]:
        """Page number, where the page is, and whether it ends a commit, as far as the checksums are right."""
        head = os.pread(self._log, _LOG_HEADER.size, 0)
        if len(head) < _LOG_HEADER.size:
            return
        magic, _, page_size, _, *salts_and_sums = _LOG_HEADER.unpack(head)
        salts, sums = salts_and_sums[:2], tuple(salts_and_sums[2:])
        order = _LOG_MAGICS.get(magic)
        if order is None or page_size != PAGE_SIZE_BYTES or sums != _summed(head[:24], order, (0, 0)):
            return
        for offset in range(_LOG_HEADER.size, size_bytes, _FRAME_HEADER.size + PAGE_SIZE_BYTES):
            frame = os.pread(self._log, _FRAME_HEADER.size + PAGE_SIZE_BYTES, offset)
            if len(frame) < _FRAME_HEADER.size + PAGE_SIZE_BYTES:
                return
            number, pages_after, *rest = _FRAME_HEADER.unpack_from(frame)
            sums = _summed(frame[_FRAME_HEADER.size :], order, _summed(frame[:8], order, sums))
            if rest != [*salts, *sums]:
                return
            yield number, offset + _FRAME_HEADER.size, pages_after > 0


def _summed(octets: bytes, order: str, sums: tuple[int, ...]) -> tuple[int, int]:
    """The log's checksum, going on from `sums`."""
    one, two = sums
    words = struct.unpack(f"{order}{len(octets) // 4}I", octets)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return one, two
