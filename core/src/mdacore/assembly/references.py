"""What one table says about another: every name must be that of an instance, and the whole must make sense."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mdacore.assembly.config import QueueKeys
from mdacore.assembly.defaults import QUEUE
from mdacore.assembly.roles import EdgeKeys, Role
from mdacore.assembly.settings import Instance, with_effective
from mdacore.assembly.tree import KeyPath, Report
from mdacore.assembly.wording import suggest
from mdacore.queue import Route
from mdacore.words import fold_domain

_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_NEEDED = {
    "edges": "nothing accepts mail",
    "queues": "nothing takes the mail on",
    "storages": "nothing keeps the mail",
    "relays": "nothing delivers the mail",
}


def check_presence(report: Report, *, is_default: bool) -> None:
    """Note what no service can do without."""
    for table, lack in _NEEDED.items():
        is_needed = not (is_default and table == "queues") and not (table == "storages" and _has_proxies_only(report))
        if is_needed and not report.tree.data.get(table):
            cure = f"name a plugin that offers {table}" if is_default else f"there is no [{table}.<name>]"
            report.add((table,), f"{lack}: {cure}")


def _has_proxies_only(report: Report) -> bool:
    names = report.tree.names("queues")
    return bool(names) and all(report.tree.value(("queues", name, "proxy")) is True for name in names)


def resolve_edge(edge: Instance[EdgeKeys], report: Report) -> Instance[EdgeKeys]:
    """The edge with its queue named; what it names must exist."""
    queues = report.tree.names("queues")
    queue = edge.keys.queue
    if queue is not None:
        check_name(report, (*edge.path, "queue"), "queues", queue)
    elif QUEUE in queues or len(queues) == 1:
        queue = QUEUE if QUEUE in queues else next(iter(queues))
    elif queues:
        report.add(edge.path, f"queue is missing{suggest('', queues)}")
    for index, name in enumerate(edge.keys.validators):
        check_name(report, (*edge.path, "validators", index), "policies", name)
    keys, values = attrs.evolve(edge.keys, queue=queue), with_effective(edge.values, queue=queue)
    return attrs.evolve(edge, keys=keys, values=values)


def resolve_routes(name: str, keys: QueueKeys, report: Report) -> Sequence[Route]:
    """The routes of a queue with the relay for the rest as the last one; what the queue names must exist."""
    path: KeyPath = ("queues", name)
    for key in ("policies", "relay_policies"):
        for index, policy in enumerate(getattr(keys, key)):
            check_name(report, (*path, key, index), "policies", policy)
    routes = list(_routes(path, keys, report))
    if keys.relay is not None:
        check_name(report, (*path, "relay"), "relays", keys.relay)
        routes.append(Route(domains=None, relay=keys.relay))
    _check_reach(path, routes, report, has_relay=keys.relay is not None)
    return tuple(routes)


def check_name(report: Report, path: KeyPath, table: str, name: str) -> None:
    """Note a name that is no instance's."""
    names = report.tree.names(table)
    if name not in names:
        report.add(path, f"there is no [{table}.{name}]{suggest(name, names)}")


def check_paths(storages: Mapping[str, Instance[Any]], state_path: Path, report: Report) -> None:
    """Note two storages on one path: each would be the other's corruption."""
    owners: dict[str, str] = {}
    for storage in storages.values():
        path = getattr(storage.config, "path", None)
        if isinstance(path, Path):
            other = owners.setdefault(os.path.realpath(state_path / path), storage.label)
            if other != storage.label:
                report.add((*storage.path, "path"), f"{state_path / path} is also the path of {other}")


def check_addresses(edges: Mapping[str, Instance[Any]], report: Report) -> None:
    """Note an address that two edges would listen on: the same one, or one that is part of the other's."""
    taken: list[tuple[Instance[Any], str]] = []
    for edge in edges.values():
        for path, address in _addresses(edge):
            other = next((owner for owner, its in taken if owner is not edge and _collide(its, address)), None)
            if other is not None:
                report.add(path, f"{address} is also listened on by {other.label}")
            taken.append((edge, address))


def _addresses(edge: Instance[Any]) -> Iterator[tuple[KeyPath, str]]:
    """What an edge listens on, by the convention of its keys: ``listen`` and ``listen_...`` are texts or lists."""
    for field in attrs.fields(type(edge.config)) if attrs.has(type(edge.config)) else ():
        if field.name != "listen" and not field.name.startswith("listen_"):
            continue
        listen, path = getattr(edge.config, field.name), (*edge.path, field.name)
        if isinstance(listen, str):
            yield path, listen
        elif isinstance(listen, Sequence):
            yield from (((*path, index), item) for index, item in enumerate(listen) if isinstance(item, str))


def _collide(one: str, other: str) -> bool:
    """Whether both cannot be bound. Port 0 is any free port; all of IPv6 takes IPv4 as well."""
    if one.startswith("unix:") or other.startswith("unix:"):
        return one == other
    end, other_end = _end_point(one), _end_point(other)
    if end is None or other_end is None:
        return False
    (host, port), (other_host, other_port) = end, other_end
    return port == other_port != 0 and (host == other_host or _takes(host, other_host) or _takes(other_host, host))


def _end_point(address: str) -> tuple[_IpAddress, int] | None:
    """None for what is something else: a mode, a group."""
    host, _, port = address.rpartition(":")
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")), int(port)
    except ValueError:
        return None


def _takes(wild: _IpAddress, other: _IpAddress) -> bool:
    return wild.is_unspecified and wild.version >= other.version


def _routes(path: KeyPath, keys: QueueKeys, report: Report) -> Iterator[Route]:
    owners: dict[str, str] = {}
    for index, route in enumerate(keys.routes):
        check_name(report, (*path, "routes", index, "relay"), Role.RELAYS.value, route.relay)
        folded = [fold_domain(domain) for domain in route.domains or ()]
        for number, domain in enumerate(folded):
            if domain in owners:
                report.add((*path, "routes", index, "domains", number), f"{domain} goes to {owners[domain]} already")
            owners.setdefault(domain, route.relay)
        yield Route(domains=None if route.domains is None else frozenset(folded), relay=route.relay)


def _check_reach(path: KeyPath, routes: Sequence[Route], report: Report, *, has_relay: bool) -> None:
    catch_all = next((index for index, route in enumerate(routes) if route.domains is None), None)
    if not routes:
        report.add(path, "it has neither a relay nor routes")
    elif catch_all is None:
        report.add(path, "its routes are not for every domain: add relay = ..., for the rest")
    elif catch_all < len(routes) - 1:
        unreached = "relay" if has_relay and catch_all == len(routes) - 2 else f"routes[{catch_all + 1}]"
        report.add((*path, "routes", catch_all), f"it takes every domain, so that {unreached} is never reached")
