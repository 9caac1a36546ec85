"""What a configuration says, as data: every table read and every reference resolved. Nothing is built from it yet.

Invariant: two configurations that mean the same are equal, whatever their values' origins.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs

from mdacore.assembly.config import LogKeys, QueueKeys, ServiceKeys
from mdacore.assembly.discovery import Plugin
from mdacore.assembly.keys import keys_of
from mdacore.assembly.roles import EdgeKeys, PolicyKeys, RelayKeys, Role, StorageKeys
from mdacore.assembly.sources import ENVIRONMENT_PREFIX
from mdacore.assembly.tree import KeyPath, Tree, format_path
from mdacore.contracts import Provider
from mdacore.queue import Kind, NoticeText, Route

KeysT = TypeVar("KeysT")


@attrs.frozen(kw_only=True)
class Options:
    """What is asked for, on the command line or in code.

    Attributes:
        config: a TOML file.
        mapping: the same tables given in code, instead of a file.
        plugins: entry points by name, or modules and objects with the hooks; replaces what the configuration names.
        state: the state folder.
        overrides: ``"relays.local.path=value"``, as after ``--set``.
        environ: where ``MDACORE__...`` and the state folder's variables are looked up.
    """

    config: Path | None = None
    mapping: Mapping[str, object] | None = None
    plugins: Sequence[str | object] | None = None
    state: Path | None = None
    overrides: Sequence[str] = ()
    environ: Mapping[str, str] = attrs.field(factory=lambda: dict(os.environ), repr=False)


def without_overrides(options: Options) -> Options:
    """The same, untouched by ``MDACORE__...`` variables."""
    kept = {name: value for name, value in options.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    return attrs.evolve(options, environ=kept)


@attrs.frozen(kw_only=True)
class Value:
    """One key with its value, for people.

    Attributes:
        key: within its table: ``"tls.certificate"``.
        origin: ``"mda.toml:12"``, a variable, an option; ``""`` = the default.
        is_secret: its field has ``repr=False``; it is not to be shown.
    """

    key: str
    value: object
    origin: str = ""
    is_secret: bool = False


@attrs.frozen(kw_only=True)
class Instance(Generic[KeysT]):
    """One configured use of a kind.

    Attributes:
        keys: the core's keys of its table.
        config: the plugin's, an instance of `provider.config`.
    """

    role: Role
    name: str
    plugin: Plugin
    provider: Provider[Any, Any, Any]
    keys: KeysT
    config: Any
    values: Sequence[Value] = attrs.field(eq=False)

    @property
    def path(self) -> KeyPath:
        """Where its table stands."""
        return (self.role.value, self.name)

    @property
    def label(self) -> str:
        """``"relays.local"``: what logs and errors call it."""
        return f"{self.role.value}.{self.name}"


@attrs.frozen(kw_only=True)
class QueueInstance:
    """One queue.

    Attributes:
        routes: those of its table with the relay for the rest as the last one.
        notice_texts: the words of its notices.
    """

    name: str
    keys: QueueKeys
    routes: Sequence[Route]
    notice_texts: Mapping[Kind, NoticeText]
    values: Sequence[Value] = attrs.field(eq=False)


@attrs.frozen(kw_only=True)
class Settings:
    """The whole. Instances are in the order of the configuration.

    Attributes:
        source: the file; ``""`` without one.
        values: of the tables ``[service]`` and ``[log]``, by name.
    """

    source: str = attrs.field(eq=False)
    state_path: Path
    state_origin: str = attrs.field(eq=False)
    hostname: str
    plugins: Sequence[Plugin]
    service: ServiceKeys
    log: LogKeys
    edges: Mapping[str, Instance[EdgeKeys]]
    queues: Mapping[str, QueueInstance]
    policies: Mapping[str, Instance[PolicyKeys]]
    storages: Mapping[str, Instance[StorageKeys]]
    relays: Mapping[str, Instance[RelayKeys]]
    values: Mapping[str, Sequence[Value]] = attrs.field(eq=False)


def with_effective(values: Sequence[Value], **effective: object) -> Sequence[Value]:
    """The values with what a key that was left out turned out to mean."""
    return [attrs.evolve(value, value=effective.get(value.key, value.value)) for value in values]


def values_of(tree: Tree, table: KeyPath, *objects: Any, without: Collection[str] = ()) -> tuple[Value, ...]:
    """Every key of the objects that were read from one table, tables within it included, but for those left out."""
    return tuple(value for one in objects for value in _values(tree, table, (), one, without=without))


def _values(tree: Tree, table: KeyPath, within: KeyPath, one: Any, *, without: Collection[str] = ()) -> Iterator[Value]:
    for key in keys_of(type(one)):
        if key.name in without:
            continue
        path, value = (*within, key.name), getattr(one, key.field.name)
        if attrs.has(type(value)):
            yield from _values(tree, table, path, value)
        elif isinstance(value, tuple) and value and attrs.has(type(value[0])):
            for index, item in enumerate(value):
                yield from _values(tree, table, (*path, index), item)
        else:
            origin = tree.origin((*table, *path)) if tree.has((*table, *path)) else ""
            yield Value(key=format_path(path), value=value, origin=origin, is_secret=key.is_secret)
