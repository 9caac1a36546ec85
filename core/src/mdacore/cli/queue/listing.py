"""``mdacore queue list``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import click

from mdacore.cli.options import configuration_options
from mdacore.cli.queue.reading import Found, reading
from mdacore.cli.queue.selecting import pop_selection, selection_options
from mdacore.cli.queue.wording import HEAD, counted, entry_lines, facts, row, size


@click.command(name="list")
@configuration_options
@selection_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def list_(*, as_json: bool, **options: Any) -> None:
    """List messages with the recipients that are still open, the oldest first.

    \b
    After the id: * = being attempted now, ! = held.
    Nothing is locked or changed; the service may run or not.
    """
    selection = pop_selection(options)
    with reading(options, selection.query.queue) as storages:
        (print_json if as_json else print_table)(storages.found(selection))


def print_json(found: Iterable[Found]) -> None:
    """One object a line."""
    for one in found:
        print(json.dumps(facts(one.entry)))


def print_table(found: Iterable[Found]) -> None:
    """For people; each as soon as it is found."""
    number = size_bytes = width = 0
    for entry in (one.entry for one in found):
        width = width or len(entry.queue_id) + 1
        if number == 0:
            print(row(HEAD, width))
        print("\n".join(entry_lines(entry, width, time.time())))
        number, size_bytes = number + 1, size_bytes + entry.size_bytes
    print(f"-- {counted(number)}, {size(size_bytes)} bytes" if number else "No messages.")
