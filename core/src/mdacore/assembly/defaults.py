"""What `--plugins` without a file means: one instance of each plugin's default kind, and one queue between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdacore.assembly.discovery import Discovery
from mdacore.assembly.roles import Role
from mdacore.assembly.toml import to_tables
from mdacore.assembly.tree import Report, Tree
from mdacore.contracts import PolicyParts

QUEUE = "main"


def default_tables(discovery: Discovery, report: Report) -> dict[str, Any]:
    """The tables, but for which policy goes where (`place_policies`). Where there is a choice, the first is taken."""
    tables: dict[str, Any] = {role.value: _instances(role, discovery, report) for role in Role}
    if tables["storages"] and tables["relays"]:
        tables["queues"] = {QUEUE: {"storage": next(iter(tables["storages"])), "relay": next(iter(tables["relays"]))}}
    return tables


def adapt_proxies(tree: Tree) -> None:
    """A queue that an option has made a proxy: it has a relay by default, and no storage."""
    for name in tree.names("queues"):
        queue = tree.data["queues"][name]
        if tree.value(("queues", name, "proxy")) is True:
            if ("queues", name, "storage") not in tree.origins:
                queue.pop("storage", None)
            for relay in tree.names("relays")[:1]:
                queue.setdefault("relay", relay)


def check_choices(report: Report) -> None:
    """Note where the plugins alone do not say what is meant: nobody may guess where mail is kept and where it goes."""
    questions = (
        (Role.STORAGES, "storage", "which of them keeps the mail"),
        (Role.RELAYS, "relay", "which mail goes where"),
    )
    for role, key, question in questions:
        names = report.tree.names(role.value)
        if len(names) > 1 and ("queues", QUEUE, key) not in report.tree.origins:
            text = (
                f"{len(names)} {role.value} ({', '.join(names)}) need a file that says {question}; "
                "write this to one, change it to what is meant, and give it with --config:"
            )
            report.add(("plugins",), "\n".join((text, "", *to_tables(with_example_route(report.tree)))).rstrip())


def with_example_route(tree: Tree) -> dict[str, Any]:
    """The tables of `tree`, with a route to each relay but the first."""
    tables = {key: value for key, value in tree.data.items() if value}
    _, *others = tree.names(Role.RELAYS.value)
    routes = [{"domains": [f"{name}.example"], "relay": name} for name in others]
    queue = {**tables["queues"][QUEUE], **({"routes": routes} if routes else {})}
    return {**tables, "queues": {**tables["queues"], QUEUE: queue}}


def place_policies(tree: Tree, parts: Mapping[str, PolicyParts | None]) -> None:
    """Name each policy where it takes part, in the order given, in lists that nobody has set."""
    spots: dict[str, list[str]] = {"policies": [], "relay_policies": [], "validators": []}
    for name, part in parts.items():
        if part is None or part.queue_policy:
            spots["policies"].append(name)
        elif part.relay_policy:
            spots["relay_policies"].append(name)
        if part and part.validators:
            spots["validators"].append(name)
    for table, keys in (("queues", ("policies", "relay_policies")), ("edges", ("validators",))):
        for name in tree.names(table):
            for key in keys:
                if spots[key] and not tree.has((table, name, key)):
                    tree.put((table, name, key), spots[key])


def _instances(role: Role, discovery: Discovery, report: Report) -> dict[str, Any]:
    instances = {}
    for plugin in discovery.plugins:
        default = plugin.default(role)
        if default is not None:
            instances[default.kind] = {"kind": default.kind}
        elif plugin.providers[role]:
            kinds = ", ".join(provider.kind for provider in plugin.providers[role])
            report.add(("plugins",), f"{plugin.label} offers {kinds}, none by default: a file must say which is meant")
    return instances
