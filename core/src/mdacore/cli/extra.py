"""Commands that plugins bring along: click commands named by entry points in the group ``mdacore.commands``.

One is imported only when it is asked for, so that ``--help`` stays quick. One that cannot be loaded says so when it is
used, and leaves the others alone; it cannot take the name of one of ours.
"""

from __future__ import annotations

from importlib import metadata

import click

from mdacore.assembly.guard import PluginFault, guard

ENTRY_POINT_GROUP = "mdacore.commands"


def offered_commands() -> list[tuple[str, str]]:
    """Their names and the distributions that bring them, from metadata alone."""
    points = metadata.entry_points(group=ENTRY_POINT_GROUP)
    return sorted((point.name, point.dist.name if point.dist else "somewhere") for point in points)


def load_command(name: str) -> click.Command | None:
    """The command of this name, or None if no plugin offers it."""
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP, name=name):
        try:
            command = guard(point.load)
        except PluginFault as fault:
            return _broken(name, fault.sentence())
        return command if isinstance(command, click.Command) else _broken(name, "it is not a click command")
    return None


def _broken(name: str, reason: str) -> click.Command:
    def refuse() -> None:
        raise click.ClickException(f"{name} cannot be loaded: {reason}")

    return click.Command(name, callback=refuse, help=f"Cannot be loaded: {reason}")
