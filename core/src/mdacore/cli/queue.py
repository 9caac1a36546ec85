"""``mdacore queue list``: what is in the queues, read beside whoever serves them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import click

from mdacore.cli.options import configuration_options, make_options
from mdacore.cli.status import IO_ERROR, NO_INPUT, CommandFailure
from mdacore.contracts import Query, QueueEntry, QueueStorage, State
from mdacore.words import QueueId, StorageError, printable

if TYPE_CHECKING:
    from mdacore.assembly import Settings

_MARKS = {State.ACTIVE: "*", State.HELD: "!", State.DUE: " "}
_HEAD = ("ID", "SIZE", "ARRIVED", "NEXT ATTEMPT", "TRIES", "SENDER")


@click.group()
def queue() -> None:
    """Look into the queues."""


@queue.command(name="list")
@configuration_options
@click.option("--queue", "queue_name", default="", metavar="NAME", help="Only this queue.")
@click.option("--id", "ids", multiple=True, metavar="ID", help="Only this message; may be repeated.")
@click.option(
    "--only",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in State]),
    help="Only messages that wait, are being attempted, or are held; may be repeated.",
)
@click.option("--sender", metavar="ADDRESS", help='Only from this sender; "" is the null sender.')
@click.option("--recipient", default="", metavar="ADDRESS", help="Only with this open recipient.")
@click.option("--domain", default="", metavar="DOMAIN", help="Only with an open recipient in this domain.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def list_(
    *,
    queue_name: str,
    ids: tuple[str, ...],
    states: tuple[str, ...],
    as_json: bool,
    sender: str | None,
    recipient: str,
    domain: str,
    limit: int | None,
    **options: Any,
) -> None:
    """List messages with the recipients that are still open, the oldest first.

    \b
    After the id: * = being attempted now, ! = held.
    Nothing is locked or changed; the service may run or not.
    """
    query = Query(
        queue=queue_name,
        queue_ids=tuple(map(QueueId, ids)),
        states=tuple(map(State, states)),
        sender=sender,
        recipient=recipient,
        domain=domain,
        limit=limit,
    )
    entries = _entries(_storages(options, queue_name), query)
    (_print_json if as_json else _print_table)(entries)


def _storages(options: dict[str, Any], queue_name: str) -> Mapping[str, QueueStorage]:
    """The storages of the queue, or of all queues, built and not yet opened, by their names."""
    from mdacore.assembly.build import Builder
    from mdacore.assembly.configuration import read_settings
    from mdacore.assembly.tree import Report

    report = Report()
    settings = read_settings(make_options(**options), report)
    report.raise_if_any()
    builder = Builder(settings.state_path, settings.hostname, report)
    storages = {name: builder.build(settings.storages[name]) for name in _storage_names(settings, queue_name)}
    report.raise_if_any()
    return storages


def _storage_names(settings: Settings, queue_name: str) -> list[str]:
    from mdacore.assembly.wording import suggest

    if queue_name and queue_name not in settings.queues:
        hint = f"there is no queue {queue_name!r}{suggest(queue_name, settings.queues)}"
        raise click.BadParameter(hint, param_hint="--queue")
    queues = [queue for name, queue in settings.queues.items() if queue_name in ("", name)]
    return list(dict.fromkeys(queue.keys.storage for queue in queues))


def _entries(storages: Mapping[str, QueueStorage], query: Query) -> Iterator[QueueEntry]:
    left = query.limit
    for name, storage in storages.items():
        for entry in _entries_of(name, storage, attrs.evolve(query, limit=left)):
            yield entry
            left = None if left is None else left - 1
        if left == 0:
            return


def _entries_of(name: str, storage: QueueStorage, query: Query) -> Iterator[QueueEntry]:
    try:
        storage.start_reading()
    except StorageError as error:
        raise CommandFailure(f"storages.{name}: {error}", NO_INPUT) from error
    try:
        yield from storage.entries(query)
    except StorageError as error:
        raise CommandFailure(f"storages.{name}: {error}", IO_ERROR) from error
    finally:
        storage.stop()


def _print_json(entries: Iterator[QueueEntry]) -> None:
    for entry in entries:
        print(json.dumps(_facts(entry)))


def _facts(entry: QueueEntry) -> dict[str, Any]:
    """The fields that `postqueue -j` has under its names, and ours after them."""
    return {
        "queue_name": entry.queue,
        "queue_id": entry.queue_id,
        "arrival_time": int(entry.accepted_at),
        "message_size": entry.size_bytes,
        "sender": entry.sender,
        "recipients": [
            {"address": address, "delay_reason": str(reply) if reply else ""} for address, reply in entry.recipients
        ],
        "state": entry.state.value,
        "next_attempt_time": int(entry.due_at),
        "attempts": entry.attempts,
        "lane": entry.lane,
        "held": entry.held,
    }


def _print_table(entries: Iterator[QueueEntry]) -> None:
    number = size_bytes = width = 0
    for entry in entries:
        width = width or len(entry.queue_id) + 1
        if number == 0:
            print(_row(_HEAD, width))
        print("\n".join(_lines(entry, width)))
        number, size_bytes = number + 1, size_bytes + entry.size_bytes
    messages = "1 message" if number == 1 else f"{number} messages"
    print(f"-- {messages}, {size_bytes} bytes" if number else "No messages.")


def _lines(entry: QueueEntry, width: int) -> Iterator[str]:
    due = "-" if entry.state is State.HELD else _local_time(entry.due_at)
    facts = (str(entry.size_bytes), _local_time(entry.accepted_at), due, str(entry.attempts))
    yield _row((entry.queue_id + _MARKS[entry.state], *facts, printable(entry.sender) or "<>"), width)
    if entry.held:
        yield f"    held: {printable(entry.held)}"
    for address, reply in entry.recipients:
        yield f"    {printable(address)}"
        if reply is not None:
            yield f"        {printable(str(reply))}"


def _row(cells: tuple[str, ...], width: int) -> str:
    name, size, arrived, due, attempts, sender = cells
    return f"{name:<{width}}  {size:>10}  {arrived:<19}  {due:<19}  {attempts:>5}  {sender}"


def _local_time(epoch_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_s))
