"""The wall clock may jump by hours, on and back: nothing is lost, nothing runs hot, and nobody is overrun."""

from __future__ import annotations

import gevent
import pytest

from mdacore import NewMessage, Query, Reply
from mdacore.queue import BoundRelay
from mdacore.queue.lanes import READY_MAX
from mdacore.queue.queue import CLAIM_BATCH_MAX
from mdacore.testing import ManualClock, MemoryStorage, ScriptedRelay

from .waiting import let_run, settlements

OK = Reply.parse("250 2.0.0 Delivered")
LATER = Reply.parse("451 4.2.1 Mailbox busy")
HOURS = [6 * 3600.0, -6 * 3600.0]


@pytest.fixture
def make_timed(make_bench):
    def make(*script, **changes):
        clock = ManualClock()
        storage = MemoryStorage(clock)
        bench = make_bench(ScriptedRelay(*script), clock=clock, storage=storage, **changes)
        bench.clock, bench.storage = clock, storage
        return bench

    return make


def entries(bench):
    return list(bench.storage.entries(Query()))


@pytest.mark.parametrize("jump_s", HOURS)
class TestJump:
    def test_new_mail_goes_out_at_once(self, make_timed, make_envelope, jump_s):
        bench = make_timed(OK)
        bench.clock.jump(jump_s)

        bench.queue.accept(make_envelope("a@one.test", received_at=bench.clock.now()))
        settlements(bench, 1)

        assert [] == entries(bench)

    def test_deferred_mail_goes_out_when_the_clock_has_come_to_its_time(self, make_timed, make_envelope, jump_s):
        bench = make_timed(LATER, OK)
        bench.queue.accept(make_envelope("a@one.test", received_at=bench.clock.now()))
        settlements(bench, 1)

        bench.clock.jump(jump_s)
        bench.clock.advance(60 + max(0.0, -jump_s))
        settlements(bench, 2)

        assert [] == entries(bench)

    def test_a_young_message_that_is_deferred_is_not_too_old(self, make_timed, make_envelope, jump_s):
        bench = make_timed(LATER, lifetime_s=3600.0)
        bench.clock.jump(jump_s)
        bench.queue.accept(make_envelope("a@one.test", received_at=bench.clock.now() - jump_s))
        settlements(bench, 1)

        assert {} == bench.storage.settled[0][1].closed

    def test_nothing_runs_hot(self, make_timed, make_envelope, jump_s):
        bench = make_timed(LATER)
        bench.queue.accept(make_envelope("a@one.test", received_at=bench.clock.now()))
        settlements(bench, 1)
        bench.clock.jump(jump_s)
        claims = []
        claim = bench.storage.claim
        bench.storage.claim = lambda *args, **given: claims.append(1) or claim(*args, **given)
        bench.clock.advance(1)

        let_run(200)

        assert len(claims) <= 4


def test_what_all_becomes_due_at_once_is_claimed_in_batches(make_timed, make_envelope):
    """A thousand messages for one destination that come due together begin with five attempts."""
    gate = gevent.event.Event()

    def wait(envelope, attempt):
        gate.wait()
        return {0: OK}

    relay = ScriptedRelay(wait)
    bench = make_timed(relays={"local": BoundRelay(instance="local", relay=relay)})
    due_at = bench.clock.now() + 3600
    bench.storage.write(
        [NewMessage(envelope=make_envelope(f"{n}@one.test"), lane="local/", due_at=due_at) for n in range(1000)],
        queue="main",
    )

    bench.clock.jump(7200)
    bench.clock.advance(0.001)
    relay.wait_for(5)
    let_run()

    assert 5 == len(relay.attempts)
    assert bench.queue.health().facts["unsettled"] <= 5 + READY_MAX + CLAIM_BATCH_MAX
    gate.set()
    settlements(bench, 1000)
