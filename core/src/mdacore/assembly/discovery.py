"""Discovery: which plugins are installed, and what the wanted ones offer.

Each plugin is loaded by itself inside a guard: one that is broken is rejected with a reason, and the others go on.
Only what is asked for is imported. Nothing is cached: each call looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from types import ModuleType
from typing import Any

import attrs

from mdacore.assembly.guard import PluginFault, guard
from mdacore.assembly.offers import Offers, Refusal, read_offers
from mdacore.assembly.roles import Role
from mdacore.contracts import Provider
from mdacore.hookspecs import ENTRY_POINT_GROUP


@attrs.frozen(kw_only=True)
class Named:
    """What is known of a plugin without importing it.

    Attributes:
        name: its entry point's name, which is what a configuration's `plugins` says.
        distribution: ``""`` for one that was given in code; so is `version`.
    """

    name: str
    distribution: str = ""
    version: str = ""

    @property
    def label(self) -> str:
        """``relay_maildir (mdacore-relay-maildir 0.1.0)``."""
        return f"{self.name} ({self.distribution} {self.version})" if self.distribution else self.name


@attrs.frozen(kw_only=True)
class Candidate(Named):
    """A plugin before it is imported; `load` imports it and raises whatever its code raises."""

    module: str
    load: Callable[[], object] = attrs.field(eq=False)


@attrs.frozen(kw_only=True)
class Plugin(Named):
    """A plugin that could be loaded, with what it offers: every role is a key of `providers`."""

    module: str
    providers: Offers = attrs.field(eq=False)

    def default(self, role: Role) -> Provider[Any, Any, Any] | None:
        """The provider that is meant when only the plugin is named: the default, or the only one."""
        offered = self.providers[role]
        marked = [provider for provider in offered if provider.default]
        return marked[0] if marked else offered[0] if len(offered) == 1 else None


@attrs.frozen(kw_only=True)
class Rejected(Named):
    """A plugin that cannot be used, and why, on one line."""

    reason: str


@attrs.frozen(kw_only=True)
class Discovery:
    """What came of loading some plugins, in the order in which they were asked for.

    Attributes:
        unknown: the names that no installed distribution offers.
    """

    plugins: tuple[Plugin, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    unknown: tuple[str, ...] = ()

    def kinds(self, role: Role) -> Mapping[str, tuple[Plugin, Provider[Any, Any, Any]]]:
        """The kinds of a role; each is offered once."""
        return {provider.kind: (plugin, provider) for plugin in self.plugins for provider in plugin.providers[role]}


def installed() -> Sequence[Candidate | Rejected]:
    """Every plugin that is installed, by name; from metadata alone, nothing is imported.

    A name that two distributions offer is rejected.
    """
    found: dict[str, Candidate | Rejected] = {}
    for candidate in _candidates():
        other = found.setdefault(candidate.name, candidate)
        if other.distribution != candidate.distribution:
            both = [f"{one.distribution} {one.version}" for one in (other, candidate)]
            reason = f"two distributions offer it: {both[0]} and {both[1]}"
            found[candidate.name] = Rejected(**_identity(other), reason=reason)
    return [found[name] for name in sorted(found)]


def discover(wanted: Iterable[str | object]) -> Discovery:
    """Load plugins: an installed one by its name, or a module or object that implements the hooks.

    Imports them and calls their hooks; raises nothing of theirs.
    """
    by_name = {candidate.name: candidate for candidate in installed()}
    plugins: list[Plugin] = []
    rejected: list[Rejected] = []
    unknown: list[str] = []
    for item in _once(wanted):
        candidate = by_name.get(item) if isinstance(item, str) else _given_in_code(item)
        if candidate is None:
            unknown.append(str(item))
            continue
        loaded = _load(candidate)
        (plugins if isinstance(loaded, Plugin) else rejected).append(loaded)  # type: ignore[arg-type] # by its class
    plugins, clashing = _without_clashes(plugins)
    return Discovery(plugins=tuple(plugins), rejected=(*rejected, *clashing), unknown=tuple(unknown))


def name_of(plugin: object) -> str:
    """What a plugin that is given in code is called: the module's own name, or the object's class's."""
    return plugin.__name__.rpartition(".")[2] if isinstance(plugin, ModuleType) else type(plugin).__name__


def discover_all() -> Discovery:
    """Load every installed plugin."""
    return discover([candidate.name for candidate in installed()])


def _once(wanted: Iterable[str | object]) -> Sequence[str | object]:
    """Without repetitions; what is given in code need not be hashable."""
    kept: list[str | object] = []
    for item in wanted:
        if not any(item is other or (isinstance(item, str) and item == other) for other in kept):
            kept.append(item)
    return kept


def _candidates() -> Iterator[Candidate]:
    for distribution in metadata.distributions():
        try:
            yield from guard(_candidates_of, distribution)
        except PluginFault:
            continue  # metadata that nobody can read, of whatever distribution, must not end discovery for all


def _candidates_of(distribution: metadata.Distribution) -> Sequence[Candidate]:
    return [
        Candidate(
            name=point.name,
            distribution=distribution.metadata["Name"],
            version=distribution.version,
            module=point.value,
            load=point.load,
        )
        for point in distribution.entry_points.select(group=ENTRY_POINT_GROUP)
    ]


def _given_in_code(plugin: object) -> Candidate:
    module = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
    return Candidate(name=name_of(plugin), module=module, load=lambda: plugin)


def _load(candidate: Candidate | Rejected) -> Plugin | Rejected:
    if isinstance(candidate, Rejected):
        return candidate
    try:
        offers = guard(lambda: read_offers(candidate.load(), candidate.name))
    except PluginFault as fault:
        reason = str(fault.error) if isinstance(fault.error, Refusal) else str(fault)
        return Rejected(**_identity(candidate), reason=reason)
    return Plugin(**_identity(candidate), module=candidate.module, providers=offers)


def _without_clashes(plugins: Sequence[Plugin]) -> tuple[list[Plugin], list[Rejected]]:
    reasons: dict[str, str] = {}
    owners: dict[tuple[Role, str], Plugin] = {}
    for plugin in plugins:
        offered = [(role, provider.kind) for role in Role for provider in plugin.providers[role]]
        for role, kind in offered:
            other = owners.setdefault((role, kind), plugin)
            if other is not plugin:
                reasons[plugin.name] = f"its {role.noun} kind {kind!r} is also offered by {other.label}"
                reasons[other.name] = f"its {role.noun} kind {kind!r} is also offered by {plugin.label}"
    kept = [plugin for plugin in plugins if plugin.name not in reasons]
    return kept, [
        Rejected(**_identity(plugin), reason=reasons[plugin.name]) for plugin in plugins if plugin.name in reasons
    ]


def _identity(plugin: Named) -> dict[str, str]:
    return {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version}
