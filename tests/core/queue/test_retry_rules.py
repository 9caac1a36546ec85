"""Retry rules by domain: which one counts for a message, and for each of its recipients."""

from __future__ import annotations

import gevent

from mdacore import Recipient, Reply
from mdacore.queue import RetryRule, RetrySchedule
from mdacore.queue.retry import RetryRules
from mdacore.testing import ManualClock, MemoryStorage, ScriptedRelay

LATER = Reply.parse("451 4.2.1 Mailbox busy")
EVEN = 0.5


def rule(delay_s: float, lifetime_s: float) -> RetryRule:
    return RetryRule(schedule=RetrySchedule((delay_s,), jitter=0.0), lifetime_s=lifetime_s)


def recipients(*addresses: str) -> list[Recipient]:
    return [Recipient(number=number, address=address) for number, address in enumerate(addresses)]


RULES = RetryRules(rule(60.0, 7200.0), {"slow.test": rule(600.0, 86_400.0), "quick.test": rule(1.0, 10.0)})


class TestRules:
    def test_a_domain_has_its_own_in_any_case(self):
        assert 600.0 == RULES.delay_s(recipients("a@Slow.Test"), 1, EVEN)

    def test_every_other_domain_has_the_queues(self):
        assert 60.0 == RULES.delay_s(recipients("a@other.test"), 1, EVEN)

    def test_a_message_is_tried_when_the_first_of_its_recipients_is_due(self):
        assert 60.0 == RULES.delay_s(recipients("a@slow.test", "b@other.test"), 1, EVEN)

    def test_each_recipient_grows_old_by_itself(self):
        assert {1, 2} == RULES.expired(recipients("a@slow.test", "b@other.test", "c@quick.test"), 7200.0)

    def test_a_notice_names_the_first_end(self):
        assert 10.0 == RULES.lifetime_s(recipients("a@slow.test", "c@quick.test"))


class TestQueue:
    def test_recipients_of_one_message_end_at_their_own_times(self, make_bench, make_envelope):
        clock = ManualClock()
        storage = MemoryStorage(clock)
        bench = make_bench(
            ScriptedRelay(LATER), clock=clock, storage=storage, retry_for={"quick.test": rule(30.0, 50.0)}
        )
        bench.queue.accept(make_envelope("a@quick.test", "b@slow.test", received_at=clock.now()))
        due = []
        for count in range(1, 4):
            with gevent.Timeout(60):
                while len(storage.settled) < count:
                    gevent.sleep(0.001)
            due.append(storage.settled[count - 1][1].due_at - clock.now())
            clock.advance(30)

        assert [30.0, 30.0, 300.0] == due
        assert [{}, {}, {0}] == [set(done.closed) or {} for _, done in storage.settled[:3]]
