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
from mdacore.assembly.retries import rules_of, schedule_of
from mdacore.assembly.settings import Options, QueueInstance, Settings, without_overrides
from mdacore.assembly.spawning import SpawnRegistry
from mdacore.assembly.tree import Report
from mdacore.contracts import Component, Edge, Policy, QueueStorage, Relay
from mdacore.log import get_log
from mdacore.queue import (
    BoundPolicy,
    BoundRelay,
    Isolation,
    NoticeRules,
    ProxyQueue,
    ProxyWiring,
    Queue,
    QueueWiring,
)
from mdacore.runtime import Breaker, InstanceHealth, health_of

ComponentT = TypeVar("ComponentT", bound=Component)


@attrs.frozen(kw_only=True)
class Assembly:
    """The components of one service, by their labels: ``"storages.spool"``, ``"edges.mx"``.

    `breakers` has those of each instance by the name of the call that they guard: ``"attempt"``, ``"rcpt"``.
    """

    plan: Plan
    spawning: SpawnRegistry
    """What they want to run as other users."""
    storages: Mapping[str, QueueStorage]
    relays: Mapping[str, Relay]
    policies: Mapping[str, Policy]
    queues: Mapping[str, Queue | ProxyQueue]
    edges: Mapping[str, Edge]
    breakers: Mapping[str, Mapping[str, Breaker]]

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
        spawning = SpawnRegistry(has_helper=settings.service.spawn_helper)
        builder = Builder(settings.state_path, settings.hostname, report, spawning=spawning)
        parts = build_parts(settings, builder)
        report.raise_if_any()
        wirer = _Wirer(settings, builder, parts)
        isolation = Isolation()
        queues = {
            name: ProxyQueue(wirer.proxy(queue)) if queue.keys.proxy else Queue(wirer.queue(queue), isolation)
            for name, queue in settings.queues.items()
        }
        edges = build_edges(settings, builder, edge_contexts(settings, builder, parts, queues))
        report.raise_if_any()
        return cls(
            plan=plan,
            spawning=spawning,
            storages=_labelled("storages", parts.storages),
            relays=_labelled("relays", parts.relays),
            policies=_labelled("policies", {name: built.policy for name, built in parts.policies.items()}),
            queues=_labelled("queues", queues),
            edges=_labelled("edges", edges),
            breakers=builder.breakers.made(),
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

    def health(self) -> Mapping[str, InstanceHealth]:
        """How each instance is, by its label. From memory: it neither blocks nor raises."""
        return {
            label: health_of(label, component, breakers=self.breakers.get(label, {}), log=get_log(label))
            for label, component in self.components()
        }


@attrs.frozen
class _Wirer:
    """Binds what was built to its settings."""

    settings: Settings
    builder: Builder
    parts: Parts

    def queue(self, queue: QueueInstance) -> QueueWiring:
        context = self.builder.context(f"queues.{queue.name}")
        keys, notices = queue.keys, self.settings.queues[queue.keys.notice_queue or queue.name]
        return QueueWiring(
            name=queue.name,
            hostname=self.settings.hostname,
            storage=self.parts.storages[keys.storage or ""],  # only a proxy has none
            queue_policies=[self._policy(name, "queue_policy") for name in queue.keys.policies],
            relay_policies=[self._policy(name, "relay_policy") for name in queue.keys.relay_policies],
            routes=queue.routes,
            relays={route.relay: self._relay(route.relay) for route in (*queue.routes, *notices.routes)},
            retry=schedule_of(keys),
            retry_for=rules_of(keys),
            lifetime_s=queue.keys.lifetime_s,
            claims_max=queue.keys.claims_max,
            notice_rules=NoticeRules(
                receivers=keys.notices_to, delay_warning_s=keys.delay_warning_s, postmaster=keys.postmaster or ""
            ),
            notice_texts=queue.notice_texts,
            notice_queue=notices.name,
            notice_routes=notices.routes,
            clock=context.clock,
            log=context.log,
        )

    def proxy(self, queue: QueueInstance) -> ProxyWiring:
        context, keys = self.builder.context(f"queues.{queue.name}"), queue.keys
        return ProxyWiring(
            name=queue.name,
            spool_path=context.resolve(Path("proxy", queue.name)),
            queue_policies=[self._policy(name, "queue_policy") for name in keys.policies],
            relay_policies=[self._policy(name, "relay_policy") for name in keys.relay_policies],
            routes=queue.routes,
            relays={route.relay: self._relay(route.relay) for route in queue.routes},
            claims_max=keys.claims_max,
            place_wait_s=keys.place_wait_s,
            reply_within_s=keys.reply_within_s,
            clock=context.clock,
            log=context.log,
        )

    def _policy(self, name: str, part: str) -> BoundPolicy[Any]:
        instance = self.settings.policies[name]
        return BoundPolicy(
            instance=name,
            apply=getattr(self.parts.policies[name].parts, part),
            on_error=instance.keys.on_error,
            deadline_s=instance.keys.deadline_s,
            breaker=self.builder.breakers.of(instance.label, part, instance.keys),
        )

    def _relay(self, name: str) -> BoundRelay:
        instance = self.settings.relays[name]
        return BoundRelay(
            instance=name,
            relay=self.parts.relays[name],
            concurrency=instance.keys.concurrency,
            concurrency_start=instance.keys.concurrency_start,
            suspension_max_s=instance.keys.suspension_max_s,
            deadline_s=instance.keys.deadline_s,
            breaker=self.builder.breakers.of(instance.label, "attempt", instance.keys),
        )


def _labelled(table: str, components: Mapping[str, ComponentT]) -> Mapping[str, ComponentT]:
    return {f"{table}.{name}": component for name, component in components.items()}
