"""Contexts to build a component with, and a component's life around a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from mdacore.contracts import Chain, Clock, Component, Context, EdgeContext, EventLog, Handoff
from mdacore.testing.clock import ManualClock
from mdacore.testing.handoff import RecordingHandoff
from mdacore.testing.logs import CapturedLog

ComponentT = TypeVar("ComponentT", bound=Component)

NOWHERE = Path("/dev/null/state")
"""A state folder that nobody can make, root neither: what is written there without having been asked for fails."""
HOSTNAME = "mx.example.test"


def make_context(
    instance: str = "relays.local",
    *,
    state_path: Path = NOWHERE,
    hostname: str = HOSTNAME,
    clock: Clock | None = None,
    log: EventLog | None = None,
) -> Context:
    """What a storage, a policy or a relay is built with.

    `clock` is a new ManualClock and `log` a new CapturedLog unless they are given; a CapturedLog gets the instance's
    name bound, as the core does it.
    """
    return Context(
        instance=instance,
        state_path=state_path,
        hostname=hostname,
        clock=clock or ManualClock(),
        log=_log(log, instance),
    )


def make_edge_context(
    instance: str = "edges.mx",
    *,
    state_path: Path = NOWHERE,
    hostname: str = HOSTNAME,
    clock: Clock | None = None,
    log: EventLog | None = None,
    handoff: Handoff | None = None,
    validators: Chain | None = None,
) -> EdgeContext:
    """What an edge is built with; `handoff` is a new RecordingHandoff and nobody objects unless they are given."""
    return EdgeContext(
        instance=instance,
        state_path=state_path,
        hostname=hostname,
        clock=clock or ManualClock(),
        log=_log(log, instance),
        handoff=handoff or RecordingHandoff(),
        validators=validators or Chain(),
    )


@contextlib.contextmanager
def running(component: ComponentT) -> Iterator[ComponentT]:
    """The component, started; stopped at the end. One that could not start is not stopped, as the contract says."""
    component.start()
    try:
        yield component
    finally:
        component.stop()


def _log(log: EventLog | None, instance: str) -> EventLog:
    if log is None or isinstance(log, CapturedLog):
        return (log or CapturedLog()).for_instance(instance)
    return log
