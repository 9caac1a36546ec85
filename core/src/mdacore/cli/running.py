"""``mdacore run``."""

from __future__ import annotations

from typing import Any

import click

from mdacore.cli.options import configuration_options, make_options


@click.command()
@configuration_options
@click.option(
    "--init-spool",
    is_flag=True,
    help="Make new stores in existing empty folders too; else they are refused: perhaps nothing is mounted there.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="The least important events that are written; the same as --set log.level=...",
)
def run(*, init_spool: bool, log_level: str | None, overrides: tuple[str, ...], **options: Any) -> int:
    """Accept and deliver mail until SIGTERM or Ctrl-C.

    It stays in the foreground, and its log goes to standard output. The configuration is proved before anything is
    started; if it cannot work, nothing is started and every problem is printed.
    """
    from mdacore.assembly import Assembly, make_plan
    from mdacore.contracts import InitializableStorage
    from mdacore.service import serve

    if log_level is not None:
        overrides = (*overrides, f'log.level="{log_level}"')
    assembly = Assembly.build(make_plan(make_options(overrides=overrides, **options)))
    for storage in assembly.storages.values() if init_spool else ():
        if isinstance(storage, InitializableStorage):
            storage.allow_init()
    return serve(assembly)
