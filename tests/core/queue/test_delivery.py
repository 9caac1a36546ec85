"""What becomes of a stored message: attempts, retries, bounces, holds, and a storage or a relay that fails."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from mdacore import (
    Attempt,
    Discard,
    Envelope,
    Hold,
    Outcome,
    Query,
    Reply,
    StorageError,
)
from mdacore.queue import BoundPolicy, BoundRelay, Route
from mdacore.testing import ManualClock, MemoryStorage, ScriptedRelay

from .waiting import settlements, wait_until

OK = Reply.parse("250 2.0.0 Delivered")
LATER = Reply.parse("451 4.2.1 Mailbox busy")
NEVER = Reply.parse("550 5.1.1 No such user")


def entries(bench):
    return list(bench.storage.entries(Query()))


class TestOutcomes:
    def test_delivered_removes_the_message(self, bench, envelope):
        bench.queue.accept(envelope)

        (settlement,) = settlements(bench, 1)
        assert Outcome.DELIVERED is settlement.closed[0].outcome
        assert [] == entries(bench)

    def test_deferred_is_tried_again_when_its_time_has_come_and_not_before(self, make_bench, envelope):
        bench = make_bench(ScriptedRelay(LATER, OK))
        bench.queue.accept(envelope)
        settlements(bench, 1)

        bench.clock.advance(59)
        assert 1 == len(bench.relay.attempts)
        assert [("bob@example.test", LATER)] == list(entries(bench)[0].recipients)

        bench.clock.advance(1)
        bench.relay.wait_for(2)
        settlements(bench, 2)
        assert [1, 2] == [attempt.number for _, attempt in bench.relay.attempts]
        assert [] == entries(bench)

    def test_failed_for_good_bounces_with_a_notice_to_the_sender(self, make_bench, envelope):
        bench = make_bench(ScriptedRelay(NEVER, OK))
        bench.queue.accept(envelope)

        bounce, delivery = settlements(bench, 2)
        assert (Outcome.BOUNCED, "sent") == (bounce.closed[0].outcome, bounce.closed[0].notice)
        assert Outcome.DELIVERED is delivery.closed[0].outcome
        notice = bench.relay.attempts[1][0]
        assert ("", "alice@example.org") == (notice.sender, notice.recipients[0].address)

    def test_a_notice_that_fails_is_not_answered_by_another(self, make_bench, envelope):
        bench = make_bench(ScriptedRelay(NEVER))
        bench.queue.accept(envelope)

        _, second = settlements(bench, 2)
        assert "suppressed: the sender is the null sender" == second.closed[0].notice
        assert [] == entries(bench)

    def test_partial_result_keeps_only_the_open_recipients_under_their_numbers(self, make_bench, make_envelope):
        """Recipients a, b, c = delivered, deferred, failed: only b is tried again, by its own number (case 75)."""
        mixed = ScriptedRelay(lambda env, _: {0: OK, 1: LATER, 2: NEVER}, OK, OK)
        bench = make_bench(mixed)
        bench.queue.accept(make_envelope("a@example.test", "b@example.test", "c@example.test"))
        settlements(bench, 2)

        bench.clock.advance(60)
        settlements(bench, 3)
        retried = [env for env, attempt in bench.relay.attempts if attempt.number == 2]
        assert [[(1, "b@example.test")]] == [[(r.number, r.address) for r in env.recipients] for env in retried]

    def test_deferred_past_its_lifetime_bounces(self, make_bench, envelope):
        bench = make_bench(ScriptedRelay(LATER), lifetime_s=100.0)
        bench.queue.accept(envelope)
        settlements(bench, 1)
        bench.clock.advance(60)
        settlements(bench, 2)

        bench.clock.advance(300)
        third = settlements(bench, 3)[2]
        assert (Outcome.BOUNCED, "5.4.7") == (third.closed[0].outcome, third.closed[0].reply.enhanced)

    def test_a_clock_that_jumps_bounces_nothing_before_a_second_attempt(self, make_bench, envelope):
        """Expiry needs an attempt after the jump (case 73): the first failure never bounces."""
        relay = ScriptedRelay(LATER)
        bench = make_bench(relay, lifetime_s=100.0)
        bench.clock.jump(86_400)

        bench.queue.accept(envelope)

        (settlement,) = settlements(bench, 1)
        assert {0: LATER} == settlement.deferred


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [
            RuntimeError("boom"),
            SystemExit(3),
            gevent.Timeout(1),
            lambda env, _: {},
            lambda env, _: None,
            lambda env, _: {0: "250 ok"},
            lambda env, _: {0: Reply.parse("354 go on")},
            lambda env, _: {7: OK},
        ],
    )
    def test_a_relay_that_misbehaves_defers_and_never_bounces(self, make_bench, envelope, fault):
        bench = make_bench(ScriptedRelay(fault))

        bench.queue.accept(envelope)

        (settlement,) = settlements(bench, 1)
        assert ({}, [451]) == (settlement.closed, [reply.code for reply in settlement.deferred.values()])

    def test_a_relay_that_hangs_is_cut_at_its_deadline_and_defers(self, make_bench, envelope):
        relay = ScriptedRelay(lambda env, _: gevent.sleep(60))
        bench = make_bench(relay, relays={"local": BoundRelay(instance="local", relay=relay, deadline_s=0.01)})

        bench.queue.accept(envelope)

        assert [451] == [reply.code for reply in settlements(bench, 1)[0].deferred.values()]

    def test_a_result_that_cannot_be_recorded_is_kept_and_tried_again(self, bench, envelope):
        bench.storage.fail_next["settle"] = [StorageError("disk"), RuntimeError("bug"), StorageError("disk")]
        bench.queue.accept(envelope)
        bench.relay.wait_for(1)

        for _ in range(3):
            gevent.idle()
            bench.clock.advance(30)

        settlements(bench, 1)
        assert 1 == len(bench.relay.attempts)

    def test_a_claim_that_fails_is_tried_again(self, make_bench, envelope):
        bench = make_bench(ScriptedRelay(LATER, OK))
        bench.queue.accept(envelope)
        settlements(bench, 1)
        bench.storage.fail_next["claim"] = [StorageError("disk")]

        bench.clock.advance(60)
        bench.clock.advance(5)

        settlements(bench, 2)

    def test_what_was_claimed_before_a_crash_is_claimed_again(self, make_bench, envelope):
        started = Event()
        relay = ScriptedRelay(lambda env, _: started.set() or gevent.sleep(3600), OK)
        bench = make_bench(relay)
        bench.queue.accept(envelope)
        assert started.wait(60)

        bench.storage.crash()

        relay.wait_for(2)
        assert 2 == relay.attempts[1][1].number


class TestRelayPolicies:
    def test_what_a_relay_policy_changes_is_sent_and_not_kept(self, make_bench, envelope):
        def mark(envelope: Envelope, attempt: Attempt) -> Envelope:
            return envelope.with_content(envelope.content.prepend(b"X-Attempt: %d\r\n" % attempt.number))

        relay_policies = [BoundPolicy(instance="mark", apply=mark)]
        bench = make_bench(ScriptedRelay(LATER, OK), relay_policies=relay_policies)
        bench.queue.accept(envelope)
        settlements(bench, 1)
        bench.clock.advance(60)
        settlements(bench, 2)

        assert [[b" 1\r\n"], [b" 2\r\n"]] == [e.content.fields(b"x-attempt") for e, _ in bench.relay.attempts]

    def test_hold_keeps_the_message_until_an_operator_releases_it(self, make_bench, envelope):
        def hold(envelope, attempt):
            raise Hold("looks odd")

        bench = make_bench(relay_policies=[BoundPolicy(instance="odd", apply=hold)])
        bench.queue.accept(envelope)
        settlements(bench, 1)

        bench.clock.advance(86_400)

        assert (["looks odd"], []) == ([entry.held for entry in entries(bench)], bench.relay.attempts)

    def test_discard_ends_the_message(self, make_bench, envelope):
        def discard(envelope, attempt):
            raise Discard("unwanted")

        bench = make_bench(relay_policies=[BoundPolicy(instance="drop", apply=discard)])
        bench.queue.accept(envelope)

        assert Outcome.DISCARDED is settlements(bench, 1)[0].closed[0].outcome
        assert [] == bench.relay.attempts

    def test_one_that_drops_a_recipient_is_a_fault_that_defers(self, make_bench, make_envelope):
        def drop(envelope, attempt):
            return envelope.with_recipients(envelope.recipients[:1])

        bench = make_bench(relay_policies=[BoundPolicy(instance="drop", apply=drop)])
        bench.queue.accept(make_envelope("a@example.test", "b@example.test"))

        assert {0, 1} == set(settlements(bench, 1)[0].deferred)


class TestLanes:
    def test_no_more_attempts_at_once_than_the_relays_concurrency(self, make_bench, make_envelope):
        may_end, most, running = Event(), [0], [0]

        def busy(envelope, attempt):
            running[0] += 1
            most[0] = max(most[0], running[0])
            may_end.wait()
            running[0] -= 1
            return {0: OK}

        bench = make_bench(ScriptedRelay(busy), concurrency=3)
        for number in range(10):
            bench.queue.accept(make_envelope(f"user{number}@example.test"))
        bench.relay.wait_for(3)
        may_end.set()
        settlements(bench, 10)

        assert 3 == most[0]

    def test_a_lane_that_hangs_does_not_delay_another(self, make_bench, make_envelope):
        def by_domain(envelope, attempt):
            if envelope.recipients[0].address.endswith("@slow.test"):
                gevent.sleep(3600)
            return {0: OK}

        bench = make_bench(ScriptedRelay(by_domain, by_domain=True), concurrency=2, claims_max=400)
        for number in range(150):
            bench.queue.accept(make_envelope(f"user{number}@slow.test"))

        bench.queue.accept(make_envelope("user@quick.test"))

        assert Outcome.DELIVERED is settlements(bench, 1)[0].closed[0].outcome

    def test_room_that_comes_while_more_is_looked_for_is_used_at_once(self, make_bench, make_new, monkeypatch):
        """Whoever rests only then must not have missed it."""
        monkeypatch.setattr("mdacore.queue.queue.FULL_LANES_WAIT_S", 3600.0)
        may_end, clock = Event(), ManualClock()

        class Slow(MemoryStorage):
            def claim(self, queue, limit, *, full_lanes=()):
                claims = super().claim(queue, limit, full_lanes=full_lanes)
                if full_lanes:
                    may_end.set()
                    wait_until(lambda: not bench.queue.health().facts["unsettled"])
                return claims

        storage = Slow(clock)
        storage.write([make_new("bob@example.test") for _ in range(4)], queue="main")
        relay = ScriptedRelay(lambda env, _: may_end.wait() and {0: OK})
        bound = BoundRelay(instance="local", relay=relay, concurrency=1)

        bench = make_bench(relay, clock=clock, storage=storage, relays={"local": bound}, claims_max=3)

        relay.wait_for(4)

    def test_recipients_of_several_routes_become_messages_of_their_own(self, make_bench, make_envelope):
        local, far = ScriptedRelay(), ScriptedRelay()
        bench = make_bench(
            routes=[Route(domains=frozenset({"example.test"}), relay="local"), Route(domains=None, relay="far")],
            relays={
                "local": BoundRelay(instance="local", relay=local),
                "far": BoundRelay(instance="far", relay=far),
            },
        )

        bench.queue.accept(make_envelope("a@example.test", "b@example.net", "c@Example.Test"))

        local.wait_for(1)
        far.wait_for(1)
        assert ["a@example.test", "c@Example.Test"] == [r.address for r in local.attempts[0][0].recipients]
        assert ["b@example.net"] == [r.address for r in far.attempts[0][0].recipients]


class TestDrain:
    def test_running_attempts_finish_and_waiting_ones_are_given_back(self, make_bench, make_envelope):
        may_end = Event()
        bench = make_bench(ScriptedRelay(lambda env, _: may_end.wait() and {0: OK}), concurrency=1)
        for number in range(3):
            bench.queue.accept(make_envelope(f"user{number}@example.test"))
        bench.relay.wait_for(1)

        gevent.spawn_later(0.01, may_end.set)
        assert bench.queue.drain(60.0)

        assert 1 == len(settlements(bench, 1))
        assert [(0, "due"), (0, "due")] == [(entry.attempts, entry.state.value) for entry in entries(bench)]

    def test_an_attempt_that_does_not_end_in_time_is_cut_and_deferred(self, make_bench, envelope):
        bench = make_bench(ScriptedRelay(lambda env, _: gevent.sleep(3600)))
        bench.queue.accept(envelope)
        bench.relay.wait_for(1)

        assert not bench.queue.drain(0.01)
        bench.queue.stop()

        assert ["4.3.2"] == [reply.enhanced for reply in settlements(bench, 1)[0].deferred.values()]
