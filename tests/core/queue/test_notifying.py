"""Notices of a running queue: which are stored with which result, how often, and in which queue."""

from __future__ import annotations

import attrs
import gevent
import pytest

from mdacore import Outcome, Query, Recipient, RemoteReply, Reply
from mdacore.queue import BoundRelay, NoticeRules, Route
from mdacore.testing import ScriptedRelay, content_of

from .waiting import settlements

OK = Reply.parse("250 2.0.0 Delivered")
LATER = Reply.parse("451 4.2.1 Mailbox busy")
NEVER = Reply.parse("550 5.1.1 No such user")
HOUR_S = 3600.0
WARNING = NoticeRules(delay_warning_s=2 * HOUR_S)


def by_sender(reply):
    """This reply for mail, and success for notices."""
    return ScriptedRelay(lambda envelope, _: {r.number: reply if envelope.sender else OK for r in envelope.recipients})


def notices(bench):
    """The notices that the relay was given, as octets."""
    return [content_of(envelope) for envelope, _ in bench.relay.attempts if not envelope.sender]


def wishing(make_envelope, *notify, **changes):
    envelope = make_envelope("bob@example.test", **changes)
    return attrs.evolve(envelope, recipients=(Recipient(number=0, address="bob@example.test", notify=notify),))


class TestSuccess:
    @pytest.mark.parametrize(
        ("reply", "action"),
        [
            (OK, b"Action: delivered"),
            (RemoteReply(code=250, remote_mta="mx.example.net"), b"Action: relayed"),
        ],
    )
    def test_who_asked_is_told(self, make_bench, make_envelope, reply, action):
        bench = make_bench(by_sender(reply))

        bench.queue.accept(wishing(make_envelope, "SUCCESS"))

        first, _ = settlements(bench, 2)
        assert (Outcome.DELIVERED, "sent") == (first.closed[0].outcome, first.closed[0].notice)
        (notice,) = notices(bench)
        assert action in notice

    @pytest.mark.parametrize("notify", [(), ("NEVER",), ("FAILURE", "DELAY")])
    def test_who_did_not_ask_is_not(self, bench, make_envelope, notify):
        bench.queue.accept(wishing(make_envelope, *notify))

        (settlement,) = settlements(bench, 1)
        assert ("", ()) == (settlement.closed[0].notice, settlement.notices)

    def test_a_next_hop_that_has_taken_over_the_wish_will_tell(self, make_bench, make_envelope):
        """RFC 3461 §5.2.1."""
        bench = make_bench(by_sender(RemoteReply(code=250, takes_dsn=True)))

        bench.queue.accept(wishing(make_envelope, "SUCCESS"))

        (settlement,) = settlements(bench, 1)
        assert ("", ()) == (settlement.closed[0].notice, settlement.notices)

    def test_what_was_delivered_and_what_failed_is_told_apart(self, make_bench, make_envelope):
        bench = make_bench(ScriptedRelay(lambda env, _: {0: OK, 1: NEVER}, OK))
        recipients = [
            Recipient(number=n, address=f"{name}@example.test", notify=("SUCCESS", "FAILURE"))
            for n, name in enumerate("ab")
        ]

        bench.queue.accept(attrs.evolve(make_envelope("a@example.test"), recipients=tuple(recipients)))

        settlements(bench, 3)
        actions = [(b"Action: delivered" in notice, b"Action: failed" in notice) for notice in notices(bench)]
        assert [(False, True), (True, False)] == sorted(actions)


class TestDelay:
    def deferred_for(self, bench, hours):
        """Let attempts be made, one an hour."""
        for _ in range(hours):
            made = len(bench.storage.settled)
            bench.clock.advance(HOUR_S)
            settlements(bench, made + 1)
            gevent.idle()

    def test_the_sender_is_warned_once(self, make_bench, envelope):
        bench = make_bench(by_sender(LATER), notice_rules=WARNING)
        bench.queue.accept(envelope)
        settlements(bench, 1)

        self.deferred_for(bench, 1)
        assert [] == notices(bench)
        self.deferred_for(bench, 6)

        (notice,) = notices(bench)
        assert (True, True) == (b"Action: delayed" in notice, b"Will-Retry-Until:" in notice)
        assert 1 == sum(settlement.reports_delay for settlement in settlements(bench, 1))

    def test_also_over_a_restart(self, make_bench, envelope):
        bench = make_bench(by_sender(LATER), notice_rules=WARNING)
        bench.queue.accept(envelope)
        settlements(bench, 1)
        self.deferred_for(bench, 2)
        bench.queue.stop()

        make_bench(bench.relay, notice_rules=WARNING, storage=bench.storage, clock=bench.clock)
        self.deferred_for(bench, 3)

        assert 1 == len(notices(bench))

    @pytest.mark.parametrize("notify", [("NEVER",), ("FAILURE", "SUCCESS")])
    def test_who_does_not_want_it_is_not_warned(self, make_bench, make_envelope, notify):
        bench = make_bench(by_sender(LATER), notice_rules=WARNING)
        bench.queue.accept(wishing(make_envelope, *notify))
        settlements(bench, 1)

        self.deferred_for(bench, 4)

        assert [] == notices(bench)

    def test_a_clock_that_jumps_warns_nobody_at_the_first_attempt(self, make_bench, envelope):
        bench = make_bench(by_sender(LATER), notice_rules=WARNING)
        bench.clock.jump(86_400)

        bench.queue.accept(envelope)

        (settlement,) = settlements(bench, 1)
        assert (False, ()) == (settlement.reports_delay, settlement.notices)


class TestExpired:
    def test_the_notice_has_the_last_reply_and_the_time(self, make_bench, envelope):
        bench = make_bench(by_sender(LATER), lifetime_s=3 * HOUR_S)
        bench.queue.accept(envelope)
        settlements(bench, 1)
        bench.clock.advance(4 * HOUR_S)

        settlements(bench, 3)

        (notice,) = notices(bench)
        for words in (b"Status: 5.4.7", b"; 451 4.2.1 Mailbox busy", b"It was tried for 4 hours"):
            assert words in notice


class TestDoubleBounce:
    def test_what_the_null_sender_cannot_be_told_the_postmaster_is(self, make_bench, envelope):
        bench = make_bench(ScriptedRelay(NEVER), notice_rules=NoticeRules(postmaster="boss@example.test"))

        bench.queue.accept(envelope)

        closings = [settlement.closed[0].notice for settlement in settlements(bench, 3)]
        assert ["sent", "sent", "suppressed: the sender is the null sender"] == closings
        receivers = [env.recipients[0].address for env, _ in bench.relay.attempts]
        assert ["bob@example.test", "alice@example.org", "boss@example.test"] == receivers
        assert b"A notice could not be delivered" in notices(bench)[1]
        assert [] == list(bench.storage.entries(Query()))

    def test_without_a_postmaster_the_log_says_so(self, make_bench, make_envelope, mdacore_log):
        bench = make_bench(ScriptedRelay(NEVER))

        bench.queue.accept(make_envelope("bob@example.test", sender=""))
        settlements(bench, 1)

        mdacore_log.one("queue.bounced", notice="suppressed: the sender is the null sender")


class TestNoticeQueue:
    def test_notices_are_stored_in_their_queue_and_its_lane(self, make_bench, envelope):
        local, far = ScriptedRelay(NEVER), ScriptedRelay()
        bench = make_bench(
            local,
            relays={"local": BoundRelay(instance="local", relay=local), "far": BoundRelay(instance="far", relay=far)},
            notice_queue="notices",
            notice_routes=[Route(domains=None, relay="far")],
        )

        bench.queue.accept(envelope)
        settlements(bench, 1)

        (entry,) = bench.storage.entries(Query())
        assert ("notices", "far/", "") == (entry.queue, entry.lane, entry.sender)


class TestLog:
    def test_it_says_under_which_id_a_notice_goes_on(self, make_bench, envelope, mdacore_log):
        bench = make_bench(by_sender(NEVER))

        bench.queue.accept(envelope)
        settlements(bench, 2)

        (claim, _), (notice_claim, _) = bench.storage.settled
        event = mdacore_log.one("queue.notice_stored", notice_id=notice_claim.queue_id, rcpt="alice@example.org")
        assert claim.queue_id == event["queue_id"]
