"""Salvage: from what can be read of a damaged database to a sound one. What is done with the files is in `recovery`.

A message is taken as it is, with its state and its progress; one that misses a part is set aside. Where a table's pages
cannot all be reached from its first one, the others are looked for in the whole file, and only what has a right
checksum is taken.

Invariant: nothing is taken from a page that is known to be free, so that nobody gets again what was delivered.
"""

from __future__ import annotations

import math
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, cast

import attrs

from mdacore import MemoryBody
from mdacore_storage_shelve import schema
from mdacore_storage_shelve.bodies import BodyFiles
from mdacore_storage_shelve.ids import MAX_NUMBER
from mdacore_storage_shelve.pages import Pages
from mdacore_storage_shelve.record import RecordError, decode_envelope, decode_progress
from mdacore_storage_shelve.rows import Row, Table, Value

ROWS_A_COMMIT: Final = 500
BODY_LOST: Final = "the body is missing or damaged"
_STATES: Final = range(5)
_MAX_RUN: Final = 2**30
_NULL: Final = type(None)
_MESSAGE_TYPES: Final[Sequence[tuple[type, ...]]] = (
    (_NULL,),  # its number
    (str,),
    (str,),
    (int, float),
    *[(int,), (str,)],
    *[(int,)] * 6,
    (bytes,),
    (bytes, _NULL),
)
"""Of the columns of `message`."""


@attrs.define(kw_only=True)
class Salvaged:
    """What was found besides the rows.

    Attributes:
        store: the row of `store`: UUID, next number and run; None = it cannot be read.
        damaged_pages: how many pages cannot be read, as far as it is known.
        has_stale: which pages are free is not known, so something that was over may have been found again.
    """

    store: tuple[str, int, int] | None = None
    damaged_pages: int = 0
    has_stale: bool = False


class Salvage:
    """Fills a database with what it finds in another one's pages."""

    def __init__(self, pages: Pages, target: sqlite3.Connection, *, keeps_bodies: bool) -> None:
        """`keeps_bodies`: False = the bodies are only looked at."""
        self._pages = pages
        self._target = target
        self._keeps_bodies = keeps_bodies
        self._roots = self._find_roots()
        self.found = Salvaged()

    def run(self) -> Salvaged:
        """Take all in. Raises sqlite3.Error: the target could not be filled."""
        self.found.store = self._store_row()
        bodies, messages = Table(self._pages), Table(self._pages)
        self._insert("INSERT OR IGNORE INTO body VALUES (?, ?, ?)", self._bodies(bodies.rows(self._roots["body"])))
        self._insert(_INSERT_MESSAGE, self._messages(messages.rows(self._roots["message"])))
        if bodies.damaged or messages.damaged:
            self._search(bodies.seen | messages.seen)
        self.found.damaged_pages = len(bodies.damaged | messages.damaged)
        return self.found

    def _find_roots(self) -> dict[str, int]:
        """Where the tables begin: as their schema says, or as in every database that this storage makes."""
        roots = dict(schema.root_pages())
        for row in Table(self._pages).rows(1):
            match row.values:
                case ["table", str() as name, _, int() as root, *_] if name in roots:
                    roots[name] = root
        return roots

    def _store_row(self) -> tuple[str, int, int] | None:
        for row in Table(self._pages).rows(self._roots["store"]):
            match row.values:
                case [str() as store_id, int() as next_id, int() as run] if _is_number(next_id) and 0 <= run < _MAX_RUN:
                    return store_id, next_id, run
        return None

    def _search(self, seen: set[int]) -> None:
        """Look for rows in all pages that were not reached."""
        free = self._pages.free()
        self.found.has_stale = free is None
        left = [
            number for number in range(1, self._pages.count + 1) if number not in seen and number not in (free or ())
        ]
        table = Table(self._pages)
        self._insert(
            "INSERT OR IGNORE INTO body VALUES (?, ?, ?)",
            self._bodies(row for number in left for row in table.rows_of_page(number)),
        )
        self._insert(
            _INSERT_MESSAGE,
            self._messages(row for number in left for row in table.rows_of_page(number) if _is_sealed(row)),
        )

    def _bodies(self, rows: Iterator[Row]) -> Iterator[tuple[Value, ...]]:
        for row in rows:
            match row.values:
                case [None, int() as crc, bytes() as data] if zlib.crc32(data) == crc and _is_number(row.number):
                    yield row.number, crc, data if self._keeps_bodies else b""

    def _messages(self, rows: Iterator[Row]) -> Iterator[tuple[Value, ...]]:
        for row in rows:
            is_message = len(row.values) == len(_MESSAGE_TYPES) and all(map(_is_of, row.values, _MESSAGE_TYPES))
            if is_message and _is_number(row.number):
                yield _checked(row)

    def _insert(self, statement: str, rows: Iterator[tuple[Value, ...]]) -> None:
        execute = self._target.execute
        execute("BEGIN")
        for count, row in enumerate(rows, 1):
            execute(statement, row)
            if count % ROWS_A_COMMIT == 0:
                execute("COMMIT")
                execute("BEGIN")
        execute("COMMIT")


_INSERT_MESSAGE: Final = "INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _checked(row: Row) -> tuple[Value, ...]:
    """The row as it is to be stored: set aside if its records are damaged."""
    _, *values = row.values
    state, envelope, progress = values[3], cast(bytes, values[11]), cast(bytes | None, values[12])
    try:
        decode_envelope(envelope, MemoryBody(b""))
        decode_progress(progress)
    except RecordError as error:
        state, values[4] = schema.ASIDE, str(error)
    if state not in _STATES:
        state, values[4] = schema.ASIDE, "its state is damaged"
    if not math.isfinite(cast(float, values[2])):
        values[2], state, values[4] = 0.0, schema.ASIDE, "its due time is damaged"
    values[3] = state
    return row.number, *values


def _is_of(value: Value, types: tuple[type, ...]) -> bool:
    return isinstance(value, types)


def _is_number(number: int) -> bool:
    return 0 < number <= MAX_NUMBER


def _is_sealed(row: Row) -> bool:
    """Its envelope's record is whole."""
    try:
        decode_envelope(cast(bytes, row.values[12]), MemoryBody(b""))
    except (RecordError, IndexError):
        return False
    return True


def set_aside_incomplete(target: sqlite3.Connection, files: BodyFiles) -> None:
    """Set aside the messages whose bodies are gone. Raises sqlite3.Error, OSError."""
    lost = "SELECT id FROM message WHERE NOT body_is_file AND body NOT IN (SELECT id FROM body)"
    numbers = [number for (number,) in target.execute(lost)]
    for number, body, size_bytes in target.execute("SELECT id, body, body_size FROM message WHERE body_is_file"):
        path = files.path(body)
        if not path.is_file() or path.stat().st_size != size_bytes:
            numbers.append(number)
    held = f"UPDATE message SET state = {schema.ASIDE}, held = ? WHERE id = ? AND state <> {schema.ASIDE}"  # noqa: S608 - a constant
    target.executemany(held, [(BODY_LOST, number) for number in numbers])


def take_ownerless(target: sqlite3.Connection) -> list[int]:
    """Remove the bodies that no message uses: their messages' rows are lost. Gives their numbers."""
    unused = """
        FROM body WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.id = body.id)
        AND NOT EXISTS (SELECT 1 FROM message WHERE message.body = body.id AND message.body <> message.id)"""
    numbers = [number for (number,) in target.execute(f"SELECT id {unused}")]
    target.execute(f"DELETE {unused}")
    return numbers
