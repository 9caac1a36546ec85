"""Assembly: a service in parts: every component built and wired, none started. For those who prefer code.

``Service(Assembly.load(...))`` runs it. An assembly is used once: a component that was stopped is not started again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs

from mdacore.assembly.build import Builder, Parts, build_edges, build_parts, edge_contexts
from mdacore.assembly.plan import Plan, make_plan
from mdacore.assembly.settings import Options, QueueInstance, without_overrides
from mdacore.assembly.tree import Report
from mdacore.contracts import Component, Edge, Policy, QueueStorage, Relay
from mdacore.queue import BoundPolicy, BoundRelay, Queue, QueueWiring, RetrySchedule

ComponentT = TypeVar("ComponentT", bound=Component)


@attrs.frozen(kw_only=True)
class Assembly:
    """The components of one service, by their labels: ``"storages.spool"``, ``"edges.mx"``."""

    plan: Plan
    storages: Mapping[str, QueueStorage]
    relays: Mapping[str, Relay]
    policies: Mapping[str, Policy]
    queues: Mapping[str, Queue]
    edges: Mapping[str, Edge]

    @classmethod
    def load(
        cls,
        config: str | Path | None = None,
        *,
        plugins: Sequence[str | object] | None = None,
        state: str | Path | None = None,
        overrides: Sequence[str] = (),
    ) -> Assembly:
        """What ``mdacore run`` with these options and this environment would run.

        `plugins` may hold modules and objects with the hooks beside names of entry points.

        Raises:
            ConfigError: with every problem that there is; nothing was started or created.
        """
        options = Options(
            config=None if config is None else Path(config),
            plugins=plugins,
            state=None if state is None else Path(state),
            overrides=overrides,
        )
        return cls.build(make_plan(options))

    @classmethod
    def from_mapping(
        cls,
        mapping: Mapping[str, object],
        *,
        plugins: Sequence[str | object] | None = None,
        state: str | Path | None = None,
    ) -> Assembly:
        """The same from tables given in code; ``MDACORE__...`` variables do not touch them.

        Raises:
            ConfigError: with every problem that there is; nothing was started or created.
        """
        options = Options(mapping=mapping, plugins=plugins, state=None if state is None else Path(state))
        return cls.build(make_plan(without_overrides(options)))

    @classmethod
    def build(cls, plan: Plan) -> Assembly:
        """Build and wire what was planned. Pure.

        Raises:
            ConfigError: a component that could be built for the plan can be built no more.
        """
        settings, report = plan.settings, Report()
        builder = Builder(settings.state_path, settings.hostname, report)
        parts = build_parts(settings, builder)
        report.raise_if_any()
        queues = {name: Queue(_wiring(queue, plan, builder, parts)) for name, queue in settings.queues.items()}
        edges = build_edges(settings, builder, edge_contexts(settings, builder, parts, queues))
        report.raise_if_any()
        return cls(
            plan=plan,
            storages=_labelled("storages", parts.storages),
            relays=_labelled("relays", parts.relays),
            policies=_labelled("policies", {name: built.policy for name, built in parts.policies.items()}),
            queues=_labelled("queues", queues),
            edges=_labelled("edges", edges),
        )

    def components(self) -> Sequence[tuple[str, Component]]:
        """All of them with their labels, in the order of their start: each after what it needs."""
        roles: Sequence[Mapping[str, Component]] = (
            self.storages,
            self.relays,
            self.policies,
            self.queues,
            self.edges,
        )
        return [item for role in roles for item in role.items()]


def _wiring(queue: QueueInstance, plan: Plan, builder: Builder, parts: Parts) -> QueueWiring:
    context = builder.context(f"queues.{queue.name}")
    return QueueWiring(
        name=queue.name,
        hostname=plan.settings.hostname,
        storage=parts.storages[queue.keys.storage],
        queue_policies=[_bound_policy(name, "queue_policy", plan, parts) for name in queue.keys.policies],
        relay_policies=[_bound_policy(name, "relay_policy", plan, parts) for name in queue.keys.relay_policies],
        routes=queue.routes,
        relays={route.relay: _bound_relay(route.relay, plan, parts) for route in queue.routes},
        retry=RetrySchedule.parse(queue.keys.retry),
        lifetime_s=queue.keys.lifetime_s,
        claims_max=queue.keys.claims_max,
        clock=context.clock,
        log=context.log,
    )


def _bound_policy(name: str, part: str, plan: Plan, parts: Parts) -> BoundPolicy[Any]:
    keys = plan.settings.policies[name].keys
    apply = getattr(parts.policies[name].parts, part)
    return BoundPolicy(instance=name, apply=apply, on_error=keys.on_error, deadline_s=keys.deadline_s)


def _bound_relay(name: str, plan: Plan, parts: Parts) -> BoundRelay:
    keys = plan.settings.relays[name].keys
    return BoundRelay(instance=name, relay=parts.relays[name], concurrency=keys.concurrency, deadline_s=keys.deadline_s)


def _labelled(table: str, components: Mapping[str, ComponentT]) -> Mapping[str, ComponentT]:
    return {f"{table}.{name}": component for name, component in components.items()}
