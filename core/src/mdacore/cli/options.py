"""The options that say which configuration is meant; all commands that need one have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mdacore.assembly import Options

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

CONFIG_VARIABLE = "MDACORE_CONFIG"

_OPTIONS = (
    click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        envvar=CONFIG_VARIABLE,
        metavar="FILE",
        help=f"The TOML file (or ${CONFIG_VARIABLE}). Without one the plugins' defaults make a working whole.",
    ),
    click.option(
        "--plugins",
        metavar="NAME,NAME...",
        help="The plugins to use, instead of those that the file names; `mdacore plugins` lists what is installed.",
    ),
    click.option(
        "--state",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Where spool and mailboxes are kept when their paths are relative.",
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one key, as in relays.local.path=/srv/mail; may be repeated.",
    ),
)


def configuration_options(command: CommandT) -> CommandT:
    """Add the options to a command, which gets them as ``config``, ``plugins``, ``state`` and ``overrides``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def make_options(config: Path | None, plugins: str | None, state: Path | None, overrides: Sequence[str]) -> Options:
    """What was asked for, as the assembly understands it."""
    from mdacore.assembly import Options

    names = None if plugins is None else [name.strip() for name in plugins.split(",") if name.strip()]
    return Options(config=config, plugins=names, state=state, overrides=overrides)
