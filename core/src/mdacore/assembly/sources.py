"""Where a configuration comes from: a TOML file, environment variables, options of the command line.

Each later one wins over those before it. What the values mean is not known in here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from mdacore.assembly.lines import find_lines
from mdacore.assembly.tree import KeyPath, NotATable, Report, Tree
from mdacore.words import ConfigError, Problem

ENVIRONMENT_PREFIX = "MDACORE__"
MAX_FILE_BYTES = 1_048_576
_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@attrs.frozen(kw_only=True)
class Override:
    """One value that replaces what a file says.

    Attributes:
        is_folded: the keys came in upper case and name what they fit: ``MY_RELAY`` is ``my-relay`` where that exists.
    """

    path: tuple[str, ...]
    value: object
    origin: str
    is_folded: bool = False


def read_file(path: Path) -> Tree:
    """Read a TOML file. Each value's origin is ``"<path>:<line>"``, the path as it was given.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    text = _read_text(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(path, text, str(error))]) from error
    lines = find_lines(text)
    return Tree(data, {(): str(path), **{key: f"{path}:{line}" for key, line in lines.items()}})


def from_mapping(mapping: Mapping[str, object]) -> Tree:
    """The same tables given in code; what was given is copied."""
    data: dict[str, Any] = {key: _plain(value) for key, value in mapping.items()}
    return Tree(data, dict.fromkeys(((), *_table_paths(data, ())), "mapping"))


def from_environment(environ: Mapping[str, str], report: Report) -> Iterator[Override]:
    """``MDACORE__RELAYS__LOCAL__PATH=value``, by name."""
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX):
            path = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
            if all(path):
                yield Override(path=path, value=_read_value(environ[name]), origin=name, is_folded=True)
            else:
                report.add((), f"a part of the name is empty; write {ENVIRONMENT_PREFIX}TABLE__NAME__KEY", origin=name)


def from_options(settings: Iterable[str], report: Report) -> Iterator[Override]:
    """``relays.local.path=value``, as given to ``--set``."""
    for setting in settings:
        key, equals, value = setting.partition("=")
        path = _read_key(key)
        if equals and path:
            yield Override(path=path, value=_read_value(value), origin="--set")
        else:
            report.add((), f"{setting!r} is not like relays.local.path=value", origin="--set")


def apply(overrides: Iterable[Override], tree: Tree, report: Report) -> None:
    """Put the values into the tree, in their order."""
    for override in overrides:
        path = _fold_onto(tree.data, override.path) if override.is_folded else override.path
        try:
            tree.put(path, override.value, override.origin)
        except NotATable as error:
            report.add(path, str(error), origin=override.origin)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise _unreadable(path, f"cannot be read: {error}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise _unreadable(path, f"is larger than {MAX_FILE_BYTES} bytes: is it the right file?")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise _unreadable(path, "begins with a byte order mark: save it as UTF-8 without one", line=1)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, f"is not UTF-8: byte 0x{raw[error.start]:02x}", line=line) from error


def _unreadable(path: Path, text: str, *, line: int | None = None) -> ConfigError:
    return ConfigError([Problem("", text, f"{path}:{line}" if line else str(path))])


def _syntax_problem(path: Path, text: str, message: str) -> Problem:
    position = _POSITION.search(message)
    line = int(position[1]) if position and position[1] else text.count("\n") + 1
    return Problem("", f"not TOML: {_POSITION.sub('', message)}", f"{path}:{line}")


def _read_value(text: str) -> object:
    """The value as TOML (``25``, ``true``, ``["a"]``), and what is not TOML as it stands."""
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text


def _read_key(text: str) -> tuple[str, ...]:
    try:
        table: Any = tomllib.loads(f"{text} = true")
    except tomllib.TOMLDecodeError:
        return ()
    path: tuple[str, ...] = ()
    while isinstance(table, dict) and len(table) == 1:
        ((key, table),) = table.items()
        path = (*path, key)
    return path if table is True else ()


def _fold_onto(table: object, path: tuple[str, ...]) -> tuple[str, ...]:
    """The path with each key spelt as in the tables, where a key there fits it."""
    found: tuple[str, ...] = ()
    for key in path:
        keys = table if isinstance(table, dict) else {}
        if key not in keys:
            key = next((known for known in keys if known.lower().replace("-", "_") == key), key)
        table = keys.get(key)
        found = (*found, key)
    return found


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _table_paths(value: object, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _table_paths(inner, (*path, key))
