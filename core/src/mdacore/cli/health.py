"""``mdacore health``: how the running service is, asked over its control socket."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from mdacore.cli.options import configuration_options
from mdacore.cli.status import FAILED, UNAVAILABLE, CommandFailure
from mdacore.words import printable


@click.command()
@configuration_options
@click.option("--strict", is_flag=True, help="Status 1 also where something is only degraded.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def health(*, strict: bool, as_json: bool, **options: Any) -> int:
    """Say how the running service and each of its instances is.

    \b
    Status 0 = it works (degraded too, but not with --strict),
    1 = something has failed, 69 = no service listens.
    """
    instances = _instances(options)
    print("\n".join(map(json.dumps, instances) if as_json else _lines(instances)))
    statuses = {str(one["status"]) for one in instances}
    return FAILED if "failed" in statuses or (strict and "degraded" in statuses) else 0


def _instances(options: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
    from mdacore.cli.queue.reading import read_settings_of
    from mdacore.service.control import ControlClient, NotRunning, RequestFailed
    from mdacore.service.control.requests import HealthOf

    settings = read_settings_of(options)
    if not settings.service.control:
        raise CommandFailure("the service has no control socket: service.control is empty", UNAVAILABLE)
    client = ControlClient(settings.state_path / settings.service.control)
    try:
        instances: Sequence[Mapping[str, Any]] = client.ask(HealthOf())["instances"]
    except (NotRunning, RequestFailed) as error:
        raise CommandFailure(str(error), UNAVAILABLE) from error
    return instances


def _lines(instances: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    width = max(len(str(one["instance"])) for one in instances)
    for one in instances:
        reasons = [one["reason"], *_calls(one["calls"])]
        text = "; ".join(printable(reason) for reason in reasons if reason)
        yield f"{one['instance']:<{width}}  {one['status']:<8}  {text}".rstrip()


def _calls(calls: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for call, circuit in calls.items():
        if circuit["state"] != "ok":
            yield f"{call} is {circuit['state']} after {circuit['faults']} faults: {circuit['last_fault']}"
