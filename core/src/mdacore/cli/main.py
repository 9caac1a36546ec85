"""The command group, and how a command's end becomes an exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TextIO

import click

from mdacore.cli.configuring import check, init, plan
from mdacore.cli.extra import load_command, offered_commands
from mdacore.cli.health import health
from mdacore.cli.inventory import plugins, version
from mdacore.cli.queue import queue
from mdacore.cli.running import run
from mdacore.cli.status import INTERRUPTED, exit_statuses


class _Commands(click.Group):
    """Our own commands and those of installed plugins; each one's errors end as `exit_statuses` says."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        offered = offered_commands()
        if offered:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, f"From {distribution}.") for name, distribution in offered])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or load_command(cmd_name)

    def invoke(self, context: click.Context) -> Any:
        with exit_statuses():
            return super().invoke(context)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mdacore", message="%(prog)s %(version)s")
def cli() -> None:
    """A mail delivery agent assembled from plugins.

    \b
    Try it:     mdacore run --plugins edge_smtp,storage_shelve,policy_headers,relay_maildir
    Keep it:    mdacore init --plugins ... --output mda.toml
                mdacore check --config mda.toml
                mdacore run --config mda.toml
    """


for _command in (run, init, check, plan, plugins, health, queue, version):
    cli.add_command(_command)


def run_command(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status. Text that the terminal cannot show is escaped."""
    for stream in (sys.stdout, sys.stderr):
        _escape_unprintable(stream)
    try:
        status = cli.main(list(arguments), prog_name="mdacore", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    return status if isinstance(status, int) else 0


def _escape_unprintable(stream: TextIO) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
