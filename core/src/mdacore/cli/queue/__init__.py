"""``mdacore queue``: an operator looks into the queues and changes what is in them, beside the service or without it.

What is read is read from the storages themselves, and costs the running service nothing; what is changed is changed by
whoever has the storage: the running service, asked over its control socket, or else this command.
"""

import click

from mdacore.cli.queue.carrying import export, import_
from mdacore.cli.queue.changing import CHANGES
from mdacore.cli.queue.counting import count, top
from mdacore.cli.queue.listing import list_
from mdacore.cli.queue.recovering import recover
from mdacore.cli.queue.showing import show

__all__ = ["queue"]


@click.group()
def queue() -> None:
    """Look into the queues, and change what is in them."""


for _command in (list_, show, count, top, *CHANGES, export, import_, recover):
    queue.add_command(_command)
