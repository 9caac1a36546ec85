"""ServiceDesk: does what an operator asks of the running service, and logs who asked.

Invariant: every change of a message is in the log with the user and the process that asked for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import attrs

from mdacore import events
from mdacore.contracts import EventLog, Query, QueueStorage
from mdacore.runtime import BrokenContract, Fence, InstanceHealth
from mdacore.service.control.channel import Channel, Peer
from mdacore.service.control.incoming import received_body
from mdacore.service.control.requests import Amend, HealthOf, Ping, Request, Store
from mdacore.words import MdaError, QueueId
from mdacore.words.transfer import envelope_of

if TYPE_CHECKING:
    from mdacore.assembly import Assembly

WORK_S: Final = 60.0
"""How long a storage may take over one request."""


class ServiceDesk:
    """The desk of one service."""

    def __init__(self, assembly: Assembly, health: Callable[[], Mapping[str, InstanceHealth]], log: EventLog) -> None:
        self._assembly = assembly
        self._health = health
        self._log = log

    def serve(self, request: Request, peer: Peer, channel: Channel) -> dict[str, object]:
        match request:
            case Ping():
                return self._pong()
            case HealthOf():
                return {"instances": [health_facts(one) for one in self._health().values()]}
            case Amend():
                return {"ids": list(self._amend(request, peer))}
            case Store():
                return {"ids": list(self._store(request, peer, channel))}

    def _pong(self) -> dict[str, object]:
        state = str(self._assembly.plan.settings.state_path)
        return {"pid": os.getpid(), "uid": os.geteuid(), "version": metadata.version("mdacore"), "state": state}

    def _amend(self, request: Amend, peer: Peer) -> list[QueueId]:
        label = f"storages.{request.storage}"
        storage = self._assembly.storages.get(label)
        if storage is None:
            raise ValueError(f"the running service has no storage {request.storage!r}; was its configuration changed?")
        amended = Fence(label, self._log, WORK_S, passes_verdicts=False).call(amend, storage, request)
        for queue_id in amended:
            self._log.info(
                events.QUEUE_AMENDED, queue_id=queue_id, change=request.change.value, uid=peer.uid, pid=peer.pid
            )
        return amended

    def _store(self, request: Store, peer: Peer, channel: Channel) -> list[QueueId]:
        queue = self._assembly.queues.get(f"queues.{request.queue}")
        if queue is None:
            raise ValueError(f"the running service has no queue {request.queue!r}")
        if (refusal := queue.refusal(request.size_bytes)) is not None:
            raise MdaError(str(refusal))
        channel.send({"go": True})
        with received_body(channel.octets(request.size_bytes), request.size_bytes, queue.spool_path) as body:
            envelope = envelope_of(request.envelope, body)
            ids = list(queue.restore(envelope, held=request.held, due_at=request.due_at, key=request.key))
        for queue_id in ids:
            self._log.info(events.QUEUE_IMPORTED, queue_id=queue_id, sender=envelope.sender, uid=peer.uid, pid=peer.pid)
        return ids


def amend(storage: QueueStorage, request: Amend) -> list[QueueId]:
    """Those that were changed. Raises as the storage does."""
    query = Query(queue_ids=request.queue_ids, states=request.states, attempts=request.attempts)
    amended: object = storage.amend(query, request.change)
    if not isinstance(amended, list | tuple) or not set(amended) <= set(request.queue_ids):
        raise BrokenContract(f"amend() of {len(request.queue_ids)} messages gave a {type(amended).__name__}")
    return [QueueId(one) for one in amended]


def health_facts(one: InstanceHealth) -> dict[str, Any]:
    """One instance's health as JSON values."""
    return {
        "instance": one.instance,
        "status": one.status.value,
        "reason": one.own.reason,
        "facts": _plain(one.own.facts),
        "calls": {
            call: {**attrs.asdict(circuit), "state": circuit.state.value} for call, circuit in one.circuits.items()
        },
    }


def _plain(value: object) -> Any:
    """A plugin's facts: what is no JSON value becomes text, so that one plugin's slip does not hide the others."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value)
