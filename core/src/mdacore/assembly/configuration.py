"""From options to settings: what `check`, `plan`, `run` and `queue` all begin with."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from mdacore.assembly.build import Builder
from mdacore.assembly.config import HOSTNAME, LogKeys, ServiceKeys
from mdacore.assembly.defaults import check_choices, place_policies
from mdacore.assembly.gather import gather
from mdacore.assembly.notices import check_notice_queues, read_texts
from mdacore.assembly.proxies import check_kind, unused_keys
from mdacore.assembly.reading import Reader
from mdacore.assembly.references import check_addresses, check_paths, check_presence, resolve_edge, resolve_routes
from mdacore.assembly.retries import check_retries
from mdacore.assembly.roles import Role
from mdacore.assembly.settings import Options, QueueInstance, Settings, values_of, with_effective
from mdacore.assembly.state import find_state_path
from mdacore.assembly.tree import Report


def read_settings(options: Options, report: Report) -> Settings:
    """Read all there is to read. What is wrong is noted in `report`, and missing in the result.

    Imports the plugins that are named; otherwise without side effects.

    Raises:
        ConfigError: there is a file, but it cannot be read.
    """
    reader = Reader(gather(options, report), report)
    place_by_default(reader, options)
    if reader.gathered.is_default and "queues" in report.tree.data:
        check_choices(report)
    if reader.gathered.is_complete or not reader.gathered.is_default:
        check_presence(report, is_default=reader.gathered.is_default)
    reader.check_top_level()
    settings = _read(reader, options)
    check_paths(settings.storages, settings.state_path, report)
    check_addresses(settings.edges, report)
    return settings


def place_by_default(reader: Reader, options: Options) -> None:
    """Where the plugins alone say what is meant, name each policy in the places where it takes part."""
    gathered = reader.gathered
    if gathered.is_default:
        policies = reader.instances(Role.POLICIES)
        state_path, _ = find_state_path(options.state, options.environ)
        builder = Builder(state_path, _hostname(reader), Report())  # what cannot be built is noted with the plan
        built = {name: builder.policy(policy) for name, policy in policies.items()}
        names = gathered.tree.names(Role.POLICIES.value)
        place_policies(gathered.tree, {name: one.parts if (one := built.get(name)) else None for name in names})


def _read(reader: Reader, options: Options) -> Settings:
    tree, report = reader.gathered.tree, reader.report
    state_path, state_origin = find_state_path(options.state, options.environ)
    service, log = reader.core_table(ServiceKeys, "service"), reader.core_table(LogKeys, "log")
    edges, hostname = reader.instances(Role.EDGES), _hostname(reader)
    return Settings(
        source=tree.origin(()),
        state_path=state_path,
        state_origin=state_origin,
        hostname=hostname,
        plugins=reader.gathered.discovery.plugins,
        service=service,
        log=log,
        edges={name: resolve_edge(edge, report) for name, edge in edges.items()},
        queues=_queues(reader, state_path),
        policies=reader.instances(Role.POLICIES),
        storages=reader.instances(Role.STORAGES),
        relays=reader.instances(Role.RELAYS),
        values={
            "service": with_effective(values_of(tree, ("service",), service), hostname=hostname),
            "log": values_of(tree, ("log",), log),
        },
    )


def _queues(reader: Reader, state_path: Path) -> Mapping[str, QueueInstance]:
    queues = reader.queues()
    check_notice_queues(queues, reader.report)
    for name, keys in queues.items():
        check_kind(name, keys, reader.report)
        check_retries(name, keys, reader.report)
    return {
        name: QueueInstance(
            name=name,
            keys=keys,
            routes=resolve_routes(name, keys, reader.report),
            notice_texts=read_texts(name, keys, state_path, reader.report),
            values=values_of(reader.gathered.tree, ("queues", name), keys, without=unused_keys(keys)),
        )
        for name, keys in queues.items()
    }


def _hostname(reader: Reader) -> str:
    hostname = reader.core_table(ServiceKeys, "service").hostname or socket.gethostname()
    if not HOSTNAME.fullmatch(hostname):
        reader.report.add(("service", "hostname"), f"is needed: the machine calls itself {hostname!r}")
    return hostname
