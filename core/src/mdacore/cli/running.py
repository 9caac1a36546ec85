"""``mdacore run``."""

from __future__ import annotations

from typing import Any

import click

from mdacore.cli.options import configuration_options, make_options


@click.command()
@configuration_options
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="The least important events that are written; the same as --set log.level=...",
)
def run(log_level: str | None, overrides: tuple[str, ...], **options: Any) -> int:
    """Accept and deliver mail until SIGTERM or Ctrl-C.

    It stays in the foreground, and its log goes to standard output. The configuration is proved before anything is
    started; if it cannot work, nothing is started and every problem is printed.
    """
    from mdacore.assembly import Assembly, make_plan
    from mdacore.service import serve

    if log_level is not None:
        overrides = (*overrides, f'log.level="{log_level}"')
    return serve(Assembly.build(make_plan(make_options(overrides=overrides, **options))))
