"""On which line of a TOML file each key stands, which tomllib does not tell.

Only statements are told apart in here (strings, brackets, comments, ends of lines); their keys are read by tomllib.
The text must be valid TOML: for any other the answer is meaningless, though it is still an answer.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import attrs

from mdacore.assembly.tree import KeyPath

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'  # a string of many lines may end in up to two quotes of its own
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[{]|[\]}]|\n|[^\"'\#\[\]{}\n]+|.",
    re.DOTALL,
)


def find_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of each table and key."""
    finder = _Finder()
    for line, statement in _statements(text):
        finder.add(line, statement)
    return finder.lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    line, first_line, depth, pieces = 1, 1, 0, list[str]()
    for match in _TOKEN.finditer(text + "\n"):
        found = match[0]
        if found == "\n" and depth <= 0:
            if statement := "".join(pieces).strip():
                yield first_line, statement
            pieces, first_line, depth = [], line + 1, 0
        elif not found.startswith("#"):
            pieces.append(found)
            depth += (found in "[{") - (found in "]}")
        line += found.count("\n")


@attrs.define
class _Finder:
    lines: dict[KeyPath, int] = attrs.field(factory=dict)
    _table: KeyPath = ()
    _last_index: dict[KeyPath, int] = attrs.field(factory=dict)

    def add(self, line: int, statement: str) -> None:
        """Take the next statement: a table's head, or a key and its value."""
        if statement.startswith("[["):
            array = self._resolve(
                _only_path(tomllib.loads(statement.removeprefix("[").removesuffix("]"))), to_array=True
            )
            self._last_index[array] = self._last_index.get(array, -1) + 1
            self._table = (*array, self._last_index[array])
        elif statement.startswith("["):
            self._table = self._resolve(_only_path(tomllib.loads(statement)))
        else:
            for path in _all_paths(tomllib.loads(statement)):
                self._note((*self._table, *path), line)
            return
        self._note(self._table, line)

    def _note(self, path: KeyPath, line: int) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def _resolve(self, keys: KeyPath, *, to_array: bool = False) -> KeyPath:
        path: KeyPath = ()
        for index, key in enumerate(keys, start=1):
            path = (*path, key)
            if path in self._last_index and not (to_array and index == len(keys)):
                path = (*path, self._last_index[path])
        return path


def _only_path(table: dict[str, Any]) -> KeyPath:
    path: KeyPath = ()
    while table:
        ((key, table),) = table.items()
        path = (*path, key)
    return path


def _all_paths(value: object) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (key,)
            for path in _all_paths(inner):
                yield (key, *path)
