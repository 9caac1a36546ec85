"""The second half of reading a configuration: every table read into its class.

What is wrong in one place is noted and does not keep the rest from being read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import attrs

from mdacore.assembly.config import INSTANCE_NAME, TOP_LEVEL_KEYS, QueueKeys
from mdacore.assembly.discovery import Plugin
from mdacore.assembly.gather import Gathered
from mdacore.assembly.guard import PluginFault, guard
from mdacore.assembly.roles import KEYS, Role, core_keys
from mdacore.assembly.settings import Instance, values_of
from mdacore.assembly.structure import Mistakes, Structurer
from mdacore.assembly.tree import KeyPath, Report
from mdacore.assembly.wording import show, suggest
from mdacore.contracts import Provider

T = TypeVar("T")


@attrs.define
class Reader:
    """Reads the tables of one configuration. What it gives is whole; what could not be read is missing in it."""

    gathered: Gathered
    report: Report
    _structurer: Structurer = attrs.field(factory=Structurer)

    def check_top_level(self) -> None:
        """Note keys and tables that nobody knows."""
        for key in self.gathered.tree.data:
            if key not in TOP_LEVEL_KEYS:
                self.report.add((key,), f"unknown key{suggest(key, TOP_LEVEL_KEYS)}")

    def core_table(self, cls: type[T], name: str) -> T:
        """A table of the core; all defaults if it is not there or cannot be read."""
        return self._structure(cls, self.gathered.tree.data.get(name, {}), (name,)) or cls()

    def queues(self) -> Mapping[str, QueueKeys]:
        """``[queues.<name>]``, by name."""
        read = {name: self._structure(QueueKeys, table, ("queues", name)) for name, table in self._tables("queues")}
        return {name: keys for name, keys in read.items() if keys is not None}

    def instances(self, role: Role) -> Mapping[str, Instance[Any]]:
        """``[<role>.<name>]``, by name."""
        read = {name: self._instance(role, name, table) for name, table in self._tables(role.value)}
        return {name: instance for name, instance in read.items() if instance is not None}

    def _tables(self, table: str) -> Collection[tuple[str, dict[str, Any]]]:
        found: list[tuple[str, dict[str, Any]]] = []
        named = self.gathered.tree.data.get(table, {})
        if not isinstance(named, dict):
            self.report.add((table,), f"expected tables like [{table}.<name>], got {show(named)}")
            return ()
        for name, value in named.items():
            if not INSTANCE_NAME.fullmatch(name):
                self.report.add((table, name), "a name is of letters, digits, _ and -, and begins with a letter")
            elif not isinstance(value, dict):
                self.report.add((table, name), f"expected a table [{table}.<name>], got {show(value)}")
            else:
                found.append((name, value))
        return found

    def _instance(self, role: Role, name: str, table: dict[str, Any]) -> Instance[Any] | None:
        path, common = (role.value, name), core_keys(role)
        keys = self._structure(KEYS[role], {key: table[key] for key in table if key in common}, path)
        offer = self._offer(role, table.get("kind"), path)
        if offer is None:
            return None
        plugin, provider = offer
        rest = {key: value for key, value in table.items() if key not in common}
        config = self._structure(provider.config, rest, path, other_keys=common, plugin=plugin.label)
        if keys is None or config is None:
            return None
        keys = attrs.evolve(keys, kind=provider.kind)
        values = values_of(self.gathered.tree, path, keys, config)
        return Instance(role=role, name=name, plugin=plugin, provider=provider, keys=keys, config=config, values=values)

    def _offer(self, role: Role, kind: object, path: KeyPath) -> tuple[Plugin, Provider[Any, Any, Any]] | None:
        kinds = self.gathered.discovery.kinds(role)
        if kind is None:
            defaults = [name for name, (_, provider) in kinds.items() if provider.default or len(kinds) == 1]
            if len(defaults) == 1:
                return kinds[defaults[0]]
            self._note_kind(path, f"the kind is missing{suggest('', kinds)}")
        elif isinstance(kind, str):  # anything else has been noted where the core's keys were read
            if kind in kinds:
                return kinds[kind]
            self._note_kind((*path, "kind"), f"no plugin offers the {role.noun} kind {kind!r}{suggest(kind, kinds)}")
        return None

    def _note_kind(self, path: KeyPath, text: str) -> None:
        if self.gathered.is_complete:  # else it may be the missing plugin's kind, and that has been noted
            self.report.add(path, text)

    def _structure(
        self, cls: type[T], table: object, path: KeyPath, *, other_keys: Collection[str] = (), plugin: str = ""
    ) -> T | None:
        try:
            return guard(self._structurer.read, cls, table, other_keys=other_keys)
        except PluginFault as fault:
            if isinstance(fault.error, Mistakes):
                for within, text in fault.error.mistakes:
                    self.report.add((*path, *within), text)
            else:
                self.report.add(path, fault.sentence(plugin))
            return None
