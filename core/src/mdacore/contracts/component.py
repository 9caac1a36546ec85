"""Component: what every part of a service is, whatever its role, and what it is given when it is built."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import attrs

from mdacore.contracts.spawning import NoSpawning, Spawning


class Status(enum.Enum):
    """How a component is. A service is as ill as its illest component."""

    OK = "ok"
    DEGRADED = "degraded"
    """It works, but an operator should look."""
    FAILED = "failed"
    """It refuses work until an operator has acted."""


@attrs.frozen(kw_only=True)
class Health:
    """A component's health with the facts behind it; facts are JSON values."""

    status: Status = Status.OK
    reason: str = ""
    facts: Mapping[str, object] = attrs.field(factory=dict)


class Component(Protocol):
    """The life of one instance: built (no I/O), started, drained, stopped.

    The core calls these from one greenlet, in this order: `start` once, `drain` at most once, `stop` once or more.
    """

    def start(self) -> None:
        """Acquire what the component needs: files, locks, threads, greenlets. May block; there is no deadline.

        Raises:
            Exception: the service does not start. Whatever was acquired before is released again by then: a component
                that raises here leaves nothing behind and is not stopped.
        """

    def drain(self, grace_s: float) -> bool:
        """Take no new work and finish what is in hand; return True if nothing was left after at most `grace_s`."""

    def stop(self) -> None:
        """Release everything, cutting short what is still in hand. Idempotent; raises nothing; returns soon."""

    def health(self) -> Health:
        """How it is, from memory: no I/O, no blocking."""


class Clock(Protocol):
    """Time as the queue, the storages and the edges see it; tests put a manual one in its place."""

    def now(self) -> float:
        """Wall time in epoch seconds. It may jump."""

    def monotonic(self) -> float:
        """Seconds from an unknown start; never goes back."""

    def sleep(self, delay_s: float) -> None:
        """Block this greenlet."""


class EventLog(Protocol):
    """Where a component writes its log events; a structlog logger fits.

    `event` is a constant ``"<area>.<past_tense>"``; everything that varies is a keyword. What is bound in this greenlet
    (session_id, queue_id) is added by the log.
    """

    def debug(self, event: str, **fields: object) -> object:
        """Dialogue and detail; off by default."""

    def info(self, event: str, **fields: object) -> object:
        """One line per message per stage."""

    def warning(self, event: str, **fields: object) -> object:
        """An operator may act."""

    def error(self, event: str, **fields: object) -> object:
        """An operator must act. ``exc_info=True`` adds the traceback of the exception being handled."""


@attrs.frozen(kw_only=True)
class Context:
    """What a provider's `build` gets beside its configuration.

    Attributes:
        instance: ``"relays.local"``: the role's table and the instance's name; what logs and errors call it.
        state_path: the service's state folder, absolute. It may not exist yet; relative paths in a configuration are
            under it (`resolve`).
        hostname: the service's own name, as Received fields, greetings and notices use it.
        clock: time.
        log: with ``instance`` bound.
        spawning: for relays that run programs as other users.
    """

    instance: str
    state_path: Path
    hostname: str
    clock: Clock
    log: EventLog
    spawning: Spawning = attrs.field(factory=NoSpawning)

    def resolve(self, path: Path) -> Path:
        """`path` itself if it is absolute, else under the state folder."""
        return self.state_path / path
