"""The types that a key of a configuration may have, and how strictly each is read.

Nothing is converted but a whole number to a fraction, text to a path, a duration or a size, and a list to a tuple:
``"25"`` is not 25, and true is not 1. Every hook raises ValueError with a sentence for the operator.
"""

from __future__ import annotations

import enum
import math
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin

from cattrs import Converter
from cattrs.cols import is_mapping, list_structure_factory, mapping_structure_factory

from mdacore.assembly.toml import to_toml
from mdacore.assembly.wording import did_you_mean, misfit, show
from mdacore.words import Seconds, SizeBytes, parse_seconds, parse_size

Hook = Callable[[Any, Any], Any]


def make_converter() -> Converter:
    """A converter that reads everything but attrs classes."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook(str, _str)
    converter.register_structure_hook(bool, _bool)
    converter.register_structure_hook(int, _int)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook(Seconds, _seconds)
    converter.register_structure_hook(SizeBytes, _size)
    converter.register_structure_hook(enum.Enum, _enum)
    converter.register_structure_hook_factory(_has_origin(Literal), _literal_hook)
    converter.register_structure_hook_factory(_has_origin(Union, types.UnionType), _union_hook)
    converter.register_structure_hook_factory(_is_list, _list_hook)
    converter.register_structure_hook_factory(is_mapping, _mapping_hook)
    return converter


def _str(value: object, _: object) -> str:
    if not isinstance(value, str):
        hint = "; in quotes it would be text" if isinstance(value, int | float) else ""
        raise misfit("text", value, hint)
    return value


def _bool(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise misfit("true or false", value)
    return value


def _int(value: object, _: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise misfit("a whole number", value)
    return value


def _float(value: object, _: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise misfit("a number", value)
    return float(value)


def _path(value: object, _: object) -> Path:
    if isinstance(value, Path):  # a configuration made in code
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise misfit("a path", value)
    return Path(value)


def _seconds(value: object, _: object) -> Seconds:
    if isinstance(value, str):
        return parse_seconds(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise misfit("a duration like 30, '5m' or '2h'", value)
    return Seconds(float(value))


def _size(value: object, _: object) -> SizeBytes:
    if isinstance(value, str):
        return parse_size(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise misfit("a size like 1000, '500KB' or '25MB'", value)
    return SizeBytes(value)


def _enum(value: object, cls: type[enum.Enum]) -> enum.Enum:
    return cast(enum.Enum, _choose(value, {member.value: member for member in cls}))


def _literal_hook(cls: object, _: Converter) -> Hook:
    choices = {choice: choice for choice in get_args(cls)}
    return lambda value, _: _choose(value, choices)


def _choose(value: object, choices: Mapping[Any, Any]) -> object:
    for choice, meant in choices.items():
        if type(choice) is type(value) and choice == value:
            return meant
    names = [str(choice) for choice in choices]
    hint = did_you_mean(value, names) if isinstance(value, str) else ""
    raise ValueError(f"{show(value)} is not one of {', '.join(names)}{hint}")


def _has_origin(*origins: object) -> Callable[[Any], bool]:
    return lambda cls: get_origin(cls) in origins


def _union_hook(cls: object, converter: Converter) -> Hook:
    members = [member for member in get_args(cls) if member is not types.NoneType]
    is_optional = len(members) < len(get_args(cls))

    def structure(value: object, _: object) -> Any:
        if value is None and is_optional:  # a configuration made in code: TOML has no null
            return None
        errors: list[Exception] = []
        for member in members:
            try:
                return converter.structure(value, member)
            except (ValueError, ExceptionGroup) as error:
                errors.append(error)
        if len(errors) == 1 or any(isinstance(error, ExceptionGroup) for error in errors):
            raise errors[-1]
        raise ValueError(", and ".join(str(error) for error in errors))

    return structure


def _is_list(cls: object) -> bool:
    is_pair = get_origin(cls) is tuple and get_args(cls)[-1:] != (...,)
    return get_origin(cls) in (tuple, list, frozenset, set) and not is_pair


def _list_hook(cls: Any, converter: Converter) -> Hook:
    structure_items, make = list_structure_factory(cls, converter), get_origin(cls)

    def structure(value: object, _: object) -> Any:
        if not isinstance(value, list | tuple):
            raise misfit("a list", value, f"; a list is written [{to_toml(value)}]" if isinstance(value, str) else "")
        return make(structure_items(value, cls))

    return structure


def _mapping_hook(cls: Any, converter: Converter) -> Hook:
    structure_items = mapping_structure_factory(cls, converter)

    def structure(value: object, _: object) -> Any:
        if not isinstance(value, dict):
            raise misfit("a table", value)
        return structure_items(value, cls)

    return structure
