"""The rows of an SQLite table, page by page, also where a part of the table is damaged. Without SQLite; see `pages`.

Invariant: a row is given as it was stored or not at all, as far as its own page can tell: whoever gets it looks at its
checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import attrs

from mdacore_storage_shelve.pages import Pages
from mdacore_storage_shelve.schema import PAGE_SIZE_BYTES

Value = int | float | str | bytes | None

_INTERIOR: Final = 5
_LEAF: Final = 13
_MAX_LOCAL: Final = PAGE_SIZE_BYTES - 35
_MIN_LOCAL: Final = (PAGE_SIZE_BYTES - 12) * 32 // 255 - 23
_OVERFLOW: Final = PAGE_SIZE_BYTES - 4
_MAX_ROW_BYTES: Final = 2**30
_CONSTANTS: Final[Mapping[int, Value]] = {0: None, 8: 0, 9: 1}
_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Damage(Exception):
    """What is here is not what SQLite writes."""


class Row(NamedTuple):
    """One row; the column that is the row's number is None in `values`."""

    number: int
    values: tuple[Value, ...]


@attrs.define
class Table:
    """One table.

    Attributes:
        seen: the pages that were visited.
        damaged: those of them that are no pages of a table, or have a row that cannot be read.
    """

    pages: Pages
    seen: set[int] = attrs.field(factory=set)
    damaged: set[int] = attrs.field(factory=set)

    def rows(self, root: int) -> Iterator[Row]:
        """The rows under this page, as far as they can be reached."""
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if number in self.seen:
                self.damaged.add(number)
                continue
            self.seen.add(number)
            try:
                is_leaf, cells, page = self._cells(number)
                if not is_leaf:
                    waiting += reversed(
                        [*(struct.unpack_from(">I", page, at)[0] for at in cells), _rightmost(page, number)]
                    )
            except (Damage, struct.error):
                self.damaged.add(number)
                continue
            if is_leaf:
                yield from self._rows_of(number, page, cells)

    def rows_of_page(self, number: int) -> Iterator[Row]:
        """The rows of this page alone, if it is one that holds rows."""
        try:
            is_leaf, cells, page = self._cells(number)
        except (Damage, struct.error):
            return
        if is_leaf:
            yield from self._rows_of(number, page, cells)

    def _cells(self, number: int) -> tuple[bool, tuple[int, ...], bytes]:
        page = self.pages.page(number)
        if page is None:
            raise Damage
        start = 100 if number == 1 else 0
        kind, _, count = struct.unpack_from(">BHH", page, start)
        if kind not in (_INTERIOR, _LEAF):
            raise Damage
        head = start + (8 if kind == _LEAF else 12)
        cells = struct.unpack_from(f">{count}H", page, head)
        if any(at < head for at in cells):
            raise Damage
        return kind == _LEAF, cells, page

    def _rows_of(self, number: int, page: bytes, cells: tuple[int, ...]) -> Iterator[Row]:
        for at in cells:
            try:
                yield self._row(page, at)
            except (Damage, struct.error, IndexError, UnicodeDecodeError):
                self.damaged.add(number)

    def _row(self, page: bytes, at: int) -> Row:
        size_bytes, at = _varint(page, at)
        row_number, at = _varint(page, at)
        if size_bytes > _MAX_ROW_BYTES:
            raise Damage
        local = _local(size_bytes)
        octets = page[at : at + local]
        if local < size_bytes:
            (following,) = struct.unpack_from(">I", page, at + local)
            octets += self._overflow(following, size_bytes - local)
        if len(octets) != size_bytes:
            raise Damage
        return Row(row_number, tuple(_values(octets)))

    def _overflow(self, number: int, size_bytes: int) -> bytes:
        pieces, left = [], size_bytes
        while left > 0:
            page = self.pages.page(number)
            if page is None:
                raise Damage
            (number,) = struct.unpack_from(">I", page)
            pieces.append(page[4 : 4 + min(left, _OVERFLOW)])
            left -= _OVERFLOW
        return b"".join(pieces)


def _rightmost(page: bytes, number: int) -> int:
    (found,) = struct.unpack_from(">I", page, 108 if number == 1 else 8)
    return int(found)


def _local(size_bytes: int) -> int:
    """How much of a row is on its page (fileformat2 §1.6)."""
    if size_bytes <= _MAX_LOCAL:
        return size_bytes
    local = _MIN_LOCAL + (size_bytes - _MIN_LOCAL) % _OVERFLOW
    return local if local <= _MAX_LOCAL else _MIN_LOCAL


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(8):
        octet = octets[at + place]
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            return value, at + place + 1
    return value << 8 | octets[at + 8], at + 9


def _values(octets: bytes) -> Iterator[Value]:
    head, at = _varint(octets, 0)
    data = head
    while at < head:
        kind, at = _varint(octets, at)
        if kind in _INTEGER_BYTES:
            size = _INTEGER_BYTES[kind]
            yield int.from_bytes(octets[data : data + size], "big", signed=True)
        elif kind == 7:
            size = 8
            yield struct.unpack_from(">d", octets, data)[0]
        elif kind >= 12:
            size = (kind - 12) // 2
            value = octets[data : data + size]
            if len(value) != size:
                raise Damage
            yield value.decode() if kind % 2 else value
        elif kind in _CONSTANTS:
            size = 0
            yield _CONSTANTS[kind]
        else:
            raise Damage
        data += size
