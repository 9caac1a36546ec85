"""A commented configuration file for a choice of plugins: every key with its help, defaults commented out.

Invariant: what it writes means the same as the plugins without a file, and so it does with the defaults uncommented.
"""

from __future__ import annotations

import enum
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from mdacore.assembly.config import LogKeys, QueueKeys, ServiceKeys
from mdacore.assembly.configuration import place_by_default
from mdacore.assembly.defaults import with_example_route
from mdacore.assembly.gather import gather
from mdacore.assembly.keys import Key, keys_of
from mdacore.assembly.reading import Reader
from mdacore.assembly.references import check_presence
from mdacore.assembly.roles import KEYS, Role
from mdacore.assembly.settings import Options, without_overrides
from mdacore.assembly.toml import key_to_toml, to_toml
from mdacore.assembly.tree import Report

WIDTH = 100
_HEAD = """\
# The configuration of mdacore. A key that is commented out shows its default.
# `mdacore check --config FILE` proves the file, `mdacore plan --config FILE` shows what it means.
"""
_TITLES = {
    "edges": "Edges accept mail.",
    "queues": "Queues decide what is done with it, and when it is tried again.",
    "policies": "Policies look at it, and change or refuse it.",
    "storages": "Storages keep it until it is delivered.",
    "relays": "Relays deliver it, or pass it on.",
}


def write_template(options: Options) -> str:
    """The file's text, in which nothing comes from the environment. Imports the plugins; nothing else happens.

    A key that has no default is no problem in here: it is written as one to fill in.

    Raises:
        ConfigError: the choice itself cannot work: an unknown plugin, or none that offers a relay.
    """
    report = Report()
    gathered = gather(without_overrides(options), report)
    check_presence(report, is_default=True)
    report.raise_if_any()
    place_by_default(Reader(gathered, Report()), options)
    tables = with_example_route(gathered.tree)
    lines = [_HEAD, f"plugins = {to_toml(gathered.tree.data['plugins'])}", ""]
    for name, cls in (("service", ServiceKeys), ("log", LogKeys)):
        lines += [*_table((name,), [cls], tables.get(name, {})), ""]
    for table, title in _TITLES.items():
        lines += ["", f"# {title}", ""] if tables.get(table) else []
        for name, given in tables.get(table, {}).items():
            lines += [*_table((table, name), _classes(table, given, gathered.discovery.kinds), given), ""]
    return "\n".join(lines).rstrip() + "\n"


def _classes(table: str, given: Mapping[str, Any], kinds: Any) -> Sequence[type]:
    if table == "queues":
        return [QueueKeys]
    _, provider = kinds(Role(table))[given["kind"]]
    return [KEYS[Role(table)], provider.config]


def _table(path: tuple[str, ...], classes: Sequence[Any], given: Mapping[str, Any]) -> Iterator[str]:
    yield f"[{_dotted(path)}]"
    yield from _keys(path, [key for cls in classes for key in keys_of(cls)], given)


def _keys(path: tuple[str, ...], keys: Sequence[Key], given: Mapping[str, Any]) -> Iterator[str]:
    for key in keys:
        if _table_class(key.type) is None:
            yield from _help(key)
            yield _key(key, given)
    for key in keys:  # a table ends the keys before it
        if _table_class(key.type) is not None:
            yield ""
            yield from _help(key)
            yield from _inner_table((*path, key.name), key, given.get(key.name))


def _inner_table(path: tuple[str, ...], key: Key, given: Any) -> Iterator[str]:
    keys, is_array = keys_of(_table_class(key.type)), get_origin(key.type) is tuple
    head = f"[[{_dotted(path)}]]" if is_array else f"[{_dotted(path)}]"
    if given is None:  # with an indent: its keys are nothing without its head
        yield f"#   {head}"
        for inner in keys:
            yield from (f"#   {line}" for line in (*_help(inner), _key(inner, {}).removeprefix("# ")))
        return
    for table in given if is_array else [given]:
        yield head
        yield from _keys(path, keys, table)


def _key(key: Key, given: Mapping[str, Any]) -> str:
    name = key_to_toml(key.name)
    if key.name in given:
        return f"{name} = {to_toml(given[key.name])}"
    if key.is_required:
        return f"# {name} = ...  # must be set"
    return f"# {name} = ...  # not set" if key.default is None else f"# {name} = {to_toml(key.default)}"


def _help(key: Key) -> Iterator[str]:
    choices = _choices(key.type)
    text = f"{key.help} One of: {', '.join(choices)}.".strip() if choices else key.help
    yield from textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _choices(cls: Any) -> Sequence[str]:
    if get_origin(cls) is Literal:
        return [str(choice) for choice in get_args(cls)]
    return [str(member.value) for member in cls] if isinstance(cls, type) and issubclass(cls, enum.Enum) else []


def _table_class(cls: Any) -> Any:
    """The attrs class behind ``Tls``, ``Tls | None`` and ``tuple[Tls, ...]``; None for any other type."""
    if get_origin(cls) in (Union, types.UnionType, tuple):
        members = [member for member in get_args(cls) if member not in (types.NoneType, ...)]
        return _table_class(members[0]) if len(members) == 1 else None
    return cls if isinstance(cls, type) and attrs.has(cls) else None


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(map(key_to_toml, path))
