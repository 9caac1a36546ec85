"""``mdacore init``, ``mdacore check`` and ``mdacore plan``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mdacore.cli.options import configuration_options, make_options
from mdacore.cli.status import CANNOT_CREATE, CommandFailure

if TYPE_CHECKING:
    from mdacore.assembly import Settings


@click.command()
@click.option("--plugins", required=True, metavar="NAME,NAME...", help="The plugins that the file is to use.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to this file.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def init(plugins: str, output: Path | None, *, force: bool) -> None:
    """Write a commented configuration file.

    It has every key of the core and of the plugins, with its help and its default. As it is written it means the same
    as the plugins without a file.
    """
    from mdacore.assembly import write_template

    text = write_template(make_options(None, plugins, None, ()))
    if output is None:
        sys.stdout.buffer.write(text.encode())  # TOML is UTF-8, whatever the terminal is
        return
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise CommandFailure(f"{output} exists; --force replaces it", CANNOT_CREATE) from error
    except OSError as error:
        raise CommandFailure(f"{output} cannot be written: {error.strerror}", CANNOT_CREATE) from error


@click.command()
@configuration_options
def check(**options: Any) -> None:
    """Prove a configuration without starting anything.

    Agrees with `run`: what passes here fails there only for what cannot be known beforehand, like a port that is taken.
    """
    from mdacore.assembly import make_plan

    settings = make_plan(make_options(**options)).settings
    print(f"{settings.source or 'The configuration'} is good: {_count(settings)}.")


@click.command()
@configuration_options
def plan(**options: Any) -> None:
    """Show what is wired to what, and where each value is from.

    The way of the mail comes first, in the order in which things happen; then every key of every table.
    """
    from mdacore.assembly import make_plan, render_plan

    print(render_plan(make_plan(make_options(**options))), end="")


def _count(settings: Settings) -> str:
    counts = [
        (len(settings.edges), "edge", "edges"),
        (len(settings.queues), "queue", "queues"),
        (len(settings.policies), "policy", "policies"),
        (len(settings.storages), "storage", "storages"),
        (len(settings.relays), "relay", "relays"),
    ]
    return ", ".join(f"{number} {one if number == 1 else many}" for number, one, many in counts)
