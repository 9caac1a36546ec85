"""A destination that is down: its lane is suspended, its messages lose nothing, and everybody else's mail goes on."""

from __future__ import annotations

import attrs
import gevent
import pytest
from gevent.event import Event

from mdacore import Change, DestinationDown, NewMessage, Outcome, Query, Reply, State
from mdacore.queue import BoundRelay, NoticeRules, Queue, RetryRule, RetrySchedule
from mdacore.runtime import Breaker
from mdacore.testing import CapturedLog, ManualClock, MemoryStorage, ScriptedRelay

from .waiting import let_run, settlements, wait_until

OK = Reply.parse("250 2.0.0 Delivered")
LATER = Reply.parse("451 4.2.1 Mailbox busy")
REFUSED = Reply.parse("451 4.4.1 Connection refused")
DAY_S = 86_400.0


@attrs.define
class Down:
    """A queue that knows a destination to be down."""

    clock: ManualClock
    storage: MemoryStorage
    relay: ScriptedRelay
    queue: Queue
    log: CapturedLog


class Destinations:
    """A relay by domain; those in `down` refuse."""

    def __init__(self, *down: str) -> None:
        self.down = set(down)
        self.relay = ScriptedRelay(self._attempt, by_domain=True)

    def _attempt(self, envelope, attempt):
        if envelope.recipients[0].address.rpartition("@")[2] in self.down:
            raise DestinationDown(REFUSED)
        return {recipient.number: OK for recipient in envelope.recipients}

    def addresses(self) -> list[str]:
        return [envelope.recipients[0].address for envelope, _ in self.relay.attempts]

    def attempts_at(self, domain: str) -> int:
        return sum(address.endswith(f"@{domain}") for address in self.addresses())


@pytest.fixture
def world() -> Destinations:
    return Destinations("dead.test")


@pytest.fixture(autouse=True)
def even_and_quick(monkeypatch):
    """No jitter: pauses are as long as they say. And what is full is looked at again soon."""
    monkeypatch.setattr("random.random", lambda: 0.5)
    monkeypatch.setattr("mdacore.queue.queue.FULL_LANES_WAIT_S", 0.02)


@pytest.fixture
def make_down(make_bench, make_envelope, world):
    """A queue whose lane for dead.test has just been suspended by three messages."""

    def make(**changes):
        keys = {key: changes.pop(key) for key in ("suspension_max_s", "breaker", "concurrency") if key in changes}
        clock, log = ManualClock(), CapturedLog()
        storage = MemoryStorage(clock)
        made = make_bench(
            world.relay,
            clock=clock,
            storage=storage,
            relays={"local": BoundRelay(instance="local", relay=world.relay, **keys)},
            log=log,
            **changes,
        )
        bench = Down(clock, storage, world.relay, made.queue, log)
        for number in range(3):
            bench.queue.accept(make_envelope(f"first{number}@dead.test"))
            settlements(bench, number + 1)
            gevent.sleep(0)
        return bench

    return make


def dead(bench, make_envelope, count, *, age_s=0.0, lane="local/dead.test"):
    """Messages for the dead destination, as another run of the service has left them, due for `age_s` already."""
    now = bench.clock.now()
    return [
        NewMessage(envelope=make_envelope(f"{n}@dead.test", received_at=now - age_s), lane=lane, due_at=now - age_s)
        for n in range(count)
    ]


def entries(bench):
    return list(bench.storage.entries(Query()))


def waiting_for(bench, domain):
    """The recipients there whose messages are queued."""
    return [entry.recipients[0][0] for entry in entries(bench) if entry.lane == f"local/{domain}"]


def is_at_rest(bench):
    """The last probe is over, and all is looked at that was claimed with it, or in a review all that there is."""
    facts = bench.queue.health().facts
    due = [one for one in entries(bench) if one.lane == "local/dead.test" and one.due_at <= bench.clock.now()]
    return not facts["unsettled"] and (not due or "local/dead.test" in facts["full_lanes"])


def last_out(bench, world, hours):
    """So much time, with a probe whenever one may be made."""
    end = bench.clock.monotonic() + hours * 3600
    while bench.clock.monotonic() < end and any(entry.lane == "local/dead.test" for entry in entries(bench)):
        probes = world.attempts_at("dead.test")
        bench.clock.advance(901)
        wait_until(lambda probes=probes: world.attempts_at("dead.test") > probes)
        wait_until(lambda: is_at_rest(bench))


def is_suspended(bench):
    return bench.queue.health().facts["suspended_lanes"]["count"] == 1


class TestSignal:
    def test_all_recipients_are_deferred_with_its_reply(self, make_bench, make_envelope):
        bench = make_bench(ScriptedRelay(DestinationDown(REFUSED)))

        bench.queue.accept(make_envelope("a@dead.test", "b@dead.test"))
        settlements(bench, 1)

        assert {0: REFUSED, 1: REFUSED} == bench.storage.settled[0][1].deferred

    def test_it_is_no_fault_of_the_relay(self, make_bench, make_envelope):
        relay, breaker, log = ScriptedRelay(DestinationDown(REFUSED)), Breaker(clock=ManualClock()), CapturedLog()
        bound = BoundRelay(instance="local", relay=relay, breaker=breaker, suspension_max_s=0)
        bench = make_bench(relay, relays={"local": bound}, log=log)

        for _ in range(5):
            bench.queue.accept(make_envelope("a@dead.test"))
        settlements(bench, 5)

        assert (0, []) == (breaker.faults, log.find("plugin.failed"))

    @pytest.mark.parametrize("code", [250, 354, 550])
    def test_a_reply_that_is_not_4yz_is_refused(self, code):
        with pytest.raises(ValueError, match="4yz"):
            DestinationDown(Reply(code=code))


class TestSuspended:
    def test_it_takes_three_failures_in_a_row_at_the_start(self, make_down):
        bench = make_down()

        assert is_suspended(bench)
        (line,) = bench.log.find("queue.lane_suspended")
        assert {"lane": "local/dead.test", "reply": str(REFUSED), "pause_s": 60} == line.fields

    def test_an_answer_in_between_starts_the_count_anew(self, make_bench, make_envelope):
        down = DestinationDown(REFUSED)
        bench = make_bench(ScriptedRelay(down, down, OK, down, LATER, down, OK))
        for number in range(7):
            bench.queue.accept(make_envelope("a@dead.test"))
            bench.relay.wait_for(number + 1)
            let_run()

        assert not is_suspended(bench)

    def test_its_mail_is_taken_and_waits_with_no_attempt_counted(self, make_down, make_envelope):
        bench = make_down()

        replies = bench.queue.accept(make_envelope("bob@dead.test"))
        let_run()

        assert [250] == [reply.code for reply in replies]
        assert (State.DUE, 0) == (entries(bench)[3].state, entries(bench)[3].attempts)
        assert 3 == len(bench.relay.attempts)

    def test_other_destinations_of_the_same_relay_go_on(self, make_down, make_envelope, world):
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 300), queue="main")

        bench.queue.accept(make_envelope("eve@alive.test"))

        bench.relay.wait_for(4)
        assert "eve@alive.test" == world.addresses()[-1]

    def test_what_waited_in_memory_is_given_back_uncounted(self, make_bench, make_envelope):
        """Ten messages, of which three find out."""
        gate = Event()

        def fail(envelope, attempt):
            gate.wait()
            raise DestinationDown(REFUSED)

        relay = ScriptedRelay(fail)
        bound = BoundRelay(instance="local", relay=relay, concurrency=5)
        bench = make_bench(relay, relays={"local": bound}, log=CapturedLog())
        for _ in range(10):
            bench.queue.accept(make_envelope("bob@dead.test"))
        relay.wait_for(5)

        gate.set()
        wait_until(lambda: not bench.queue.health().facts["unsettled"])

        assert [0] * 5 + [1] * 5 == sorted(entry.attempts for entry in entries(bench))
        assert 5 == len(relay.attempts)

    def test_zero_means_never(self, make_down, make_envelope):
        bench = make_down(suspension_max_s=0)

        bench.queue.accept(make_envelope("bob@dead.test"))

        bench.relay.wait_for(4)
        assert not is_suspended(bench)

    def test_while_nothing_else_is_to_do_the_storage_is_left_alone(self, make_down, make_envelope):
        """What other lanes finish gives a suspended one no room: it is no reason to look again."""
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 5), queue="main")
        let_run()
        asked = []
        claim = bench.storage.claim
        bench.storage.claim = lambda *args, **given: asked.append(1) or claim(*args, **given)

        for _ in range(50):
            bench.queue.accept(make_envelope("eve@alive.test"))
        settlements(bench, 3 + 50)

        assert len(asked) <= 3

    def test_it_stops_at_once(self, make_down, make_envelope):
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 50), queue="main")

        assert bench.queue.drain(60.0)
        assert 0 == bench.queue.health().facts["unsettled"]

    def test_health_says_until_when(self, make_down):
        bench = make_down()

        assert "suspended: 1, local/dead.test until 2023-11-14T22:14:20Z" == bench.queue.health().reason


class TestProbe:
    def test_one_attempt_is_made_and_its_failure_prolongs_the_pause(self, make_down, make_envelope):
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 40, age_s=1.0), queue="main")

        bench.clock.advance(60)
        settlements(bench, 4)
        wait_until(lambda: not bench.queue.health().facts["unsettled"])

        assert 4 == len(bench.relay.attempts)
        assert [60, 120] == [line.fields["pause_s"] for line in bench.log.find("queue.lane_suspended")]
        assert [0] * 39 + [1] * 4 == sorted(entry.attempts for entry in entries(bench))

    def test_its_success_lets_all_go_old_and_new(self, make_down, make_envelope, world):
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 250), queue="main")
        bench.queue.accept(make_envelope("new@dead.test"))
        world.down.clear()

        bench.clock.advance(60)
        settlements(bench, 3 + 3 + 251)

        assert [] == entries(bench)
        assert 1 == len(bench.log.find("queue.lane_resumed", lane="local/dead.test"))
        assert not is_suspended(bench)

    def test_any_answer_is_a_success(self, make_bench, make_envelope):
        """A mailbox that is busy says that its server is there."""
        down = DestinationDown(REFUSED)
        clock = ManualClock()
        bench = make_bench(ScriptedRelay(down, down, down, LATER), clock=clock, storage=MemoryStorage(clock))
        for number in range(3):
            bench.queue.accept(make_envelope("a@dead.test"))
            bench.relay.wait_for(number + 1)
            let_run()
        assert is_suspended(bench)

        clock.advance(66)
        bench.relay.wait_for(4)
        let_run()

        assert not is_suspended(bench)

    def test_after_an_outage_attempts_begin_one_by_one_and_grow(self, make_down, make_envelope, world):
        """No thundering herd: of 200 messages that are due, one is attempted, then two, three and so on."""
        bench = make_down()
        running, peaks, gates = [0], [], []

        def slow(envelope, attempt):
            gate = Event()
            gates.append(gate)
            running[0] += 1
            peaks.append(running[0])
            gate.wait()
            running[0] -= 1
            return {0: OK}

        world.relay._script[0] = slow
        bench.storage.write(dead(bench, make_envelope, 200), queue="main")
        bench.clock.advance(60)
        grown = []
        for _ in range(6):
            wait_until(lambda: gates)
            let_run()
            grown.append(running[0])
            while gates:
                gates.pop(0).set()
            wait_until(lambda: running[0] != grown[-1] or gates)

        assert 1 == grown[0]
        assert sorted(grown) == grown
        assert max(peaks) <= 20

    def test_a_fault_says_nothing_about_the_destination(self, make_down, make_envelope, world):
        bench = make_down()
        world.relay._script[0] = RuntimeError("boom")
        bench.storage.write(dead(bench, make_envelope, 1, age_s=1.0), queue="main")

        bench.clock.advance(60)
        bench.relay.wait_for(4)
        let_run()

        assert is_suspended(bench)


class TestEndOfLife:
    def test_what_grows_too_old_bounces_with_what_was_last_heard(self, make_down, make_envelope, world):
        """A hundred messages wait; one of them is the probe, and none of the others is attempted."""
        bench = make_down(lifetime_s=7200.0)
        bench.storage.write(dead(bench, make_envelope, 99), queue="main")

        last_out(bench, world, 2.5)
        wait_until(lambda: not entries(bench))

        assert world.attempts_at("dead.test") <= 3 + 10
        closings = [
            end for _, done in bench.storage.settled for end in done.closed.values() if end.outcome is Outcome.BOUNCED
        ]
        assert {f"554 5.4.7 Delivery time expired; the last reply was: {REFUSED}"} == {
            str(one.reply) for one in closings
        }
        assert {"sent"} == {one.notice for one in closings}

    def test_what_an_operator_returns_is_returned_with_the_next_probe(self, make_down, make_envelope):
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 50, age_s=1.0), queue="main")
        bench.storage.amend(Query(recipient="49@dead.test"), Change.BOUNCE)

        bench.clock.advance(60)
        wait_until(lambda: bench.log.find("queue.bounced"))

        (line,) = bench.log.find("queue.bounced")
        assert (["49@dead.test"], "554 5.0.0 Returned by the administrator") == (
            line.fields["rcpts"],
            line.fields["reply"],
        )

    def test_the_sender_is_warned_in_time(self, make_down, make_envelope, world):
        bench = make_down(notice_rules=NoticeRules(delay_warning_s=4 * 3600.0))
        bench.storage.write(dead(bench, make_envelope, 2), queue="main")

        last_out(bench, world, 4)

        warned = {claim.queue_id for claim, done in bench.storage.settled if done.reports_delay}
        assert warned == {entry.queue_id for entry in entries(bench)}

    def test_a_clock_that_jumps_makes_nothing_old_that_was_never_attempted(self, make_down, make_envelope):
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 10, age_s=1.0), queue="main")

        bench.clock.jump(10 * DAY_S)
        bench.clock.advance(60)
        settlements(bench, 4)
        wait_until(lambda: not bench.queue.health().facts["unsettled"])

        assert 10 <= sum(not entry.recipients[0][0].startswith("first") for entry in entries(bench))

    def test_what_was_never_attempted_is_as_old_as_its_domain_allows(self, make_down, make_envelope, world):
        rule = RetryRule(schedule=RetrySchedule((60.0,)), lifetime_s=600.0)
        bench = make_down(retry_for={"dead.test": rule})
        for number in range(4):
            bench.queue.accept(make_envelope(f"new{number}@dead.test", received_at=bench.clock.now()))

        last_out(bench, world, 0.25)

        assert ["new0@dead.test"] == [
            entry.recipients[0][0] for entry in entries(bench) if entry.lane == "local/dead.test"
        ]

    def test_a_backlog_larger_than_a_claim_is_reviewed_every_hour(self, make_down, make_envelope, world):
        """450 wait; those that are too old are behind 250 that are not, as an operator's `retry` may have put them."""
        bench = make_down(lifetime_s=DAY_S)
        now = bench.clock.now()
        young = dead(bench, make_envelope, 250)
        old = [
            NewMessage(
                envelope=make_envelope(f"old{n}@dead.test", received_at=now - DAY_S), lane="local/dead.test", due_at=now
            )
            for n in range(200)
        ]
        bench.storage.write([*young, *old], queue="main")

        last_out(bench, world, 1.25)  # one of them is the probe before the review, and too old in the next

        assert not [to for to in waiting_for(bench, "dead.test") if to.startswith("old")]
        left = [entry for entry in entries(bench) if not entry.recipients[0][0].startswith("first")]
        assert 250 == len(left)
        assert max(entry.attempts for entry in left) <= 1

    def test_a_review_goes_on_beside_other_mail_that_is_due_for_longer(self, make_down, make_envelope, world):
        """That a claim has no message of the lane does not say that it has none."""
        bench = make_down(lifetime_s=DAY_S, claims_max=10)
        now = bench.clock.now()
        in_front = dead(bench, make_envelope, 20)
        others = [
            NewMessage(envelope=make_envelope(f"bob@{n}.test"), lane=f"local/{n}.test", due_at=now) for n in range(40)
        ]
        old = dead(bench, make_envelope, 40, age_s=DAY_S)
        for due_at, messages in ((now, in_front), (now + 3000, others), (now + 3100, old)):
            bench.storage.write([attrs.evolve(one, due_at=due_at) for one in messages], queue="main")

        last_out(bench, world, 1.0)

        assert len(in_front) + 3 == len(waiting_for(bench, "dead.test"))
        assert now + 4 * 901 == bench.clock.now()


class TestLooks:
    """Nothing that waits stays behind what has been looked at, and nothing is lost by a look."""

    def test_each_probe_meets_what_waits_behind_the_last_one(self, make_down, make_envelope, world):
        """250 wait, and the last of them is to be returned."""
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 250, age_s=1.0), queue="main")
        bench.storage.amend(Query(recipient="249@dead.test"), Change.BOUNCE)

        for probes in (1, 2, 3):
            assert not bench.log.find("queue.bounced")
            bench.clock.advance(901)
            wait_until(lambda probes=probes: world.attempts_at("dead.test") == 3 + probes)
            wait_until(lambda: is_at_rest(bench))

        assert 1 == len(bench.log.find("queue.bounced"))

    def test_each_probe_is_another_message(self, make_down, make_envelope, world):
        """One that its destination cannot bear would keep it suspended for ever, and have all attempts counted."""
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 50, age_s=1.0), queue="main")

        last_out(bench, world, 0.75)

        probed = world.addresses()[3:]
        assert 3 == len(probed) == len(set(probed))

    def test_no_attempt_is_counted_however_often_they_are(self, make_down, make_envelope, world):
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 250, age_s=1.0), queue="main")

        last_out(bench, world, 3.0)

        assert world.attempts_at("dead.test") == sum(entry.attempts for entry in entries(bench))

    @pytest.mark.parametrize("hours", [0.25, 1.0], ids=["after-a-probe", "after-a-review"])
    def test_when_the_destination_is_back_all_flows_at_once(self, make_down, make_envelope, world, hours):
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 250, age_s=1.0), queue="main")
        last_out(bench, world, hours)
        tried = set(world.addresses())

        world.down.clear()
        bench.clock.advance(901)

        wait_until(lambda: not [to for to in waiting_for(bench, "dead.test") if to not in tried])

    def test_after_a_restart_it_is_due_but_for_what_a_review_has_put_off(self, make_down, make_envelope, world):
        bench = make_down()
        bench.storage.write(dead(bench, make_envelope, 250, age_s=1.0), queue="main")
        last_out(bench, world, 0.75)

        assert not [entry for entry in entries(bench) if not entry.attempts and entry.due_at > bench.clock.now()]

        last_out(bench, world, 0.25)

        assert {900} == {entry.due_at - bench.clock.now() for entry in entries(bench) if not entry.attempts}

    def test_a_review_lets_others_have_their_turn(self, make_down, make_envelope, world):
        """While one claim is being looked at, what is due elsewhere is claimed, though it is due for less long."""
        bench = make_down(claims_max=20)
        bench.storage.write(dead(bench, make_envelope, 300, age_s=1.0), queue="main")
        last_out(bench, world, 0.75)
        claimed = []
        claim = bench.storage.claim

        def watched(queue, limit, *, full_lanes=()):
            given = claim(queue, limit, full_lanes=full_lanes)
            if given and len(claimed) == 20:  # the probe and what came with it, and the first of the review
                envelope = make_envelope("eve@alive.test")
                other = NewMessage(envelope=envelope, lane="local/alive.test", due_at=bench.clock.now())
                bench.storage.write([other], queue="main")
            claimed.extend(one.lane for one in given)
            return given

        bench.storage.claim = watched
        last_out(bench, world, 0.25)

        assert len(claimed) > 300
        assert claimed.index("local/alive.test") <= 3 * 20
