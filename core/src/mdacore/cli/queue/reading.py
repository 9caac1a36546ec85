"""What a command reads: the storages, opened beside whoever owns them. Nothing is locked, made or changed."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from mdacore.cli.options import make_options
from mdacore.cli.queue.selecting import Selection
from mdacore.cli.status import IO_ERROR, NO_INPUT, CommandFailure
from mdacore.contracts import PeekedMessage, Query, QueueEntry, QueueStorage, State
from mdacore.words import StorageError

if TYPE_CHECKING:
    from mdacore.assembly import Settings

NAMES_AT_ONCE: Final = 500
NOTHING_HELD: Final = "a proxy queue relays while the client waits, and holds no messages"


@attrs.frozen
class Found:
    """An entry and the storage that it is in, by its instance's name."""

    storage: str
    entry: QueueEntry


@attrs.frozen
class Reading:
    """Storages that are open for reading, by their instances' names."""

    storages: Mapping[str, QueueStorage]

    def found(self, selection: Selection) -> Iterator[Found]:
        """What was chosen, storage by storage, by arrival. Raises CommandFailure."""
        return islice(self._all(selection), selection.query.limit)

    def peek(self, found: Found) -> PeekedMessage | None:
        """The whole message; None = it is gone by now. Raises CommandFailure."""
        try:
            return self.storages[found.storage].peek(found.entry.queue_id)
        except StorageError as error:
            raise storage_failure(found.storage, error, IO_ERROR) from error

    def _all(self, selection: Selection) -> Iterator[Found]:
        for name, storage in self.storages.items():
            try:
                for query in _pages(attrs.evolve(selection.query, limit=None)):
                    for entry in selection.of(storage.entries(query)):
                        yield Found(name, entry)
            except StorageError as error:
                raise storage_failure(name, error, IO_ERROR) from error


def _pages(query: Query) -> Iterator[Query]:
    """The same query, or several that name some of the messages each: a storage may look through them for each page."""
    names = iter(query.queue_ids)
    if not query.queue_ids:
        yield query
    while some := dict.fromkeys(islice(names, NAMES_AT_ONCE)):
        yield attrs.evolve(query, queue_ids=some)


def read_settings_of(options: dict[str, Any], queue_name: str = "") -> Settings:
    """The configuration. Raises ConfigError; BadParameter if it has no queue of this name."""
    from mdacore.assembly.configuration import read_settings
    from mdacore.assembly.tree import Report
    from mdacore.assembly.wording import suggest

    report = Report()
    settings = read_settings(make_options(**options), report)
    report.raise_if_any()
    if queue_name and queue_name not in settings.queues:
        hint = f"there is no queue {queue_name!r}{suggest(queue_name, settings.queues)}"
        raise click.BadParameter(hint, param_hint="--queue")
    return settings


@contextmanager
def reading(options: dict[str, Any], queue_name: str = "") -> Iterator[Reading]:
    """The storages of the queue, or of all queues. Raises CommandFailure, ConfigError, BadParameter."""
    settings = read_settings_of(options, queue_name)
    storages = built_storages(settings, queue_name)
    if not storages:
        print(f"mdacore: {queue_name or ', '.join(settings.queues)}: {NOTHING_HELD}", file=sys.stderr)
    with ExitStack() as opened:
        for name, storage in storages.items():
            try:
                storage.start_reading()
            except StorageError as error:
                raise storage_failure(name, error, NO_INPUT) from error
            opened.callback(storage.stop)
        yield Reading(storages)


def built_storages(settings: Settings, queue_name: str) -> Mapping[str, QueueStorage]:
    """The storages of the queue, or of all queues, built and not opened. Raises ConfigError."""
    from mdacore.assembly.build import Builder
    from mdacore.assembly.tree import Report

    report = Report()
    builder = Builder(settings.state_path, settings.hostname, report)
    storages = {name: builder.build(settings.storages[name]) for name in storages_of(settings, queue_name)}
    report.raise_if_any()
    return storages


def storages_of(settings: Settings, queue_name: str = "") -> Collection[str]:
    """The storages of the queue, or of all queues, each once; a proxy has none."""
    queues = [queue for name, queue in settings.queues.items() if queue_name in ("", name)]
    return dict.fromkeys(queue.keys.storage for queue in queues if queue.keys.storage is not None)


def storage_failure(storage: str, error: StorageError, status: int) -> CommandFailure:
    """What an operator is told."""
    return CommandFailure(f"storages.{storage}: {error}", status)


def state_now(reading_: Reading, found: Found) -> State | None:
    """Where a message is by now; None = it is gone."""
    query = Query(queue_ids=[found.entry.queue_id])
    return next(
        (one.entry.state for one in reading_.found(Selection(query=query)) if one.storage == found.storage), None
    )
