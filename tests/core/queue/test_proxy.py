"""A queue without storage: what a client hears is what became of each recipient's mail."""

from __future__ import annotations

import attrs
import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit

from mdacore import (
    Content,
    Deferral,
    Discard,
    FileBody,
    Hold,
    MdaError,
    Recipient,
    Rejection,
    RemoteReply,
    Reply,
    StartError,
)
from mdacore.queue import BoundPolicy, BoundRelay, ProxyQueue, ProxyWiring, Route
from mdacore.runtime import Breaker
from mdacore.testing import CapturedLog, ManualClock, ScriptedRelay

A, B, C = "a@example.test", "b@example.test", "c@example.test"
COPY = "archive@archive.test"
OK = Reply.parse("250 2.1.5 Delivered")
LATER = Reply.parse("450 4.2.1 Mailbox busy")
NEVER = Reply.parse("550 5.1.1 No such user")


@attrs.define
class ProxyBench:
    """One proxy queue and everything around it."""

    queue: ProxyQueue
    relay: ScriptedRelay
    log: CapturedLog
    clock: ManualClock

    def codes(self, envelope):
        return [reply.code for reply in self.queue.accept(envelope)]


@pytest.fixture
def make_proxy(tmp_path):
    """Build and start a proxy queue; keywords change its wiring. Stopped at the end of the test."""
    queues = []

    def make(*script, by_domain=False, policies=(), relay_policies=(), concurrency=20, deadline_s=600.0, **changes):
        relay, log, clock = ScriptedRelay(*script, by_domain=by_domain), CapturedLog(), ManualClock()
        relays = {"local": BoundRelay(instance="local", relay=relay, concurrency=concurrency, deadline_s=deadline_s)}
        wiring = ProxyWiring(
            name="out",
            spool_path=tmp_path / "proxy" / "out",
            queue_policies=[policy(one) for one in policies],
            relay_policies=[policy(one) for one in relay_policies],
            routes=[Route(domains=None, relay="local")],
            relays=relays,
            clock=clock,
            log=log,
        )
        queue = ProxyQueue(attrs.evolve(wiring, **changes))
        queue.start()
        queues.append(queue)
        return ProxyBench(queue, relay, log, clock)

    yield make
    for queue in queues:
        queue.stop()


def policy(apply):
    return BoundPolicy(instance="under_test", apply=apply)


def by_address(**replies):
    """Answers each recipient by the local part of its address."""
    return lambda envelope, _: {rcpt.number: replies[rcpt.address.partition("@")[0]] for rcpt in envelope.recipients}


def rewriting(**addresses):
    """A policy that rewrites addresses, by their local parts, as the contract wants it."""

    def apply(envelope):
        return [
            envelope.with_recipients(
                attrs.evolve(
                    rcpt,
                    address=addresses.get(rcpt.address.partition("@")[0], rcpt.address),
                    original_address=rcpt.original_address or rcpt.address,
                )
                for rcpt in envelope.recipients
            )
        ]

    return apply


def copying(envelope):
    return [envelope.with_recipients([*envelope.recipients, Recipient(number=0, address=COPY)])]


def splitting(envelope):
    return [envelope.with_recipients([recipient]) for recipient in envelope.recipients]


def attempted(bench):
    return [[rcpt.address for rcpt in envelope.recipients] for envelope, _ in bench.relay.attempts]


class Blocking:
    """A relay's answer that waits until the test lets it go on."""

    def __init__(self):
        self.has_begun, self.may_end = Event(), Event()

    def __call__(self, envelope, _):
        self.has_begun.set()
        self.may_end.wait()
        return {rcpt.number: OK for rcpt in envelope.recipients}


@pytest.fixture
def blocking():
    blocking = Blocking()
    yield blocking
    blocking.may_end.set()


class TestReplies:
    @pytest.mark.parametrize("reply", [OK, LATER, NEVER])
    def test_the_client_hears_what_the_relay_said(self, make_proxy, envelope, reply):
        assert [reply] == make_proxy(reply).queue.accept(envelope)

    def test_each_recipient_has_its_own_in_the_order_of_the_client(self, make_proxy, make_envelope):
        bench = make_proxy(by_address(a=NEVER, b=OK, c=LATER))

        assert [OK, LATER, NEVER] == bench.queue.accept(make_envelope(B, C, A))

    def test_duplicates_are_relayed_once_and_answered_equally(self, make_proxy, make_envelope):
        bench = make_proxy(by_address(a=NEVER, b=OK))

        assert [NEVER, OK, NEVER] == bench.queue.accept(make_envelope(A, B, "a@EXAMPLE.test"))
        assert [[A, B]] == attempted(bench)

    def test_it_says_that_it_is_a_proxy(self, make_proxy, bench):
        assert make_proxy().queue.is_proxy
        assert not bench.queue.is_proxy

    @pytest.mark.parametrize(
        ("said", "heard"),
        [
            (RemoteReply(code=252, enhanced="2.5.2", text="x", remote_mta="mx"), "250 2.5.2 x"),
            (Reply.parse("421 4.3.2 Going down"), "451 4.3.2 Going down"),
            (Reply.parse("521 5.3.2 No mail here"), "554 5.3.2 No mail here"),
        ],
    )
    def test_what_would_close_the_clients_connection_is_said_otherwise(self, make_proxy, envelope, said, heard):
        (reply,) = make_proxy(said).queue.accept(envelope)

        assert (Reply, heard) == (type(reply), str(reply))

    def test_recipients_of_several_relays_are_answered_by_theirs(self, make_proxy, make_envelope):
        far = ScriptedRelay(LATER)
        bench = make_proxy(
            routes=[Route(domains=frozenset({"far.test"}), relay="far"), Route(domains=None, relay="local")],
            relays={
                "far": BoundRelay(instance="far", relay=far),
                "local": BoundRelay(instance="local", relay=ScriptedRelay(by_address(a=OK, b=NEVER))),
            },
        )

        assert [LATER, OK, LATER, NEVER] == bench.queue.accept(make_envelope("x@far.test", A, "y@far.test", B))

    def test_each_outcome_is_a_line_in_the_log(self, make_proxy, make_envelope):
        bench = make_proxy(by_address(a=OK, b=LATER, c=OK))

        bench.queue.accept(make_envelope(A, B, C))

        delivered = bench.log.one("queue.proxied", reply=str(OK), session_id="session1")
        deferred = bench.log.one("queue.proxied", reply=str(LATER), session_id="session1")
        assert ([A, C], [B]) == (delivered.fields["rcpts"], deferred.fields["rcpts"])
        assert delivered.bound["queue_id"] == deferred.bound["queue_id"] == bench.relay.attempts[0][1].queue_id

    def test_no_two_attempts_have_one_id(self, make_proxy, envelope):
        bench = make_proxy()
        for _ in range(20):
            bench.queue.accept(envelope)

        assert 20 == len({attempt.queue_id for _, attempt in bench.relay.attempts})


class TestFaults:
    """A fault is 4yz, never 5yz, and never success (design §5)."""

    @pytest.mark.parametrize(
        "fault",
        [
            RuntimeError("boom"),
            SystemExit(3),
            Rejection(NEVER),
            Hold("no"),
            Discard("no"),
            lambda *_: None,
            lambda *_: {},
            lambda *_: {0: Reply(code=354)},
            lambda *_: {7: OK},
        ],
    )
    def test_of_a_relay(self, make_proxy, envelope, fault):
        bench = make_proxy(fault)

        assert [451] == bench.codes(envelope)
        assert bench.log.find("plugin.failed", component="relays.local")

    @pytest.mark.parametrize("reply", [NEVER, OK])
    def test_an_error_with_a_reply_of_its_own_is_not_the_relays_word(self, make_proxy, envelope, reply):
        """So says decision 0008."""
        assert [451] == make_proxy(MdaError("odd", reply=reply)).codes(envelope)

    def test_missing_replies_are_4yz_and_the_others_true(self, make_proxy, make_envelope):
        bench = make_proxy(lambda *_: {0: OK})

        assert [250, 451] == bench.codes(make_envelope(A, B))
        assert [B] == bench.log.one("plugin.failed", error="no reply").fields["rcpts"]

    def test_a_relay_that_overruns_its_deadline_is_cut(self, make_proxy, envelope, blocking):
        assert [451] == make_proxy(blocking, deadline_s=0.01).codes(envelope)

    def test_a_relay_has_no_more_time_than_the_client(self, make_proxy, envelope, blocking):
        bench = make_proxy(blocking, reply_within_s=0.01)

        assert [451] == bench.codes(envelope)
        assert bench.relay.attempts[0][1].deadline_s <= 0.01

    def test_a_relay_that_is_switched_off_is_not_called(self, make_proxy, envelope):
        clock = ManualClock()
        relay = ScriptedRelay(RuntimeError("boom"), RuntimeError("boom"), RuntimeError("boom"), OK)
        bound = BoundRelay(instance="local", relay=relay, breaker=Breaker(clock=clock, call="attempt"))
        bench = make_proxy(relays={"local": bound})

        assert [[451]] * 5 == [bench.codes(envelope) for _ in range(5)]
        assert 451 == bench.queue.refusal(0).code
        assert 3 == len(relay.attempts)
        clock.advance(5)
        assert bench.queue.refusal(0) is None
        assert [250] == bench.codes(envelope)

    def test_one_relay_of_two_that_is_switched_off_keeps_nobody_from_the_other(self, make_proxy, make_envelope):
        breaker = Breaker(clock=ManualClock(), call="attempt", faults_max=1)
        bench = make_proxy(
            routes=[Route(domains=frozenset({"far.test"}), relay="far"), Route(domains=None, relay="local")],
            relays={
                "far": BoundRelay(instance="far", relay=ScriptedRelay(RuntimeError("boom")), breaker=breaker),
                "local": BoundRelay(instance="local", relay=ScriptedRelay(OK)),
            },
        )

        assert [[451, 250]] * 2 == [bench.codes(make_envelope("x@far.test", A)) for _ in range(2)]

    def test_a_relay_that_cannot_name_a_destination_is_4yz(self, make_proxy, envelope):
        bench = make_proxy()
        bench.relay.destination = lambda _: 1 / 0

        assert [451] == bench.codes(envelope)
        assert [] == bench.relay.attempts


class TestQueuePolicies:
    @pytest.mark.parametrize(("verdict", "code"), [(Rejection(NEVER), 550), (Deferral(LATER), 450)])
    def test_a_verdict_on_any_part_refuses_the_whole_and_nothing_is_relayed(
        self, make_proxy, make_envelope, verdict, code
    ):
        def refuse_b(envelope):
            if envelope.recipients[0].address == B:
                raise verdict
            return [envelope]

        bench = make_proxy(policies=[splitting, refuse_b])

        assert [code, code] == bench.codes(make_envelope(A, B))
        assert [] == bench.relay.attempts
        assert str(verdict.reply) == bench.log.one("queue.refused").fields["reply"]

    def test_a_fault_is_451(self, make_proxy, envelope):
        assert [451] == make_proxy(policies=[lambda _: None]).codes(envelope)

    def test_an_error_with_a_reply_of_its_own_is_no_verdict(self, make_proxy, envelope):
        def fail(_):
            raise MdaError("odd", reply=NEVER)

        assert [451] == make_proxy(policies=[fail]).codes(envelope)

    def test_a_discard_drops_only_its_part_and_is_answered_250(self, make_proxy, make_envelope):
        def discard_b(envelope):
            if envelope.recipients[0].address == B:
                raise Discard("no b here")
            return [envelope]

        bench = make_proxy(by_address(a=LATER), policies=[splitting, discard_b])

        assert [450, 250] == bench.codes(make_envelope(A, B))
        assert [[A]] == attempted(bench)

    def test_a_hold_is_refused_for_now_since_nothing_can_be_held(self, make_proxy, make_envelope):
        def hold_b(envelope):
            if envelope.recipients[0].address == B:
                raise Hold("looks odd")
            return [envelope]

        bench = make_proxy(policies=[splitting, hold_b])

        assert ["451 4.3.5"] * 2 == [str(reply)[:9] for reply in bench.queue.accept(make_envelope(A, B))]
        assert [] == bench.relay.attempts
        held = bench.log.one("queue.hold_refused")
        assert ("warning", "under_test: looks odd") == (held.level, held.fields["reason"])

    def test_policies_have_no_more_time_than_the_client(self, make_proxy, envelope):
        bench = make_proxy(policies=[lambda _: gevent.sleep(60)], reply_within_s=0.01, policies_deadline_s=0.01)

        assert [451] == bench.codes(envelope)

    def test_their_time_is_by_default_within_the_clients(self, make_proxy):
        wired = [make_proxy(reply_within_s=seconds).queue._wiring for seconds in (540.0,)]

        assert [240.0] == [wiring.policies_deadline_s for wiring in wired]


class TestWhoseReply:
    """Policies rewrite, add, leave out and merge recipients: each of the client's hears of its own mail."""

    def test_a_rewritten_recipient_hears_of_the_new_address(self, make_proxy, make_envelope):
        bench = make_proxy(by_address(b=OK, c=NEVER), policies=[rewriting(a=C)])

        assert [NEVER, OK] == bench.queue.accept(make_envelope(A, B))

    def test_one_that_was_merged_into_another_hears_what_that_one_hears(self, make_proxy, make_envelope):
        """Else it would hear 250 for mail that nobody has delivered."""
        bench = make_proxy(by_address(b=LATER), policies=[rewriting(a=B)])

        assert [LATER, LATER] == bench.queue.accept(make_envelope(A, B))
        assert [[B]] == attempted(bench)

    @pytest.mark.parametrize(
        ("replies", "expected"),
        [((OK, OK), OK), ((OK, LATER), LATER), ((NEVER, OK), NEVER), ((NEVER, LATER), LATER), ((LATER, NEVER), LATER)],
    )
    def test_one_that_became_several_hears_the_worst(self, make_proxy, make_envelope, replies, expected):
        """4yz before 5yz: the client comes again, and hears the 5yz when nothing is left to come again for."""

        def forward(envelope):
            (rcpt,) = envelope.recipients
            return [
                envelope.with_recipients([attrs.evolve(rcpt, address=address, original_address=rcpt.address)])
                for address in (B, C)
            ]

        bench = make_proxy(by_address(b=replies[0], c=replies[1]), policies=[forward])

        assert [expected] == bench.queue.accept(make_envelope(A))

    def test_who_was_left_out_by_a_policy_hears_250_and_the_log_says_by_which(self, make_proxy, make_envelope):
        bench = make_proxy(
            by_address(a=LATER), policies=[lambda envelope: [envelope.with_recipients(envelope.recipients[:1])]]
        )

        assert [450, 250] == bench.codes(make_envelope(A, B))
        discarded = bench.log.one("queue.discarded", policy="under_test")
        assert ([B], "left out by the policy") == (discarded.fields["rcpts"], discarded.fields["reason"])

    def test_who_was_renamed_without_a_word_was_not_left_out(self, make_proxy, make_envelope):
        def rename(envelope):
            return [envelope.with_recipients([attrs.evolve(envelope.recipients[0], address=C)])]

        assert [450] == make_proxy(by_address(c=LATER), policies=[rename]).codes(make_envelope(A))


class TestCopies:
    """Recipients that a policy adds: nobody would try them again."""

    def test_they_are_relayed_first_and_the_client_hears_only_of_its_own(self, make_proxy, make_envelope):
        bench = make_proxy(by_address(archive=OK, a=LATER), policies=[copying])

        assert [LATER] == bench.queue.accept(make_envelope(A))
        assert [[COPY], [A]] == attempted(bench)

    @pytest.mark.parametrize("reply", [LATER, NEVER])
    def test_where_one_fails_nothing_else_is_relayed_and_the_client_comes_again(self, make_proxy, make_envelope, reply):
        """Neither is the copy lost, nor does anybody get the message twice; and it is not the client's fault."""
        bench = make_proxy(by_address(archive=reply, a=OK), policies=[copying])

        assert [451] == bench.codes(make_envelope(A))
        assert [[COPY]] == attempted(bench)

    def test_one_that_the_client_has_named_too_is_the_clients(self, make_proxy, make_envelope):
        bench = make_proxy(by_address(archive=LATER, a=OK), policies=[copying])

        assert [OK, LATER] == bench.queue.accept(make_envelope(A, COPY))
        assert [[A, COPY]] == attempted(bench)


class TestRelayPolicies:
    def test_they_see_the_message_before_the_relay(self, make_proxy, envelope):
        def sign(envelope, _):
            return envelope.with_content(envelope.content.prepend(b"X-Signed: yes\r\n"))

        bench = make_proxy(relay_policies=[sign])

        assert [250] == bench.codes(envelope)
        assert b"X-Signed" in bench.relay.attempts[0][0].content.header

    @pytest.mark.parametrize(
        ("verdict", "expected"),
        [
            (Rejection(NEVER), "550 5.1.1"),
            (Deferral(LATER), "450 4.2.1"),
            (Discard("x"), "250 2.0.0"),
            (Hold("x"), "451 4.3.5"),
            (RuntimeError("x"), "451 4.3.0"),
            (MdaError(reply=NEVER), "451 4.3.0"),
        ],
    )
    def test_their_verdicts_are_replies(self, make_proxy, envelope, verdict, expected):
        def judge(*_):
            raise verdict

        bench = make_proxy(relay_policies=[judge])

        assert [expected] == [str(reply)[:9] for reply in bench.queue.accept(envelope)]
        assert [] == bench.relay.attempts

    def test_the_time_that_they_use_is_not_the_relays(self, make_proxy, envelope):
        bench = make_proxy(relay_policies=[lambda envelope, _: bench.clock.advance(500) or envelope])

        bench.codes(envelope)

        assert 40.0 == bench.relay.attempts[0][1].deadline_s

    def test_they_have_no_more_time_than_the_client(self, make_proxy, envelope):
        bench = make_proxy(relay_policies=[lambda *_: gevent.sleep(60)], reply_within_s=0.01)

        with gevent.Timeout(60):
            assert [451] == bench.codes(envelope)

        assert [] == bench.relay.attempts

    def test_where_they_use_all_of_it_the_relay_is_not_called(self, make_proxy, envelope):
        bench = make_proxy(relay_policies=[lambda envelope, _: bench.clock.advance(600) or envelope])

        assert [451] == bench.codes(envelope)
        assert [] == bench.relay.attempts


class TestPlaces:
    def test_a_lane_never_runs_more_than_its_relay_allows(self, make_proxy, make_envelope, blocking):
        bench = make_proxy(blocking, concurrency=2)
        clients = [gevent.spawn(bench.codes, make_envelope(A)) for _ in range(5)]
        blocking.has_begun.wait(60)
        gevent.idle()

        assert 2 == len(bench.relay.attempts)
        assert {"unsettled": 5, "lanes": 1, "full_lanes": ["local/"]} == bench.queue.health().facts
        blocking.may_end.set()
        gevent.joinall(clients, timeout=60)
        assert [[250]] * 5 == [client.value for client in clients]
        assert {"unsettled": 0, "lanes": 0, "full_lanes": []} == bench.queue.health().facts

    def test_one_that_gets_no_place_in_time_is_refused_for_now(self, make_proxy, make_envelope, blocking):
        bench = make_proxy(blocking, concurrency=1, place_wait_s=0.01)
        first = gevent.spawn(bench.codes, make_envelope(A))
        blocking.has_begun.wait(60)

        assert ["451 4.3.2"] == [str(reply)[:9] for reply in bench.queue.accept(make_envelope(B))]
        blocking.may_end.set()
        assert [250] == first.get(timeout=60)

    def test_another_destination_has_places_of_its_own(self, make_proxy, make_envelope, blocking):
        bench = make_proxy(blocking, lambda *_: {0: OK}, by_domain=True, concurrency=1, place_wait_s=0.01)
        first = gevent.spawn(bench.codes, make_envelope(A))
        blocking.has_begun.wait(60)

        assert [250] == bench.codes(make_envelope("b@other.test"))
        blocking.may_end.set()
        assert [250] == first.get(timeout=60)

    def test_no_more_than_so_many_are_in_hand(self, make_proxy, make_envelope, blocking):
        bench = make_proxy(blocking, claims_max=1)
        first = gevent.spawn(bench.codes, make_envelope(A))
        blocking.has_begun.wait(60)

        assert 451 == bench.queue.refusal(0).code
        assert [451] == bench.codes(make_envelope(B))
        blocking.may_end.set()
        assert [250] == first.get(timeout=60)
        assert bench.queue.refusal(0) is None


class TestClientGone:
    """The analog of case 18: what has begun ends, and is in the log."""

    def test_an_attempt_that_has_begun_goes_on(self, make_proxy, envelope, blocking):
        bench = make_proxy(blocking)
        client = gevent.spawn(bench.queue.accept, envelope)
        blocking.has_begun.wait(60)

        client.kill()

        assert isinstance(client.value, GreenletExit)
        assert 1 == bench.queue.health().facts["unsettled"]
        blocking.may_end.set()
        assert bench.queue.drain(5)
        assert str(OK) == bench.log.one("queue.proxied", session_id="session1").fields["reply"]

    def test_one_that_has_not_begun_does_not(self, make_proxy, make_envelope, blocking):
        bench = make_proxy(blocking, concurrency=1)
        first = gevent.spawn(bench.codes, make_envelope(A))
        blocking.has_begun.wait(60)
        second = gevent.spawn(bench.queue.accept, make_envelope(B))
        gevent.idle()

        second.kill()

        blocking.may_end.set()
        assert [250] == first.get(timeout=60)
        assert bench.queue.drain(5)
        assert [[A]] == attempted(bench)
        assert [B] == bench.log.one("queue.proxied", reply="451 4.3.2 The service stopped during the attempt").fields[
            "rcpts"
        ]


class TestLife:
    def test_one_that_does_not_run_takes_nothing(self, make_proxy, envelope):
        bench = make_proxy()
        bench.queue.stop()

        assert [421] == bench.codes(envelope)
        assert 421 == bench.queue.refusal(0).code
        assert [] == bench.relay.attempts

    def test_drain_finishes_what_is_in_hand_and_takes_nothing_more(self, make_proxy, make_envelope, blocking):
        bench = make_proxy(blocking)
        first = gevent.spawn(bench.codes, make_envelope(A))
        blocking.has_begun.wait(60)
        drain = gevent.spawn(bench.queue.drain, 5)
        gevent.idle()

        assert [421] == bench.codes(make_envelope(B))
        blocking.may_end.set()
        assert drain.get(timeout=60)
        assert [250] == first.get(timeout=60)

    def test_drain_says_what_it_could_not_finish(self, make_proxy, envelope, blocking):
        bench = make_proxy(blocking)
        gevent.spawn(bench.queue.accept, envelope)
        blocking.has_begun.wait(60)

        assert not bench.queue.drain(0.01)

    def test_stop_cuts_attempts_short_and_their_clients_come_again(self, make_proxy, make_envelope, blocking):
        bench = make_proxy(blocking, concurrency=1)
        clients = [gevent.spawn(bench.codes, make_envelope(address)) for address in (A, B)]
        blocking.has_begun.wait(60)

        bench.queue.stop()

        assert [[451], [451]] == [client.get(timeout=60) for client in clients]
        assert [[A]] == attempted(bench)

    def test_stop_twice_is_stop_once(self, make_proxy):
        bench = make_proxy()
        bench.queue.stop()
        bench.queue.stop()

    def test_nothing_is_restored_into_it(self, make_proxy, envelope):
        with pytest.raises(MdaError, match="stores nothing"):
            make_proxy().queue.restore(envelope, held="", due_at=0.0, key="k")


class TestSpool:
    def test_large_bodies_have_a_folder_that_only_the_service_reads(self, make_proxy):
        spool_path = make_proxy().queue.spool_path

        assert 0o700 == spool_path.stat().st_mode & 0o777

    def test_what_a_killed_process_has_left_is_removed_at_the_start(self, make_proxy, tmp_path):
        folder = tmp_path / "proxy" / "out"
        folder.mkdir(parents=True)
        (folder / "edge-1.body").write_bytes(b"x")
        (tmp_path / "elsewhere").write_bytes(b"x")
        (folder / "link").symlink_to(tmp_path / "elsewhere")

        make_proxy()

        assert ["link"] == [path.name for path in folder.iterdir()]
        assert (tmp_path / "elsewhere").exists()

    def test_two_processes_do_not_share_it(self, make_proxy, tmp_path):
        first = make_proxy()
        (first.queue.spool_path / "edge-1.body").write_bytes(b"x")

        with pytest.raises(StartError, match="used by another process"):
            make_proxy()

        assert (first.queue.spool_path / "edge-1.body").exists()

    def test_a_stopped_one_leaves_it_to_the_next(self, make_proxy):
        make_proxy().queue.stop()
        make_proxy()

    def test_a_body_in_a_file_is_relayed(self, make_proxy, make_envelope):
        read = []
        bench = make_proxy(lambda envelope, _: read.append(b"".join(envelope.content.chunks())) or {0: OK})
        file = bench.queue.spool_path / "edge-1.body"
        file.write_bytes(b"Subject: x\r\n\r\ny\r\n")
        body = FileBody(path=file, size_bytes=file.stat().st_size)

        assert [250] == bench.codes(make_envelope(A, content=Content(body)))
        assert [b"Subject: x\r\n\r\ny\r\n"] == read
