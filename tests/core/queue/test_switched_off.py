"""A relay or a policy that keeps failing is switched off: what becomes of the mail meanwhile, and afterwards."""

from __future__ import annotations

import pytest
from gevent.event import Event

from mdacore import Hold, MdaError, NewMessage, Query, Reply, State, StorageError
from mdacore.queue import BoundPolicy, BoundRelay, Route
from mdacore.queue.lanes import CROWDED_OUT_S
from mdacore.runtime import Breaker
from mdacore.testing import CapturedLog, ManualClock, MemoryStorage, ScriptedRelay

from .waiting import let_run, settlements, wait_until

OK = Reply.parse("250 2.0.0 Delivered")
LATER = Reply.parse("451 4.2.1 Mailbox busy")
FAULT = RuntimeError("boom")


class CountingStorage(MemoryStorage):
    """Counts what is claimed and given back."""

    released = 0
    claimed = 0

    def claim(self, queue, limit, *, full_lanes=()):
        claims = super().claim(queue, limit, full_lanes=full_lanes)
        self.claimed += len(claims)
        return claims

    def release(self, claim, *, due_at=None):
        self._fail("release")
        self.released += 1
        super().release(claim, due_at=due_at)


@pytest.fixture
def make_bench(make_bench):
    """With a log that prints no tracebacks."""
    return lambda relay=None, **changes: make_bench(relay, **{"log": CapturedLog(), **changes})


@pytest.fixture
def make_off(make_bench, make_envelope):
    """A queue whose relay has just been switched off by three messages' faults; the clock then stands still."""

    def make(*script, by_domain=False, relays=(), routes=(), **changes):
        clock = ManualClock()
        breaker = Breaker(clock=clock, call="attempt")
        relay = ScriptedRelay(FAULT, FAULT, FAULT, *(script or (OK,)), by_domain=by_domain)
        bound = BoundRelay(instance="local", relay=relay, breaker=breaker)
        bench = make_bench(
            relay,
            clock=clock,
            storage=CountingStorage(clock),
            relays={"local": bound, **dict(relays)},
            routes=[*routes, Route(domains=None, relay="local")],
            **changes,
        )
        bench.clock, bench.storage = clock, bench.queue._wiring.storage
        for _ in range(3):
            bench.queue.accept(make_envelope("bob@example.test"))
        settlements(bench, 3)
        assert breaker.is_off
        return bench

    return make


def stored(bench, envelope):
    """As another run of the service has left it."""
    lane = f"local/{envelope.recipients[0].address.partition('@')[2]}"
    return NewMessage(envelope=envelope, lane=lane, due_at=bench.clock.now())


def entries(bench):
    return list(bench.storage.entries(Query()))


class TestOff:
    def test_mail_is_taken_and_stays_due_with_no_attempt_counted(self, make_off, make_envelope):
        bench = make_off()

        replies = bench.queue.accept(make_envelope("bob@example.test"))
        let_run()

        assert [250] == [reply.code for reply in replies]
        assert (State.DUE, 0) == (entries(bench)[3].state, entries(bench)[3].attempts)
        assert 3 == len(bench.relay.attempts)

    def test_what_waits_in_its_lane_is_given_back_uncounted(self, make_bench, make_envelope):
        """Of ten messages three are attempted at once; their faults switch the relay off, and seven were claimed."""
        gate = Event()

        def fail(envelope, attempt):
            gate.wait()
            raise FAULT

        relay, clock = ScriptedRelay(fail), ManualClock()
        bound = BoundRelay(instance="local", relay=relay, concurrency=3, breaker=Breaker(clock=clock))
        storage = CountingStorage(clock)
        bench = make_bench(relay, clock=clock, storage=storage, relays={"local": bound})
        bench.storage = storage
        for _ in range(10):
            bench.queue.accept(make_envelope("bob@example.test"))
        relay.wait_for(3)

        gate.set()
        wait_until(lambda: storage.released == 7)

        assert [0] * 7 + [1] * 3 == sorted(entry.attempts for entry in entries(bench))
        assert 3 == len(relay.attempts)

    def test_a_backlog_is_not_claimed_and_given_back_again_and_again(self, make_off, make_envelope):
        """Messages of lanes that nobody in memory knows of, as after a restart: each lane is claimed once."""
        bench = make_off(by_domain=True)
        bench.storage.write([stored(bench, make_envelope(f"bob@{number}.test")) for number in range(30)], queue="main")

        wait_until(lambda: bench.storage.released == 30)
        let_run()

        assert (30, 30) == (bench.storage.claimed, bench.storage.released)
        assert {(State.DUE, 0)} == {(entry.state, entry.attempts) for entry in entries(bench)[3:]}

    def test_nor_are_lanes_of_which_there_are_too_many_to_remember(self, make_off, make_envelope, monkeypatch):
        """Their mail is due again after a while, and lost to nobody."""
        monkeypatch.setattr("mdacore.queue.lanes.OFF_MAX", 1 + 10)  # the lane that has switched it off is one
        bench = make_off(by_domain=True)
        bench.storage.write([stored(bench, make_envelope(f"bob@{number}.test")) for number in range(30)], queue="main")
        wait_until(lambda: bench.storage.released >= 30 and not bench.queue.health().facts["unsettled"])
        let_run()
        due = [entry.due_at - bench.clock.now() for entry in entries(bench)[3:]]

        claimed = bench.storage.claimed
        bench.clock.advance(CROWDED_OUT_S)
        settlements(bench, 3 + 33)

        assert (10, 20) == (due.count(0), due.count(CROWDED_OUT_S))
        assert claimed <= 2 * 30
        assert [] == entries(bench)

    def test_other_relays_go_on(self, make_off, make_envelope):
        other = ScriptedRelay()
        bench = make_off(
            relays=[("other", BoundRelay(instance="other", relay=other))],
            routes=[Route(domains=frozenset({"other.test"}), relay="other")],
        )
        bench.queue.accept(make_envelope("bob@example.test"))

        bench.queue.accept(make_envelope("eve@other.test"))

        other.wait_for(1)
        assert 3 == len(bench.relay.attempts)

    def test_it_stops_at_once(self, make_off, make_envelope):
        bench = make_off()
        bench.queue.accept(make_envelope("bob@example.test"))

        assert bench.queue.drain(60.0)

        assert 0 == bench.queue.health().facts["unsettled"]

    def test_a_release_that_fails_costs_an_attempt_and_not_the_message(self, make_off, make_envelope):
        bench = make_off(by_domain=True)
        bench.storage.fail_next["release"] = [StorageError("disk")]

        bench.storage.write([stored(bench, make_envelope("bob@other.test"))], queue="main")
        settlements(bench, 4)

        assert (State.DUE, 1) == (entries(bench)[3].state, entries(bench)[3].attempts)


class TestTrial:
    def test_one_attempt_is_made_and_its_success_lets_all_go(self, make_off, make_envelope):
        gate = Event()

        def wait(envelope, attempt):
            gate.wait()
            return {0: OK}

        bench = make_off(wait, OK)
        for _ in range(40):
            bench.queue.accept(make_envelope("bob@example.test"))
        bench.clock.advance(5)
        bench.relay.wait_for(4)
        let_run()
        assert (4, 0) == (len(bench.relay.attempts), bench.storage.released)

        gate.set()

        settlements(bench, 3 + 40)
        assert 3 == len(entries(bench))

    def test_its_fault_keeps_the_rest_from_being_attempted(self, make_off, make_envelope):
        bench = make_off(FAULT)
        for _ in range(40):
            bench.queue.accept(make_envelope("bob@example.test"))

        bench.clock.advance(5)
        settlements(bench, 4)
        let_run()

        assert 4 == len(bench.relay.attempts)
        assert [0] * 39 == sorted(entry.attempts for entry in entries(bench))[:39]
        wait_until(lambda: {State.DUE} == {entry.state for entry in entries(bench)})

    def test_with_many_lanes_still_only_one_attempt_is_made(self, make_off, make_envelope):
        gate = Event()
        bench = make_off(lambda envelope, attempt: gate.wait() and {0: LATER}, LATER, by_domain=True)
        for number in range(20):
            bench.queue.accept(make_envelope(f"bob@{number}.test"))
        bench.clock.advance(5)

        bench.relay.wait_for(4)
        let_run()

        assert 4 == len(bench.relay.attempts)
        gate.set()
        bench.relay.wait_for(3 + 20)

    def test_a_relays_4yz_reply_is_no_fault(self, make_off, make_envelope):
        bench = make_off(LATER)
        bench.clock.advance(5)
        for _ in range(10):
            bench.queue.accept(make_envelope("bob@example.test"))

        bench.relay.wait_for(3 + 10)


class TestRubbish:
    @pytest.mark.parametrize("rubbish", [None, [], {}, {0: "250 ok"}, {7: OK}], ids=repr)
    def test_a_relay_that_answers_for_nobody_is_switched_off(self, make_bench, make_envelope, rubbish):
        relay, breaker = ScriptedRelay(lambda envelope, attempt: rubbish), Breaker(clock=ManualClock())
        bench = make_bench(relay, relays={"local": BoundRelay(instance="local", relay=relay, breaker=breaker)})

        for _ in range(3):
            bench.queue.accept(make_envelope("bob@example.test"))
        settlements(bench, 3)

        assert "gave no reply for any recipient" == breaker.circuit().last_fault
        assert breaker.is_off

    def test_one_that_answers_for_some_is_not(self, make_bench, make_envelope):
        relay, breaker = ScriptedRelay(lambda envelope, attempt: {0: OK}), Breaker(clock=ManualClock())
        bench = make_bench(relay, relays={"local": BoundRelay(instance="local", relay=relay, breaker=breaker)})

        for _ in range(3):
            bench.queue.accept(make_envelope("a@example.test", "b@example.test"))
        settlements(bench, 3)

        assert not breaker.is_off


def failing(*_):
    raise FAULT


class TestPolicies:
    @pytest.mark.parametrize(("on_error", "code"), [("defer", 451), ("accept", 250), ("reject", 554)])
    @pytest.mark.parametrize("apply", [failing, lambda envelope: None, lambda envelope: ["x"]])
    def test_a_queue_policy_that_is_off_is_settled_by_on_error(self, make_bench, envelope, on_error, code, apply):
        breaker = Breaker(clock=ManualClock(), call="queue_policy")
        calls = []
        policy = BoundPolicy(
            instance="p",
            apply=lambda envelope: calls.append(1) or apply(envelope),
            on_error=on_error,
            breaker=breaker,
        )
        bench = make_bench(queue_policies=[policy])

        codes = [bench.queue.accept(envelope)[0].code for _ in range(6)]

        assert ([code] * 6, 3) == (codes, len(calls))

    def test_a_relay_policy_that_is_off_defers_each_message_once(self, make_bench, envelope):
        breaker = Breaker(clock=ManualClock(), call="relay_policy")
        bench = make_bench(relay_policies=[BoundPolicy(instance="p", apply=failing, breaker=breaker)])

        for _ in range(6):
            bench.queue.accept(envelope)
        settlements(bench, 6)
        let_run()

        assert [451] * 6 == [settlement.deferred[0].code for _, settlement in bench.storage.settled]
        assert [1] * 6 == [entry.attempts for entry in entries(bench)]

    def test_its_verdicts_are_no_faults(self, make_bench, envelope):
        def hold(envelope):
            raise Hold("looks odd")

        breaker = Breaker(clock=ManualClock())
        bench = make_bench(queue_policies=[BoundPolicy(instance="p", apply=hold, breaker=breaker)])
        for _ in range(6):
            bench.queue.accept(envelope)

        assert ([State.HELD] * 6, 0) == ([entry.state for entry in entries(bench)], breaker.faults)

    def test_an_error_with_a_reply_of_its_own_is_a_fault_all_the_same(self, make_bench, envelope):
        """So says 0008: whatever the reply is, only a verdict is one."""

        def refuse(envelope):
            raise MdaError("the daemon is down")

        breaker = Breaker(clock=ManualClock())
        bench = make_bench(queue_policies=[BoundPolicy(instance="p", apply=refuse, breaker=breaker)])
        for _ in range(3):
            bench.queue.accept(envelope)

        assert breaker.is_off
