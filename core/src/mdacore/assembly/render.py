"""A plan as an operator reads it: the way of the mail first, then every table with each value and its origin. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mdacore.assembly.config import QueueKeys
from mdacore.assembly.plan import Plan
from mdacore.assembly.roles import PolicyKeys
from mdacore.assembly.settings import Instance, QueueInstance, Settings, Value
from mdacore.assembly.toml import to_toml
from mdacore.queue import Route

DEFAULT = "default"
PROXY_SENTENCE = (
    "nothing: a proxy. A client's 250 means that the relay has taken the message for that recipient; "
    "on anything else the client keeps it, and tries again or tells the sender."
)
SECRET = '"***"'  # noqa: S105 - printed in a secret's place
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60))
MAX_COLUMN_CHARS = 40
"""Values up to this width have their origins in one column."""


def render_plan(plan: Plan) -> str:
    """The whole plan, as text of many lines."""
    settings = plan.settings
    sections = [
        _head(settings),
        ["The way of the mail"],
        *(_edge_way(edge, plan) for edge in settings.edges.values()),
        *(_queue_way(queue, plan) for queue in settings.queues.values()),
        ["Every value and where it comes from"],
        *(_table(label, values) for label, values in _tables(settings)),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _head(settings: Settings) -> Sequence[str]:
    state_origin = f"  # {settings.state_origin}" if settings.state_origin else ""
    facts = [
        ("configuration", settings.source or "no file: the plugins' defaults"),
        ("host name", settings.hostname),
        ("state folder", f"{settings.state_path}{state_origin}"),
        ("plugins", ", ".join(f"{plugin.name} {plugin.version}".rstrip() for plugin in settings.plugins)),
        ("not used", ", ".join(_unused(settings))),
    ]
    return _columns([(name, text) for name, text in facts if text], indent="")


def _unused(settings: Settings) -> Iterator[str]:
    queues = settings.queues.values()
    used = {f"queues.{edge.keys.queue}" for edge in settings.edges.values()}
    used |= {f"policies.{name}" for edge in settings.edges.values() for name in edge.keys.validators}
    used |= {f"policies.{name}" for queue in queues for name in (*queue.keys.policies, *queue.keys.relay_policies)}
    used |= {f"storages.{queue.keys.storage}" for queue in queues if queue.keys.storage is not None}
    used |= {f"queues.{queue.keys.notice_queue}" for queue in queues}
    used |= {f"relays.{route.relay}" for queue in queues for route in queue.routes}
    for label, _ in _tables(settings):
        if "." in label and label not in used and not label.startswith("edges."):
            yield label


def _edge_way(edge: Instance[Any], plan: Plan) -> Sequence[str]:
    policies = plan.settings.policies
    asked = [f"{_policy(policies[name])}, at {', '.join(plan.places[name].stages)}" for name in edge.keys.validators]
    facts = [("asks", text) for text in _numbered(asked)]
    return [f"  edge {_name(edge)}", *_columns([*facts, ("hands to", f"queue {edge.keys.queue}")], indent="    ")]


def _queue_way(queue: QueueInstance, plan: Plan) -> Sequence[str]:
    settings, keys = plan.settings, queue.keys
    facts = [
        *(("applies", text) for text in _numbered([_policy(settings.policies[name]) for name in keys.policies])),
        _stores(keys.storage, plan),
        *(
            ("per attempt", text)
            for text in _numbered([_policy(settings.policies[name]) for name in keys.relay_policies])
        ),
        *(("relays", text) for text in _routes(queue.routes, settings)),
        *(_waits(keys) if keys.proxy else _retries(keys)),
    ]
    return [f"  queue {queue.name}", *_columns(facts, indent="    ")]


def _stores(storage: str | None, plan: Plan) -> tuple[str, str]:
    if storage is None:
        return ("stores", PROXY_SENTENCE)
    return ("stores in", f"{_name(plan.settings.storages[storage])}: {plan.durability[storage]}")


def _retries(keys: QueueKeys) -> Iterator[tuple[str, str]]:
    yield "retries after", f"{keys.retry}; after {_duration(keys.lifetime_s)} back to the sender"
    for table in keys.retry_for:
        lifetime_s = keys.lifetime_s if table.lifetime_s is None else table.lifetime_s
        rule = f"{table.retry or keys.retry}; after {_duration(lifetime_s)} back to the sender"
        yield "retries after", f"for {', '.join(sorted(table.domains))}: {rule}"
    if keys.notice_queue:
        yield "notices by", f"queue {keys.notice_queue}"


def _waits(keys: QueueKeys) -> Iterator[tuple[str, str]]:
    places, replies = _duration(keys.place_wait_s), _duration(keys.reply_within_s)
    yield "waits", f"up to {places} for a place at the relay; the client has its replies within {replies}"


def _routes(routes: Sequence[Route], settings: Settings) -> Iterator[str]:
    rest = "every other domain" if len(routes) > 1 else "every domain"
    for route in routes:
        domains = rest if route.domains is None else ", ".join(sorted(route.domains))
        yield f"{domains} -> {_name(settings.relays[route.relay])}"


def _name(instance: Instance[Any]) -> str:
    return f"{instance.name} ({instance.provider.kind})"


def _policy(policy: Instance[PolicyKeys]) -> str:
    return f"{_name(policy)}, on error {policy.keys.on_error}"


def _duration(duration_s: float) -> str:
    unit, size_s = next(((unit, size_s) for unit, size_s in _UNITS if duration_s % size_s == 0), ("s", 1))
    return f"{duration_s / size_s:g}{unit}"


def _numbered(items: Sequence[str]) -> Sequence[str]:
    return [f"{number}. {item}" for number, item in enumerate(items, start=1)] if len(items) > 1 else items


def _tables(settings: Settings) -> Iterator[tuple[str, Sequence[Value]]]:
    yield from settings.values.items()
    yield from ((edge.label, edge.values) for edge in settings.edges.values())
    yield from ((f"queues.{queue.name}", queue.values) for queue in settings.queues.values())
    others: Sequence[Mapping[str, Instance[Any]]] = (settings.policies, settings.storages, settings.relays)
    yield from ((instance.label, instance.values) for role in others for instance in role.values())


def _table(label: str, values: Sequence[Value]) -> Sequence[str]:
    shown = [(value.key, _shown(value), value.origin or DEFAULT) for value in values]
    key_width = max((len(key) for key, _, _ in shown), default=0)
    value_width = min(max((len(text) for _, text, _ in shown), default=0), MAX_COLUMN_CHARS)
    lines = [f"{key:<{key_width}} = {text:<{value_width}}  # {origin}" for key, text, origin in shown]
    return [f"[{label}]", *lines]


def _shown(value: Value) -> str:
    if value.value is None:
        return "(not set)"
    return SECRET if value.is_secret else to_toml(value.value)


def _columns(facts: Sequence[tuple[str, str]], *, indent: str) -> Sequence[str]:
    width = max(len(name) for name, _ in facts)
    lines, last = [], ""
    for name, text in facts:
        lines.append(f"{indent}{'' if name == last else name:<{width}}  {text}")
        last = name
    return lines
