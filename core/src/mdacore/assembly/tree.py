"""The configuration as nested tables, and where each value in it came from.

Invariant: a value that was replaced has only the origin of what replaced it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import attrs

from mdacore.assembly.toml import key_to_toml
from mdacore.words import ConfigError, Problem

KeyPath = tuple[str | int, ...]
"""Where a value stands: ``("edges", "mx", "listen", 1)`` is written ``edges.mx.listen[1]``."""

_STEP = re.compile(r'\[(\d+)\]|("(?:\\.|[^"\\])*")|([^.\[\]"]+)')
_LINE = re.compile(r":(\d+)$")


def format_path(path: KeyPath) -> str:
    """The path as an operator writes it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{key_to_toml(step)}" if text else key_to_toml(step)
    return text


def parse_path(text: str) -> KeyPath:
    """Read what `format_path` wrote."""
    return tuple(
        int(index) if index else json.loads(quoted) if quoted else bare for index, quoted, bare in _STEP.findall(text)
    )


class NotATable(Exception):
    """A path leads through a value that has nothing in it."""


@attrs.define
class Tree:
    """Tables of plain values, and the origin of each.

    Attributes:
        origins: by path: ``"mda.toml:12"``, an environment variable, an option; what has none is a default.
    """

    data: dict[str, Any] = attrs.field(factory=dict)
    origins: dict[KeyPath, str] = attrs.field(factory=dict)

    def origin(self, path: KeyPath) -> str:
        """Where the value came from, or, when nobody gave it, where the table came from that it would stand in."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return ""

    def put(self, path: tuple[str, ...], value: object, origin: str = "") -> None:
        """Set a value; tables on the way are made.

        Raises:
            NotATable: something on the way is not a table.
        """
        table = self.data
        for index, key in enumerate(path[:-1], start=1):
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise NotATable(f"{format_path(path[:index])} is not a table, so nothing in it can be set")
        table[path[-1]] = value
        for known in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[known]
        if origin:
            self.origins[path] = origin

    def has(self, path: KeyPath) -> bool:
        """Somebody, or the defaults of a service without a file, set this value."""
        return self.value(path, absent := object()) is not absent

    def value(self, path: KeyPath, default: object = None) -> Any:
        """What was set, as it was given, or `default`."""
        value: Any = self.data
        for step in path:
            is_inside = (
                step in value if isinstance(value, dict) else isinstance(value, list) and step in range(len(value))
            )
            if not is_inside:
                return default
            value = value[step]
        return value

    def names(self, table: str) -> Sequence[str]:
        """The instances in one of the tables of tables: ``names("relays")``."""
        instances = self.data.get(table)
        return tuple(instances) if isinstance(instances, dict) else ()


@attrs.define
class Report:
    """Collects what is wrong, so that an operator sees all of it at once."""

    tree: Tree = attrs.field(factory=Tree)
    problems: list[Problem] = attrs.field(factory=list)

    def add(self, path: KeyPath, text: str, *, origin: str | None = None) -> None:
        """Note a problem; its origin is looked up unless it is known better."""
        problem = Problem(format_path(path), text, self.tree.origin(path) if origin is None else origin)
        if problem not in self.problems:
            self.problems.append(problem)

    def raise_if_any(self) -> None:
        """Raises ConfigError with what has been noted, in the order of the file's lines, the rest after it."""
        if self.problems:
            raise ConfigError(sorted(self.problems, key=_place))


def _place(problem: Problem) -> tuple[float, str]:
    line = _LINE.search(problem.origin)
    return (int(line[1]), problem.key) if line else (math.inf, "")
