"""What changes messages: the running service, asked over its control socket, or, where none runs, this process.

Invariant: no storage has two owners, and none is made by a command that only looks for messages.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from mdacore.cli.options import make_options
from mdacore.cli.queue.reading import (
    Reading,
    built_storages,
    read_settings_of,
    reading,
    storage_failure,
    storages_of,
)
from mdacore.cli.status import FAILED, IO_ERROR, CommandFailure
from mdacore.contracts import Change, Query, QueueStorage
from mdacore.words import Content, Envelope, QueueId, StorageError

if TYPE_CHECKING:
    from mdacore.assembly import Settings
    from mdacore.queue import ProxyQueue, Queue
    from mdacore.service.control import ControlClient


class Hand(Protocol):
    """Changes messages. Every method raises CommandFailure."""

    def amend(self, storage: str, query: Query, change: Change) -> Sequence[QueueId]:
        """As `QueueStorage.amend`; the query names at most `MAX_IDS` messages."""

    def restore(self, queue: str, envelope: Envelope, *, held: str, due_at: float, key: str) -> Sequence[QueueId]:
        """As `Queue.restore`."""


@contextmanager
def changing(options: dict[str, Any], queue_name: str = "") -> Iterator[tuple[Reading, Hand]]:
    """The storages and a hand, for messages that are there. Raises as `reading`, and if a storage has another owner."""
    settings = read_settings_of(options, queue_name)
    client = running_service(settings)
    with reading(options, queue_name) as beside:
        if client is not None:
            yield beside, _ServiceHand(client)
            return
    with _owned(settings, built_storages(settings, queue_name), {}) as own:
        yield Reading(own.storages), own


@contextmanager
def storing(options: dict[str, Any]) -> Iterator[Hand]:
    """A hand for new messages: without a service the storages are made where there are none."""
    from mdacore.assembly import Assembly, make_plan

    settings = read_settings_of(options)
    client = running_service(settings)
    if client is not None:
        yield _ServiceHand(client)
        return
    assembly = Assembly.build(make_plan(make_options(**options)))
    names = storages_of(settings)
    storages = {name: assembly.storages[f"storages.{name}"] for name in names}
    with _owned(settings, storages, assembly.queues) as own:
        yield own


def running_service(settings: Settings) -> ControlClient | None:
    """Whoever listens at the configured control socket; None = nobody, or none is configured."""
    from mdacore.service.control import ControlClient, NotRunning, RequestFailed
    from mdacore.service.control.requests import Ping

    if not settings.service.control:
        return None
    client = ControlClient(settings.state_path / settings.service.control)
    try:
        client.ask(Ping())
    except NotRunning:
        return None
    except RequestFailed as error:
        raise CommandFailure(str(error)) from error
    return client


@attrs.frozen
class _ServiceHand:
    """The running service's."""

    client: ControlClient

    def amend(self, storage: str, query: Query, change: Change) -> Sequence[QueueId]:
        from mdacore.service.control.requests import Amend

        request = Amend(
            storage=storage,
            queue_ids=tuple(query.queue_ids),
            states=tuple(query.states),
            attempts=query.attempts,
            change=change,
        )
        return self._ids(request)

    def restore(self, queue: str, envelope: Envelope, *, held: str, due_at: float, key: str) -> Sequence[QueueId]:
        from mdacore.service.control.requests import Store
        from mdacore.words.transfer import envelope_facts

        request = Store(
            queue=queue,
            envelope=envelope_facts(envelope),
            held=held,
            due_at=due_at,
            key=key,
            size_bytes=envelope.content.body.size_bytes,
        )
        return self._ids(request, envelope.content.chunks())

    def _ids(self, request: Any, octets: Iterable[bytes] = ()) -> Sequence[QueueId]:
        from mdacore.service.control import NotRunning, RequestFailed

        try:
            return [QueueId(one) for one in self.client.ask(request, octets).get("ids", ())]
        except (NotRunning, RequestFailed) as error:
            raise CommandFailure(str(error)) from error


@attrs.frozen
class _OwnHand:
    """This process's, which owns the storages."""

    storages: Mapping[str, QueueStorage]
    queues: Mapping[str, Queue | ProxyQueue]

    def amend(self, storage: str, query: Query, change: Change) -> Sequence[QueueId]:
        try:
            return self.storages[storage].amend(query, change)
        except StorageError as error:
            raise storage_failure(storage, error, IO_ERROR) from error

    def restore(self, queue: str, envelope: Envelope, *, held: str, due_at: float, key: str) -> Sequence[QueueId]:
        from mdacore.service.control.incoming import received_body

        own, body = self.queues[f"queues.{queue}"], envelope.content.body
        # a storage may link the file that it is given: that of an export is somebody's, who may change it
        with received_body(body.chunks(), body.size_bytes, own.spool_path) as copied:
            stored = envelope.with_content(Content(copied))
            return own.restore(stored, held=held, due_at=due_at, key=key)


def become_owner(settings: Settings) -> None:
    """Be who the service is, so that it can open afterwards what this process makes."""
    from mdacore.assembly.identity import find_identity
    from mdacore.service.privileges import become
    from mdacore.service.state_folder import StateFolder

    identity = find_identity(settings.service)
    StateFolder(settings.state_path, identity).start()
    if identity is not None and os.geteuid() == 0 and identity.uid != 0:
        become(identity)


@contextmanager
def _owned(
    settings: Settings, storages: Mapping[str, QueueStorage], queues: Mapping[str, Queue | ProxyQueue]
) -> Iterator[_OwnHand]:
    from mdacore import log

    sink = log.configure(level="warning", stream=sys.stderr)
    become_owner(settings)
    with ExitStack() as opened:
        opened.callback(sink.flush)
        for name, storage in storages.items():
            try:
                storage.start()
            except StorageError as error:
                raise storage_failure(name, error, FAILED) from error
            opened.callback(storage.stop)
        yield _OwnHand(storages, queues)
