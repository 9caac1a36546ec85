"""What the simulation has found in the queue, each in as few steps as show it, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest
from queuesim.virtual_time import VirtualClock, virtual_hub

from mdacore import Envelope, NewMessage, Query, Reply, StorageError
from mdacore.contracts import State
from mdacore.log import get_log
from mdacore.queue import BoundRelay, Queue, QueueWiring, RetrySchedule, Route
from mdacore.runtime import Breaker
from mdacore.testing import MemoryStorage, ScriptedRelay, make_envelope

LATER = Reply.parse("451 4.2.1 Mailbox busy")
OK = Reply.parse("250 2.0.0 Delivered")
MakeQueue = Callable[..., tuple[Queue, MemoryStorage]]


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """This test's hub is virtual: a day of sleeping takes no time."""
    with virtual_hub() as hub:
        yield VirtualClock(hub.loop)


@pytest.fixture
def make_queue(clock: VirtualClock) -> Iterator[MakeQueue]:
    """A started queue on a memory storage."""
    queues = []

    def make(
        relay: ScriptedRelay,
        *,
        claims_max: int = 1000,
        breaker: Breaker | None = None,
        storage: MemoryStorage | None = None,
    ) -> tuple[Queue, MemoryStorage]:
        storage = storage or MemoryStorage(clock)
        bound = BoundRelay(instance="local", relay=relay, concurrency=1, deadline_s=30.0, breaker=breaker)
        wiring = QueueWiring(
            name="main",
            hostname="mx.example.test",
            storage=storage,
            routes=[Route(domains=None, relay="local")],
            relays={"local": bound},
            retry=RetrySchedule((60.0,), jitter=0.0),
            lifetime_s=86_400.0,
            claims_max=claims_max,
            clock=clock,
            log=get_log(),
        )
        queues.append(Queue(wiring))
        queues[-1].start()
        return queues[-1], storage

    yield make
    for queue in queues:
        queue.stop()
        gevent.sleep(1.0)


def received(clock: VirtualClock, address: str) -> Envelope:
    return make_envelope(address, received_at=clock.now())


def test_what_was_given_back_because_its_relay_is_off_is_claimed_again(clock, make_queue):
    """One destination switches the relay off while another one's mail becomes due, which is claimed and given back."""
    relay = ScriptedRelay(LATER, RuntimeError("boom"), OK, by_domain=True)
    queue, storage = make_queue(relay, claims_max=1, breaker=Breaker(clock=clock, faults_max=1))
    queue.accept(received(clock, "b@two.test"))
    gevent.sleep(58.0)
    queue.accept(received(clock, "a@one.test"))

    gevent.sleep(3600.0)

    assert [] == list(storage.entries(Query()))


def test_a_dead_destination_leaves_room_for_others_also_where_few_may_be_in_hand(clock, make_queue):
    """The rule that half of `claims_max` stays free is looked at before a claim; one claim may then take all of it."""

    def by_domain(envelope, attempt):
        if envelope.recipients[0].address.endswith("@dead.test"):
            gevent.sleep(1e6)
        return {0: OK}

    relay = ScriptedRelay(by_domain, by_domain=True)
    queue, _ = make_queue(relay, claims_max=16)
    for number in range(40):
        queue.accept(received(clock, f"user{number}@dead.test"))
    gevent.sleep(31.0)

    queue.accept(received(clock, "x@quick.test"))
    gevent.sleep(10.0)

    assert any(envelope.recipients[0].address == "x@quick.test" for envelope, _ in relay.attempts)


def store_suspect(storage: MemoryStorage, crashes: int) -> None:
    """One message that was claimed in so many crashes."""
    storage.write(
        [NewMessage(envelope=make_envelope("suspect@one.test"), lane="local/one.test", due_at=0.0)], queue="main"
    )
    for _ in range(crashes):
        storage.claim("main", 1) or storage.claim_suspect("main")
        storage.crash()


def states(storage: MemoryStorage) -> list[State]:
    return [entry.state for entry in storage.entries(Query())]


class TestSuspects:
    def test_one_that_cannot_be_held_now_is_held_later(self, clock, make_queue):
        storage = MemoryStorage(clock)
        store_suspect(storage, 4)
        storage.fail_next["settle"] = [StorageError("disk")]

        make_queue(ScriptedRelay(OK), storage=storage)
        gevent.sleep(3600.0)

        assert [State.HELD] == states(storage)

    def test_nothing_else_is_attempted_from_its_claim_on(self, clock, make_queue):
        """A crash counts against it from then on, so it must be its own."""

        class Slow(MemoryStorage):
            def claim_suspect(self, queue):
                claim = super().claim_suspect(queue)
                gevent.sleep(0.1)
                return claim

        storage = Slow(clock)
        store_suspect(storage, 2)
        relay = ScriptedRelay(lambda *_: gevent.sleep(1e6))
        queue, _ = make_queue(relay, storage=storage)
        gevent.sleep(0)
        queue.accept(received(clock, "other@one.test"))
        gevent.sleep(0.01)

        assert [] == relay.attempts

    def test_it_is_alone_also_while_new_mail_is_being_stored(self, clock, make_queue):
        """A message that was promised its first attempt when the isolation began comes with its claim during it."""

        class Slow(MemoryStorage):
            delay_s = 0.0

            def claim_suspect(self, queue):
                gevent.sleep(self.delay_s)
                return super().claim_suspect(queue)

            def write(self, messages, *, queue, key=""):
                gevent.sleep(2 * self.delay_s)
                return super().write(messages, queue=queue, key=key)

        running: list[str] = []
        together: list[list[str]] = []

        def note(envelope, attempt):
            running.append(envelope.recipients[0].address)
            together.append(sorted(running))
            gevent.sleep(10.0)
            running.remove(envelope.recipients[0].address)
            return {0: OK}

        storage = Slow(clock)
        store_suspect(storage, 2)
        storage.delay_s = 0.1
        queue, _ = make_queue(ScriptedRelay(note, by_domain=True), storage=storage)
        gevent.spawn(queue.accept, received(clock, "other@two.test"))

        gevent.sleep(3600.0)

        assert [["suspect@one.test"], ["other@two.test"]] == together
