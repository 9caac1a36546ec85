"""Messages during whose attempts the process has died: attempted alone, and held if that ends it too."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from mdacore.contracts import Query, Settlement, State
from mdacore.log import get_log
from mdacore.queue import BoundRelay, Isolation, Queue, QueueWiring, RetrySchedule, Route
from mdacore.testing import CapturedLog, ManualClock, MemoryStorage, ScriptedRelay, running
from mdacore.words import Reply


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def storage(clock):
    return MemoryStorage(clock)


@pytest.fixture
def make_queue(clock, storage):
    def make(relay, *, name="main", isolation=None):
        wiring = QueueWiring(
            name=name,
            hostname="mx.example.test",
            storage=storage,
            routes=[Route(domains=None, relay="local")],
            relays={"local": BoundRelay(instance="local", relay=relay)},
            retry=RetrySchedule((60.0,), jitter=0.0),
            lifetime_s=86_400.0,
            clock=clock,
            log=get_log(),
        )
        return Queue(wiring, isolation)

    return make


def crash(storage, times, queue="main"):
    """As if the process had died so often with everything claimed that could be."""
    for _ in range(times):
        storage.claim(queue, 100)
        storage.claim_suspect(queue)
        storage.crash()


def states(storage):
    return [(entry.state, [address for address, _ in entry.recipients]) for entry in storage.entries(Query())]


class AtOnce:
    """A relay that says who was attempted together with whom."""

    def __init__(self):
        self.running: set[str] = set()
        self.together: list[list[str]] = []
        self.relay = ScriptedRelay(self._attempt)

    def _attempt(self, envelope, attempt):
        address = envelope.recipients[0].address
        self.running.add(address)
        self.together.append(sorted(self.running))
        gevent.sleep(0)
        gevent.sleep(0)
        self.running.discard(address)
        return {0: Reply(code=250)}


def test_each_suspect_is_attempted_with_nothing_else_in_hand(make_queue, storage, make_new):
    watch = AtOnce()
    storage.write([make_new("a@example.test"), make_new("b@example.test")], queue="main")
    crash(storage, 2)
    storage.write([make_new("c@example.test"), make_new("d@example.test")], queue="main")

    with running(make_queue(watch.relay)):
        watch.relay.wait_for(4)
        gevent.idle()

    assert [["a@example.test"], ["b@example.test"]] == watch.together[:2]
    assert ["c@example.test", "d@example.test"] in watch.together
    assert [] == states(storage)


def test_one_crash_makes_no_suspect(make_queue, storage, make_new):
    watch = AtOnce()
    storage.write([make_new("a@example.test"), make_new("b@example.test")], queue="main")
    crash(storage, 1)

    with running(make_queue(watch.relay)):
        watch.relay.wait_for(2)
        gevent.idle()

    assert ["a@example.test", "b@example.test"] in watch.together


def test_one_that_ended_the_process_alone_is_held_and_the_others_go_out(make_queue, storage, make_new):
    relay = ScriptedRelay()
    storage.write([make_new("poison@example.test"), make_new("good@example.test")], queue="main")
    crash(storage, 2)
    for _ in range(2):
        poison = next(row for row in storage._rows.values() if row.envelope.recipients[0].address.startswith("poison"))
        poison.unsettled += 1  # alone, and the process died

    with CapturedLog().of_process() as log, running(make_queue(relay)):
        relay.wait_for(1)
        gevent.idle()

    assert [["good@example.test"]] == [[r.address for r in env.recipients] for env, _ in relay.attempts]
    assert [(State.HELD, ["poison@example.test"])] == states(storage)
    assert "4 attempts have ended the service" in log.of("queue.held")[0]["reason"]


def test_mail_that_comes_meanwhile_is_accepted_and_waits(make_queue, storage, make_new, make_envelope):
    go_on = Event()

    def attempt(envelope, _):
        if envelope.recipients[0].address == "suspect@example.test":
            go_on.wait(60)
        return {0: Reply(code=250)}

    relay = ScriptedRelay(attempt)
    storage.write([make_new("suspect@example.test")], queue="main")
    crash(storage, 2)
    queue = make_queue(relay)

    with running(queue):
        relay.wait_for(1)
        assert [250] == [reply.code for reply in queue.accept(make_envelope("bob@example.test"))]
        gevent.idle()
        assert 1 == len(relay.attempts)
        go_on.set()
        relay.wait_for(2)
        gevent.idle()

    assert [] == states(storage)


def test_another_queue_of_the_process_waits_too(make_queue, storage, make_new, make_envelope):
    """Else a crash of the other queue's message would count against this one."""
    go_on, isolation = Event(), Isolation()

    def hang(envelope, _):
        go_on.wait(60)
        return {0: Reply(code=250)}

    suspects, others = ScriptedRelay(hang), ScriptedRelay()
    storage.write([make_new("suspect@example.test")], queue="main")
    crash(storage, 2)
    main, second = make_queue(suspects, isolation=isolation), make_queue(others, name="second", isolation=isolation)

    with running(main), running(second):
        suspects.wait_for(1)
        second.accept(make_envelope("bob@example.test"))
        gevent.idle()
        assert [] == others.attempts
        go_on.set()
        others.wait_for(1)


def test_what_is_in_hand_when_a_suspect_turns_up_is_finished_first(make_queue, storage, clock, make_new, make_envelope):
    """A node of a shared storage may die at any time."""
    watch, go_on = AtOnce(), Event()

    def hang_first(envelope, attempt):
        if envelope.recipients[0].address == "slow@example.test":
            watch.together.append(["slow@example.test"])
            go_on.wait(60)
            return {0: Reply(code=250)}
        return watch._attempt(envelope, attempt)

    relay = ScriptedRelay(hang_first)
    queue = make_queue(relay)
    with running(queue):
        queue.accept(make_envelope("slow@example.test"))
        relay.wait_for(1)
        (mine,) = storage.write([make_new("suspect@example.test", due_at=clock.now() + 30)], queue="main")
        storage._rows[mine].unsettled = 2
        clock.advance(120)
        gevent.idle()
        assert 1 == len(relay.attempts)
        go_on.set()
        relay.wait_for(2)
        gevent.idle()

    assert [["slow@example.test"], ["suspect@example.test"]] == watch.together
    assert [1] == [claim.attempt for claim, _ in storage.settled[-1:]]
    assert Settlement is type(storage.settled[-1][1])
