"""``mdacore plugins`` and ``mdacore version``: what is installed."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mdacore.assembly import Discovery, Plugin, Rejected


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def plugins(*, as_json: bool) -> None:
    """List the installed plugins and their kinds.

    Each of them is imported; one that cannot be used is listed as rejected, with the reason.
    """
    from mdacore.assembly import discover_all

    discovery = discover_all()
    if as_json:
        for facts in (*map(_offer_facts, discovery.plugins), *map(_rejection_facts, discovery.rejected)):
            print(json.dumps(facts))
    elif discovery.plugins or discovery.rejected:
        _print_table([("PLUGIN", "DISTRIBUTION", "OFFERS"), *_rows(discovery)])
    else:
        print("No plugins are installed; try: pip install mdacore-edge-smtp")


@click.command()
def version() -> None:
    """Print the versions of mdacore and its plugins."""
    from mdacore.assembly import installed

    rows = [(name, metadata.version(name)) for name in ("mdacore", "gevent")]
    rows.insert(1, ("Python", platform.python_version()))
    _print_table([*rows, *((plugin.name, plugin.version or "?") for plugin in installed())])


def _rows(discovery: Discovery) -> Iterator[tuple[str, ...]]:
    for plugin in discovery.plugins:
        for number, (role, providers) in enumerate((role, some) for role, some in plugin.providers.items() if some):
            kinds = ", ".join(f"{one.kind} (default)" if one.default else one.kind for one in providers)
            names = (plugin.name, f"{plugin.distribution} {plugin.version}") if number == 0 else ("", "")
            yield (*names, f"{role.noun}: {kinds}")
    for rejected in discovery.rejected:
        yield rejected.name, f"{rejected.distribution} {rejected.version}", f"rejected: {rejected.reason}"


def _offer_facts(plugin: Plugin) -> dict[str, Any]:
    kinds = [
        {"role": role.noun, "kind": provider.kind, "default": provider.default}
        for role, offered in plugin.providers.items()
        for provider in offered
    ]
    return {**_name_facts(plugin), "kinds": kinds}


def _rejection_facts(rejected: Rejected) -> dict[str, Any]:
    return {**_name_facts(rejected), "rejected": rejected.reason}


def _name_facts(plugin: Plugin | Rejected) -> dict[str, Any]:
    return {"plugin": plugin.name, "distribution": plugin.distribution, "version": plugin.version}


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
