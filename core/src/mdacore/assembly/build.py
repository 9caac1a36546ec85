"""From settings to components: each instance built, and asked to check itself, behind the guard.

Pure, as every `Provider.build` is: nothing is opened, bound, spawned or created. What goes wrong is noted, and what
could not be built is missing in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from mdacore.assembly.breakers import Breakers
from mdacore.assembly.chain import BoundValidators, compile_chain
from mdacore.assembly.guard import PluginFault, guard
from mdacore.assembly.roles import EdgeKeys, PolicyKeys
from mdacore.assembly.settings import Instance, Settings
from mdacore.assembly.spawning import SpawnRegistry
from mdacore.assembly.tree import Report, parse_path
from mdacore.contracts import (
    Chain,
    Clock,
    Context,
    Edge,
    EdgeContext,
    Handoff,
    Policy,
    PolicyParts,
    QueueStorage,
    Relay,
    Validators,
)
from mdacore.log import get_log
from mdacore.runtime import Fence, SystemClock
from mdacore.words import Problem, printable

T = TypeVar("T")
_CONTRACTS: Final[Mapping[str, type]] = {"edges": Edge, "policies": Policy, "storages": QueueStorage, "relays": Relay}


@attrs.frozen
class BuiltPolicy:
    """A policy and where it takes part."""

    policy: Policy
    parts: PolicyParts


@attrs.frozen(kw_only=True)
class Parts:
    """What queues and edges are made with, by their instances' names."""

    storages: Mapping[str, QueueStorage]
    relays: Mapping[str, Relay]
    policies: Mapping[str, BuiltPolicy]


@attrs.define
class Builder:
    """Builds single instances."""

    state_path: Path
    hostname: str
    report: Report
    clock: Clock = attrs.field(factory=SystemClock)
    spawning: SpawnRegistry = attrs.field(factory=SpawnRegistry)
    breakers: Breakers = attrs.field(default=attrs.Factory(lambda self: Breakers(self.clock), takes_self=True))

    def context(self, label: str) -> Context:
        """The surroundings of one instance."""
        return Context(
            instance=label,
            state_path=self.state_path,
            hostname=self.hostname,
            clock=self.clock,
            log=get_log(label),
            spawning=self.spawning,
        )

    def edge_context(self, label: str, handoff: Handoff, validators: Chain) -> EdgeContext:
        """The surroundings of one edge."""
        common = attrs.asdict(self.context(label), recurse=False)
        return EdgeContext(**common, handoff=handoff, validators=validators)

    def build(self, instance: Instance[Any], context: Context | None = None) -> Any:
        """The component, or None."""
        context = context or self.context(instance.label)
        return self._noting(instance, _build, instance, context)

    def policy(self, instance: Instance[PolicyKeys]) -> BuiltPolicy | None:
        """The policy with its parts, or None."""
        policy = self.build(instance)
        parts = None if policy is None else self._noting(instance, _parts, policy)
        return None if parts is None else BuiltPolicy(policy, parts)

    def check(self, instance: Instance[Any], context: Context | None = None) -> None:
        """Note what the plugin itself finds wrong, from stat and the environment alone."""
        context = context or self.context(instance.label)
        for problem in self._noting(instance, _check, instance, context) or ():
            path = (*instance.path, *parse_path(problem.key))
            self.report.add(path, printable(problem.text), origin=problem.origin or None)

    def _noting(self, instance: Instance[Any], function: Callable[..., T], *args: Any) -> T | None:
        try:
            return guard(function, *args)
        except PluginFault as fault:
            self.report.add(instance.path, fault.sentence(instance.plugin.label))
            return None


def _build(instance: Instance[Any], context: Context) -> object:
    component: object = instance.provider.build(instance.config, context)
    if component is None:
        raise TypeError("build() gave no component")
    missing = [name for name in members(_CONTRACTS[str(instance.path[0])]) if not hasattr(component, name)]
    if missing:
        raise TypeError(f"build() gave a {type(component).__name__}, which lacks {', '.join(missing)}")
    return component


def members(contract: type) -> list[str]:
    """What everybody has who keeps this contract."""
    own = (vars(base) for base in contract.__mro__ if base not in (object, Protocol, Generic))
    return sorted({name for names in own for name in names if not name.startswith("_")})


def _parts(policy: Policy) -> PolicyParts:
    parts: object = policy.parts()
    if not isinstance(parts, PolicyParts) or not isinstance(parts.validators, Validators | None):
        raise TypeError(f"parts() gave {parts!r}")
    return parts


def _check(instance: Instance[Any], context: Context) -> Sequence[Problem]:
    problems = list(instance.provider.check(instance.config, context))
    if not all(isinstance(problem, Problem) for problem in problems):
        raise TypeError(f"check() gave {problems!r}")
    return problems


def build_parts(settings: Settings, builder: Builder) -> Parts:
    """All storages, relays and policies."""
    return Parts(
        storages=_built({name: builder.build(one) for name, one in settings.storages.items()}),
        relays=_built({name: builder.build(one) for name, one in settings.relays.items()}),
        policies=_built({name: builder.policy(one) for name, one in settings.policies.items()}),
    )


def edge_contexts(
    settings: Settings, builder: Builder, parts: Parts, handoffs: Mapping[str, Handoff]
) -> Mapping[str, EdgeContext]:
    """The surroundings of each edge whose queue there is."""
    return {
        name: builder.edge_context(edge.label, handoff, _chain(edge, settings, builder, parts))
        for name, edge in settings.edges.items()
        if (handoff := handoffs.get(edge.keys.queue or "")) is not None
    }


def build_edges(settings: Settings, builder: Builder, contexts: Mapping[str, EdgeContext]) -> Mapping[str, Edge]:
    """The edges."""
    return _built({name: builder.build(settings.edges[name], context) for name, context in contexts.items()})


def check_all(settings: Settings, builder: Builder, contexts: Mapping[str, EdgeContext]) -> None:
    """Ask every instance what it finds wrong."""
    roles: Sequence[Mapping[str, Instance[Any]]] = (settings.storages, settings.relays, settings.policies)
    for instance in (instance for role in roles for instance in role.values()):
        builder.check(instance)
    for name, context in contexts.items():
        builder.check(settings.edges[name], context)


def _chain(edge: Instance[EdgeKeys], settings: Settings, builder: Builder, parts: Parts) -> Chain:
    bound = []
    for name in edge.keys.validators:
        built, policy = parts.policies.get(name), settings.policies.get(name)
        if built is not None and policy is not None and built.parts.validators is not None:
            bound.append(_bound(built.parts.validators, policy, builder))
    return compile_chain(bound)


def _bound(validators: Validators, policy: Instance[PolicyKeys], builder: Builder) -> BoundValidators:
    label, keys = policy.label, policy.keys
    return BoundValidators(
        validators=validators,
        fence=Fence(instance=label, log=builder.context(label).log, deadline_s=keys.deadline_s),
        on_error=keys.on_error,
        breaker=lambda stage: builder.breakers.of(label, stage, keys),
    )


def _built(components: Mapping[str, T | None]) -> Mapping[str, T]:
    return {name: component for name, component in components.items() if component is not None}
