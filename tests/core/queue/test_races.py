"""What happens at the same time as something else, and what nobody expects: every claim still meets its end.

Each of these was a defect once. The storages here yield where a real one waits for its disk.
"""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from mdacore import (
    Change,
    Content,
    Deferral,
    Discard,
    Hold,
    MdaError,
    NewMessage,
    Outcome,
    Query,
    Rejection,
    Reply,
    StorageError,
    StorageFull,
)
from mdacore.queue import BoundPolicy
from mdacore.runtime import Deadline
from mdacore.testing import ManualClock, MemoryStorage, ScriptedRelay, content_of

OK = Reply.parse("250 2.0.0 Delivered")
LATER = Reply.parse("451 4.2.1 Mailbox busy")
NEVER = Reply.parse("550 5.1.1 No such user")


class SlowStorage(MemoryStorage):
    """Writes, releases and settles take a while, as a commit does."""

    def write(self, messages, *, queue, key=""):
        written = super().write(messages, queue=queue, key=key)
        gevent.sleep(0.005)
        return written

    def settle(self, claim, settlement):
        gevent.sleep(0.005)
        return super().settle(claim, settlement)

    def release(self, claim, *, due_at=None):
        gevent.sleep(0.005)
        return super().release(claim, due_at=due_at)


class SlowReading(MemoryStorage):
    """Its disk answers late."""

    def __init__(self, clock):
        super().__init__(clock)
        self.is_reading = Event()

    def read(self, claim):
        self.is_reading.set()
        gevent.sleep(3600)


class SlowRelease(MemoryStorage):
    """A release that is cut short while it waits for its commit does not happen."""

    def release(self, claim, *, due_at=None):
        gevent.sleep(0.005)
        return super().release(claim, due_at=due_at)


def bench_on(make_bench, storage_class, relay=None, **changes):
    clock = ManualClock()
    bench = make_bench(relay, storage=storage_class(clock), clock=clock, **changes)
    bench.clock, bench.storage = clock, bench.queue._wiring.storage
    return bench


def states(bench):
    return [(entry.state.value, entry.attempts) for entry in bench.storage.entries(Query())]


def let_run(bench, advance_s=0.0):
    """Let everything that can go on do so, then move time."""
    for _ in range(30):
        gevent.sleep(0.001)
    if advance_s:
        bench.clock.advance(advance_s)
        let_run(bench)


def hang(envelope, attempt):
    gevent.sleep(3600)


class TestStop:
    def test_it_returns_even_if_a_result_cannot_be_recorded(self, make_bench, envelope):
        bench = make_bench(ScriptedRelay(hang))
        bench.queue.accept(envelope)
        bench.relay.wait_for(1)
        bench.storage.fail_next["settle"] = [StorageError("disk")] * 5

        bench.queue.stop()

    def test_a_result_that_waits_for_its_next_try_is_tried_once_more(self, make_bench, envelope):
        bench = make_bench()
        bench.storage.fail_next["settle"] = [StorageError("disk")]
        bench.queue.accept(envelope)
        bench.relay.wait_for(1)
        let_run(bench)

        bench.queue.stop()

        assert [] == states(bench)

    def test_what_was_delivered_is_recorded_before_it_ends(self, make_bench, envelope):
        bench = bench_on(make_bench, SlowStorage)
        bench.queue.accept(envelope)
        bench.relay.wait_for(1)
        gevent.sleep(0)

        bench.queue.stop()

        assert [] == states(bench)

    def test_an_attempt_that_has_not_begun_is_given_back(self, make_bench, envelope):
        bench = make_bench()
        bench.queue.accept(envelope)

        bench.queue.stop()

        assert [("due", 0)] == states(bench)
        assert 0 == bench.queue.health().facts["unsettled"]

    def test_what_waits_for_its_lane_is_given_back(self, make_bench, make_envelope):
        bench = bench_on(make_bench, SlowStorage, ScriptedRelay(hang), concurrency=1)
        for number in range(3):
            bench.queue.accept(make_envelope(f"user{number}@example.test"))
        bench.relay.wait_for(1)

        bench.queue.stop()

        assert [("due", 0), ("due", 0), ("due", 1)] == sorted(states(bench))

    def test_an_attempt_that_it_cuts_short_never_bounces(self, make_bench, envelope):
        """After days of downtime everything is past its lifetime: that is no reason to give up an attempt we cut."""
        bench = make_bench(ScriptedRelay(LATER, hang), lifetime_s=1000.0)
        bench.queue.accept(envelope)
        let_run(bench, advance_s=5000)
        bench.relay.wait_for(2)

        bench.queue.stop()

        assert {} == bench.storage.settled[1][1].closed

    def test_what_is_still_being_read_is_given_back(self, make_bench, make_new):
        """Nothing was attempted: a claim without an end would count as a crash at the next start."""
        bench = bench_on(make_bench, SlowReading)
        bench.storage.write([make_new("bob@example.test")], queue="main")
        bench.storage.is_reading.wait(60)

        bench.queue.stop()

        assert [("due", 0)] == states(bench)

    def test_a_claim_that_is_given_back_meanwhile_is_given_back(self, make_bench, envelope):
        """It had not begun; the storage's commit is cut short with it, and nobody else would ever end the claim."""
        bench = bench_on(make_bench, SlowRelease)
        bench.queue.accept(envelope)

        bench.queue.stop()

        assert [("due", 0)] == states(bench)


class TestDrain:
    def test_lanes_that_end_meanwhile_do_not_disturb_it(self, make_bench, make_envelope):
        relay = ScriptedRelay(lambda envelope, _: gevent.sleep(0.004) or {0: OK})
        bench = bench_on(make_bench, SlowStorage, relay, concurrency=1)
        for number in range(3):
            bench.queue.accept(make_envelope(f"user{number}@example.test"))
        bench.relay.wait_for(1)

        assert bench.queue.drain(60.0)

        assert "active" not in [state for state, _ in states(bench)]

    def test_a_message_that_is_stored_meanwhile_is_left_for_the_next_start(self, make_bench, envelope):
        bench = bench_on(make_bench, SlowStorage)
        edge = gevent.spawn(bench.queue.accept, envelope)
        gevent.sleep(0)

        bench.queue.drain(1.0)
        edge.join()
        bench.queue.stop()

        assert 250 == edge.value[0].code
        assert [("due", 0)] == states(bench)


class TestLanes:
    def test_a_lane_that_was_forgotten_and_made_anew_keeps_its_limit(self, make_bench, make_envelope):
        may_settle = {"memory0000000001": Event(), "memory0000000002": Event()}
        running, most, may_end = [0], [0], Event()

        class Gated(MemoryStorage):
            def settle(self, claim, settlement):
                if claim.queue_id in may_settle:
                    may_settle[claim.queue_id].wait()
                return super().settle(claim, settlement)

        def count(envelope, attempt):
            running[0] += 1
            most[0] = max(most[0], running[0])
            if envelope.recipients[0].address.startswith("long"):
                may_end.wait()
            running[0] -= 1
            return {0: OK}

        bench = bench_on(make_bench, Gated, ScriptedRelay(count), concurrency=1)
        for address, then_settle in [("one", None), ("two", 1), ("long1", 2), ("long2", None)]:
            bench.queue.accept(make_envelope(f"{address}@example.test"))
            let_run(bench)
            if then_settle:
                may_settle[f"memory{then_settle:010}"].set()
                let_run(bench)
        may_end.set()
        let_run(bench)

        assert 1 == most[0]

    def test_a_place_that_was_promised_is_free_again_if_a_destination_cannot_be_named(self, make_bench, make_envelope):
        class Picky(ScriptedRelay):
            def destination(self, envelope):
                if envelope.recipients[0].address.startswith("bad"):
                    raise RuntimeError("boom")
                return ""

        def split(envelope):
            return [envelope.with_recipients([recipient]) for recipient in envelope.recipients]

        bench = make_bench(Picky(OK), claims_max=5, queue_policies=[BoundPolicy(instance="split", apply=split)])
        for _ in range(5):
            assert 451 == bench.queue.accept(make_envelope("a@example.test", "bad@example.test"))[0].code

        assert 250 == bench.queue.accept(make_envelope("good@example.test"))[0].code
        let_run(bench)
        assert [] == states(bench)

    def test_a_write_that_fails_wakes_who_waited_for_its_place(self, make_bench, make_envelope):
        class Full(MemoryStorage):
            def write(self, messages, *, queue, key=""):
                gevent.sleep(0.02)
                raise StorageFull

        bench = bench_on(make_bench, Full, claims_max=1)
        edge = gevent.spawn(bench.queue.accept, make_envelope("a@example.test"))
        gevent.sleep(0.001)
        waiting = NewMessage(envelope=make_envelope("b@example.test"), lane="local/", due_at=0.0)
        MemoryStorage.write(bench.storage, [waiting], queue="main")

        edge.join()
        let_run(bench, advance_s=100)

        assert [] == states(bench)

    def test_many_lanes_that_hang_leave_room_for_others(self, make_bench, make_envelope):
        def by_domain(envelope, attempt):
            return hang(envelope, attempt) if "slow" in envelope.recipients[0].address else {0: OK}

        bench = make_bench(ScriptedRelay(by_domain, by_domain=True))
        for lane in range(9):
            for number in range(120):
                bench.queue.accept(make_envelope(f"user{number}@slow{lane}.test"))
        bench.queue.accept(make_envelope("x@quick.test"))
        let_run(bench, advance_s=30)

        assert any(rcpt.address == "x@quick.test" for env, _ in bench.relay.attempts for rcpt in env.recipients)

    def test_a_message_that_finds_no_room_leaves_no_lane_behind(self, make_bench, make_envelope):
        bench = make_bench(ScriptedRelay(hang, by_domain=True), claims_max=1)
        for number in range(50):
            bench.queue.accept(make_envelope(f"a@domain{number}.test"))

        assert 1 == bench.queue.health().facts["lanes"]


class TestFaults:
    def test_a_notice_is_sent_even_if_its_destination_cannot_be_named(self, make_bench, envelope):
        class Picky(ScriptedRelay):
            def destination(self, envelope):
                if not envelope.sender:
                    raise RuntimeError("boom")
                return ""

        bench = make_bench(Picky(NEVER, OK))
        bench.queue.accept(envelope)
        let_run(bench)

        assert [] == states(bench)
        assert "" == bench.relay.attempts[1][0].sender

    @pytest.mark.parametrize("verdict", [Rejection(NEVER), Deferral(LATER), Discard("x"), Hold("x")])
    def test_a_verdict_from_a_relay_is_a_fault_and_defers(self, make_bench, envelope, verdict):
        """Rejecting and discarding is for policies."""
        bench = make_bench(ScriptedRelay(verdict))
        bench.queue.accept(envelope)
        let_run(bench)

        (_, settlement) = bench.storage.settled[0]
        assert ({}, "", [451]) == (
            settlement.closed,
            settlement.held,
            [reply.code for reply in settlement.deferred.values()],
        )

    @pytest.mark.parametrize("verdict", [Rejection(NEVER), Discard("x")])
    def test_a_verdict_from_a_destination_is_a_fault_too(self, make_bench, envelope, verdict):
        class Judging(ScriptedRelay):
            def destination(self, envelope):
                raise verdict

        assert 451 == make_bench(Judging()).queue.accept(envelope)[0].code

    def test_a_hold_without_a_reason_holds(self, make_bench, envelope):
        def hold(envelope, attempt):
            raise Hold("")

        bench = make_bench(relay_policies=[BoundPolicy(instance="odd", apply=hold)])
        bench.queue.accept(envelope)
        let_run(bench)

        assert [("held", 1)] == states(bench)

    def test_an_error_that_cannot_be_shown_defers(self, make_bench, envelope):
        class Shy(Exception):
            def __repr__(self):
                raise ValueError("no")

        bench = make_bench(ScriptedRelay(Shy()))
        bench.queue.accept(envelope)
        let_run(bench)

        assert [("due", 1)] == states(bench)

    def test_an_error_of_ours_that_was_never_made_properly_defers(self, make_bench, envelope):
        class Halfway(MdaError):
            def __init__(self):
                pass

        bench = make_bench(ScriptedRelay(Halfway()))
        bench.queue.accept(envelope)
        let_run(bench)

        assert [("due", 1)] == states(bench)

    def test_a_deadline_that_a_relay_took_from_us_defers(self, make_bench, envelope):
        bench = make_bench(ScriptedRelay(Deadline(1)))
        bench.queue.accept(envelope)
        let_run(bench)

        assert [("due", 1)] == states(bench)

    def test_a_body_that_cannot_be_read_for_its_notice_is_missing_in_it(self, make_bench, envelope, monkeypatch):
        """What has become of the recipients is recorded all the same: none of them gets the message again."""

        class Unreadable:
            size_bytes = 10

            def chunks(self, size_bytes=65_536):
                raise OSError(5, "Input/output error")
                yield

        bench = make_bench(ScriptedRelay(NEVER))
        claimed = envelope.with_content(Content(Unreadable()))
        monkeypatch.setattr("mdacore.testing.memory._kept", lambda envelope: envelope)
        bench.storage.write([NewMessage(envelope=claimed, lane="local/", due_at=0.0)], queue="main")
        let_run(bench)

        assert ([], [1, 1]) == (states(bench), [attempt.number for _, attempt in bench.relay.attempts])
        notice = content_of(bench.relay.attempts[1][0])
        assert (1, 0) == (notice.count(b"message/delivery-status"), notice.count(b"rfc822-headers"))

    def test_a_message_that_cannot_be_read_now_is_read_later(self, make_bench, envelope):
        bench = make_bench(ScriptedRelay(LATER, OK))
        bench.queue.accept(envelope)
        let_run(bench)
        bench.storage.fail_next["read"] = [StorageError("locked")]

        let_run(bench, advance_s=61)
        let_run(bench, advance_s=400)

        assert [] == states(bench)

    @pytest.mark.parametrize("junk", [None, [7]])
    def test_rubbish_from_claim_does_not_end_the_claiming(self, make_bench, envelope, junk):
        class Odd(MemoryStorage):
            calls = 0

            def claim(self, queue, limit, *, full_lanes=()):
                self.calls += 1
                return junk if self.calls == 2 else super().claim(queue, limit, full_lanes=full_lanes)

        bench = bench_on(make_bench, Odd, ScriptedRelay(LATER, OK))
        bench.queue.accept(envelope)
        for _ in range(3):
            let_run(bench, advance_s=100)

        assert [] == states(bench)

    def test_a_storage_that_exits_is_a_fault_of_that_message(self, bench, envelope):
        bench.storage.fail_next["write"] = [SystemExit(3)]

        assert 451 == bench.queue.accept(envelope)[0].code

    @pytest.mark.parametrize("reply", [OK, NEVER])
    def test_a_policys_error_is_answered_with_451_whatever_reply_it_carries(self, make_bench, envelope, reply):
        """Success is only ever said of what is stored, and only a Rejection refuses for good."""

        def fail(envelope):
            raise MdaError("x", reply=reply)

        bench = make_bench(queue_policies=[BoundPolicy(instance="odd", apply=fail)])

        assert 451 == bench.queue.accept(envelope)[0].code

    def test_on_error_decides_for_every_error_that_is_no_verdict(self, make_bench, envelope):
        def fail(envelope):
            raise MdaError("x", reply=NEVER)

        bench = make_bench(queue_policies=[BoundPolicy(instance="odd", apply=fail, on_error="accept")])

        assert 250 == bench.queue.accept(envelope)[0].code


class TestOperator:
    def test_what_is_told_to_bounce_is_not_attempted(self, make_bench, envelope):
        bench = make_bench()
        held = NewMessage(envelope=envelope, lane="local/", due_at=0.0, held="looks odd")
        bench.storage.write([held], queue="main")

        bench.storage.amend(Query(), Change.BOUNCE)
        let_run(bench)

        assert Outcome.BOUNCED is bench.storage.settled[0][1].closed[0].outcome
        assert [""] == [attempted.sender for attempted, _ in bench.relay.attempts]
