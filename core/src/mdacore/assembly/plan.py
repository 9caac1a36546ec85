"""The plan: settings that were proved to work, as far as configuration, environment and stat can tell.

`check`, `plan` and `run` all make it with `make_plan`, so that they agree. Making it has no side effect but the import
of the plugins: every component is built once, on trial, and dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from mdacore.assembly.build import Builder, BuiltPolicy, Parts, build_edges, build_parts, check_all, edge_contexts
from mdacore.assembly.chain import stages_of
from mdacore.assembly.configuration import read_settings
from mdacore.assembly.guard import PluginFault, guard
from mdacore.assembly.identity import check_process
from mdacore.assembly.settings import Options, Settings
from mdacore.assembly.spawning import SpawnRegistry
from mdacore.assembly.state import check_state_path
from mdacore.assembly.tree import Report
from mdacore.words import LOCAL_ERROR, Envelope, Reply


@attrs.frozen(kw_only=True)
class PolicyPlaces:
    """Where a policy takes part; `stages` are those of a session."""

    in_queue: bool
    before_relay: bool
    stages: Sequence[str]


@attrs.frozen(kw_only=True)
class Plan:
    """What will run.

    Attributes:
        durability: each storage's sentence, by instance name.
        places: where each policy can take part, by instance name.
    """

    settings: Settings
    durability: Mapping[str, str]
    places: Mapping[str, PolicyPlaces]


def make_plan(options: Options) -> Plan:
    """Read the configuration and prove it.

    Raises:
        ConfigError: with every problem that there is. Nothing was bound, started or created.
    """
    report = Report()
    settings = read_settings(options, report)
    check_state_path(settings.state_path, settings.state_origin, report)
    check_process(settings.service, settings.state_path, report)
    spawning = SpawnRegistry(has_helper=settings.service.spawn_helper)
    builder = Builder(settings.state_path, settings.hostname, report, spawning=spawning)
    parts = build_parts(settings, builder)
    handoffs = {name: _NoQueue(is_proxy=queue.keys.proxy) for name, queue in settings.queues.items()}
    contexts = edge_contexts(settings, builder, parts, handoffs)
    build_edges(settings, builder, contexts)
    check_all(settings, builder, contexts)
    places = {name: _places(policy) for name, policy in parts.policies.items()}
    _check_places(settings, places, report)
    durability = _durability(settings, parts, report)
    report.raise_if_any()
    return Plan(settings=settings, durability=durability, places=places)


@attrs.frozen(kw_only=True)
class _NoQueue:
    """A Handoff for edges that are built on trial: it never takes a message."""

    is_proxy: bool

    @property
    def spool_path(self) -> Path | None:
        return None

    def refusal(self, size_bytes: int) -> Reply | None:  # noqa: ARG002 - the contract's parameter
        return LOCAL_ERROR

    def accept(self, envelope: Envelope) -> Sequence[Reply]:
        return [LOCAL_ERROR] * len(envelope.recipients)


def _places(policy: BuiltPolicy) -> PolicyPlaces:
    parts = policy.parts
    return PolicyPlaces(
        in_queue=parts.queue_policy is not None,
        before_relay=parts.relay_policy is not None,
        stages=stages_of(parts.validators),
    )


def _check_places(settings: Settings, places: Mapping[str, PolicyPlaces], report: Report) -> None:
    for name, queue in settings.queues.items():
        for index, policy in enumerate(queue.keys.policies):
            if policy in places and not places[policy].in_queue:
                report.add(("queues", name, "policies", index), f"{policy} {_instead(places[policy])}")
        for index, policy in enumerate(queue.keys.relay_policies):
            if policy in places and not places[policy].before_relay:
                report.add(("queues", name, "relay_policies", index), f"{policy} {_instead(places[policy])}")
    for edge in settings.edges.values():
        for index, policy in enumerate(edge.keys.validators):
            if policy in places and not places[policy].stages:
                report.add((*edge.path, "validators", index), f"{policy} {_instead(places[policy])}")


def _instead(places: PolicyPlaces) -> str:
    lists = {
        "a queue's policies": places.in_queue,
        "a queue's relay_policies": places.before_relay,
        "an edge's validators": bool(places.stages),
    }
    fitting = [name for name, fits in lists.items() if fits]
    return f"has no part here; it belongs in {' or '.join(fitting)}" if fitting else "takes part nowhere"


def _durability(settings: Settings, parts: Parts, report: Report) -> Mapping[str, str]:
    sentences = {}
    for name, storage in parts.storages.items():
        try:
            sentences[name] = str(guard(getattr, storage, "durability"))
        except PluginFault as fault:
            report.add(("storages", name), fault.sentence(settings.storages[name].plugin.label))
    return sentences
