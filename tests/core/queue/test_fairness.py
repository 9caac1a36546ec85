"""Old and new mail of one lane: neither keeps the other waiting, whatever storage there is."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from mdacore import NewMessage, Reply
from mdacore.log import get_log
from mdacore.queue import BoundRelay, Queue, QueueWiring, RetrySchedule, Route
from mdacore.runtime import SystemClock
from mdacore.testing import MemoryStorage, ScriptedRelay, make_context

OK = Reply.parse("250 2.0.0 Delivered")


class Gate:
    """A relay that delivers one message each time it is told to."""

    def __init__(self) -> None:
        self._turns = Event()
        self._free = 0
        self.delivered: list[str] = []
        self.relay = ScriptedRelay(self._attempt)

    def _attempt(self, envelope, attempt):
        while not self._free:
            self._turns.clear()
            self._turns.wait()
        self._free -= 1
        self.delivered.append(envelope.recipients[0].address)
        return {0: OK}

    def deliver_one(self) -> None:
        count = len(self.delivered)
        self._free += 1
        self._turns.set()
        with gevent.Timeout(60):
            while len(self.delivered) == count:
                gevent.sleep(0.001)


@pytest.fixture(params=["memory", "shelve"])
def storage(request, tmp_path):
    """A real one, and one that shows the queue's own doing."""
    clock = SystemClock()
    if request.param == "memory":
        yield MemoryStorage(clock)
        return
    shelve = pytest.importorskip("mdacore_storage_shelve")
    (provider,) = shelve.mdacore_storages()
    storage = provider.build(provider.config(), make_context(state_path=tmp_path, clock=clock))
    storage.start()
    yield storage
    storage.stop()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def queue(storage, gate):
    clock = SystemClock()
    wiring = QueueWiring(
        name="main",
        hostname="mx.example.test",
        storage=storage,
        routes=[Route(domains=None, relay="local")],
        relays={"local": BoundRelay(instance="local", relay=gate.relay, concurrency=1)},
        retry=RetrySchedule((60.0,)),
        lifetime_s=86_400.0,
        claims_max=1000,
        clock=clock,
        log=get_log(),
    )
    queue = Queue(wiring)
    yield queue
    queue.stop()


def store_old(storage, make_envelope, count):
    """Due for an hour, as after an outage."""
    due_at = SystemClock().now() - 3600
    old = [NewMessage(envelope=make_envelope(f"old{n}@a.test"), lane="local/", due_at=due_at + n) for n in range(count)]
    storage.write(old, queue="main")


def send_new(queue, make_envelope, numbers):
    for number in numbers:
        queue.accept(make_envelope(f"new{number}@a.test", received_at=SystemClock().now()))


def test_under_a_constant_stream_of_new_mail_the_oldest_due_is_attempted_soon(queue, storage, gate, make_envelope):
    """More comes than the relay takes: its lane is never empty of new mail."""
    queue.start()
    send_new(queue, make_envelope, range(100))
    store_old(storage, make_envelope, 1)
    for turn in range(200):
        send_new(queue, make_envelope, range(100 + 2 * turn, 102 + 2 * turn))
        gate.deliver_one()
        if "old0@a.test" in gate.delivered:
            break

    assert "old0@a.test" in gate.delivered[:150]


def test_while_a_backlog_is_worked_off_new_mail_gets_its_share(queue, storage, gate, make_envelope):
    store_old(storage, make_envelope, 300)
    queue.start()
    with gevent.Timeout(60):
        while queue.health().facts["unsettled"] < 50:
            gevent.sleep(0.001)

    send_new(queue, make_envelope, range(20))
    for _ in range(60):
        gate.deliver_one()

    new = [address for address in gate.delivered if address.startswith("new")]
    assert 20 == len(new)
    assert 35 <= len(gate.delivered) - len(new)


def test_what_is_due_longest_goes_first(queue, storage, gate, make_envelope):
    store_old(storage, make_envelope, 40)
    queue.start()

    for _ in range(40):
        gate.deliver_one()

    assert [f"old{number}@a.test" for number in range(40)] == gate.delivered
