"""Values and tables written as TOML: for `mdacore plan`, `mdacore init` and examples in messages. Pure.

Only what a configuration may hold is known in here; comments and layout belong to whoever writes a whole file.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(value: object) -> str:
    """One value on one line. Secrets in nested tables are not hidden: hide before."""
    if isinstance(value, enum.Enum):
        return to_toml(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if value == int(value) and abs(value) < 1e6 else str(value)
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if attrs.has(type(value)):
        return to_toml({field.alias: getattr(value, field.name) for field in attrs.fields(type(value))})  # type: ignore[arg-type] # attrs.has does not narrow
    if isinstance(value, Mapping):
        pairs = [f"{key_to_toml(key)} = {to_toml(inner)}" for key, inner in value.items() if inner is not None]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    return f"[{', '.join(to_toml(item) for item in value)}]"  # type: ignore[attr-defined] # what is left is a sequence


def key_to_toml(key: str) -> str:
    """A key, in quotes where it needs them."""
    return key if _BARE_KEY.fullmatch(key) else to_toml(key)


def to_tables(tables: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """The lines of a file with these tables of tables; a list of tables becomes ``[[path]]``."""
    plain = {key: value for key, value in tables.items() if not _is_table(value)}
    if path and plain:
        yield f"[{'.'.join(map(key_to_toml, path))}]"
    yield from (f"{key_to_toml(key)} = {to_toml(value)}" for key, value in plain.items())
    if plain:
        yield ""
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from to_tables(value, (*path, key))
        elif _is_table(value):
            for item in value:
                yield f"[[{'.'.join(map(key_to_toml, (*path, key)))}]]"
                yield from to_tables(item)


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
