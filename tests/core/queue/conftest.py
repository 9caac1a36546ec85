"""A queue over a memory storage and a scripted relay, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from mdacore import Client, Envelope, NewMessage, SessionId, testing
from mdacore.log import get_log
from mdacore.queue import BoundRelay, Queue, QueueWiring, RetrySchedule, Route
from mdacore.testing import ManualClock, MemoryStorage, ScriptedRelay


@attrs.define
class Bench:
    """One queue and everything around it."""

    clock: ManualClock
    storage: MemoryStorage
    relay: ScriptedRelay
    queue: Queue


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench() -> Iterator[MakeBench]:
    """Build and start a queue; keywords change its wiring. Stopped at the end of the test."""
    queues: list[Queue] = []

    def make(relay: ScriptedRelay | None = None, **changes: object) -> Bench:
        clock = ManualClock()
        storage = MemoryStorage(clock)
        relay = relay or ScriptedRelay()
        concurrency = int(str(changes.pop("concurrency", 20)))
        wiring = QueueWiring(
            name="main",
            hostname="mx.example.test",
            storage=storage,
            routes=[Route(domains=None, relay="local")],
            relays={"local": BoundRelay(instance="local", relay=relay, concurrency=concurrency)},
            retry=RetrySchedule((60.0, 300.0), jitter=0.0),
            lifetime_s=86_400.0,
            clock=clock,
            log=get_log(),
        )
        queue = Queue(attrs.evolve(wiring, **changes))
        queue.start()
        queues.append(queue)
        return Bench(clock, storage, relay, queue)

    yield make
    for queue in queues:
        queue.stop()


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()


@pytest.fixture
def envelope() -> Envelope:
    return make_envelope("bob@example.test")


def make_envelope(*addresses: str, **given: Any) -> Envelope:
    """An envelope from a session; its recipients are numbered in their order."""
    return testing.make_envelope(*addresses, **{"client": Client(session_id=SessionId("session1")), **given})


@pytest.fixture(name="make_envelope")
def _make_envelope() -> Callable[..., Envelope]:
    return make_envelope


@pytest.fixture
def make_new() -> Callable[..., NewMessage]:
    """Makes messages as a storage gets them, due long ago."""

    def make(*addresses: str, due_at: float = 0.0) -> NewMessage:
        return NewMessage(envelope=make_envelope(*addresses), lane="local/", due_at=due_at)

    return make
