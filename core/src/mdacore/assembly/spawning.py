"""SpawnRegistry: what the relays of one assembly want to run as other users, collected while they are built.

Nothing is started in here. The service forks its helper with these templates and connects it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import ENOTCONN
from typing import Protocol

from mdacore.contracts import CommandTemplate, NoSpawning, SpawnedProcess, Spawner


class Spawn(Protocol):
    """What a helper does: `Spawner.spawn` with the template's number."""

    def __call__(
        self,
        template: int,
        values: Sequence[str],
        *,
        stdin_fd: int,
        output_fd: int,
        on_exit: Callable[[int], object],
    ) -> SpawnedProcess: ...


class SpawnRegistry:
    """A Spawning. `has_helper`: the configuration asks for one; else nothing can be registered."""

    def __init__(self, *, has_helper: bool = False) -> None:
        self._has_helper = has_helper
        self._templates: list[CommandTemplate] = []
        self._spawn: Spawn = _not_connected

    @property
    def templates(self) -> Sequence[CommandTemplate]:
        """All of them; each is called by its place."""
        return tuple(self._templates)

    def register(self, template: CommandTemplate) -> Spawner:
        """Raises ValueError without a helper."""
        if not self._has_helper:
            return NoSpawning().register(template)
        self._templates.append(template)
        return _Spawner(self, len(self._templates) - 1)

    def connect(self, spawn: Spawn) -> None:
        """From now on there is a helper, forked with `templates`."""
        self._spawn = spawn

    def spawn(
        self,
        template: int,
        values: Sequence[str],
        *,
        stdin_fd: int,
        output_fd: int,
        on_exit: Callable[[int], object],
    ) -> SpawnedProcess:
        """As `Spawner.spawn`."""
        return self._spawn(template, values, stdin_fd=stdin_fd, output_fd=output_fd, on_exit=on_exit)


class _Spawner:
    """One template's."""

    def __init__(self, registry: SpawnRegistry, template: int) -> None:
        self._registry = registry
        self._template = template

    def spawn(
        self, values: Sequence[str], *, stdin_fd: int, output_fd: int, on_exit: Callable[[int], object]
    ) -> SpawnedProcess:
        """As the contract says."""
        return self._registry.spawn(self._template, values, stdin_fd=stdin_fd, output_fd=output_fd, on_exit=on_exit)


def _not_connected(
    template: int,  # noqa: ARG001 - the protocol's parameters
    values: Sequence[str],  # noqa: ARG001
    *,
    stdin_fd: int,  # noqa: ARG001
    output_fd: int,  # noqa: ARG001
    on_exit: Callable[[int], object],  # noqa: ARG001
) -> SpawnedProcess:
    raise OSError(ENOTCONN, "the service has not started its spawn helper")
