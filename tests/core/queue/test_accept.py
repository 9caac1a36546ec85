"""What an edge gets back when it hands a message over, and what is stored then."""

from __future__ import annotations

import gevent
import pytest

from mdacore import (
    Deferral,
    Discard,
    Envelope,
    Hold,
    OutcomeUnknown,
    Query,
    Recipient,
    Rejection,
    Reply,
    StorageError,
    StorageFull,
)
from mdacore.queue import BoundPolicy


def policy(apply, **settings):
    return BoundPolicy(instance="under_test", apply=apply, **settings)


class TestStored:
    def test_each_recipient_gets_a_success_that_names_the_message(self, bench, make_envelope):
        replies = bench.queue.accept(make_envelope("a@example.test", "b@example.test"))

        assert [250, 250] == [reply.code for reply in replies]
        assert "Ok: queued as memory0000000001" == replies[0].text

    def test_duplicate_recipients_are_stored_once_and_answered_each(self, bench, make_envelope):
        """Local parts compare exactly, domains folded (design §4)."""
        replies = bench.queue.accept(make_envelope("a@example.test", "a@EXAMPLE.test", "A@example.test"))

        bench.relay.wait_for(1)
        assert 3 == len(replies)
        assert ["a@example.test", "A@example.test"] == [r.address for r in bench.relay.attempts[0][0].recipients]

    def test_duplicates_with_other_dsn_wishes_are_kept(self, bench, make_envelope):
        wishes = (
            Recipient(number=0, address="a@example.test", notify=("NEVER",)),
            Recipient(number=1, address="a@example.test", notify=("SUCCESS",)),
        )

        bench.queue.accept(make_envelope("x@example.test", recipients=wishes))

        bench.relay.wait_for(1)
        assert wishes == bench.relay.attempts[0][0].recipients

    def test_a_stopped_queue_answers_421_and_stores_nothing(self, bench, envelope):
        bench.queue.stop()

        assert 421 == bench.queue.accept(envelope)[0].code
        assert 421 == bench.queue.refusal(0).code
        assert [] == list(bench.storage.entries(Query()))


class TestStorageFails:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (StorageError("broken"), "451 4.3.0"),
            (StorageFull("no room"), "452 4.3.1"),
            (OutcomeUnknown("who knows"), "451 4.3.0"),
            (RuntimeError("a bug in the storage"), "451 4.3.0"),
        ],
    )
    def test_the_client_is_told_to_try_again(self, bench, envelope, error, expected):
        bench.storage.fail_next["write"] = [error]

        reply = bench.queue.accept(envelope)[0]

        assert expected == f"{reply.code} {reply.enhanced}"

    def test_the_next_message_is_accepted(self, bench, envelope):
        bench.storage.fail_next["write"] = [StorageError("broken")]
        bench.queue.accept(envelope)

        assert 250 == bench.queue.accept(envelope)[0].code


class TestQueuePolicies:
    def test_a_rejection_refuses_the_whole_message(self, make_bench, make_envelope):
        def split_and_reject(envelope):
            if len(envelope.recipients) > 1:
                return [envelope.with_recipients([rcpt]) for rcpt in envelope.recipients]
            if envelope.recipients[0].address.startswith("b"):
                raise Rejection(Reply.parse("550 5.7.1 Not b"))
            return [envelope]

        bench = make_bench(queue_policies=[policy(split_and_reject), policy(split_and_reject)])

        replies = bench.queue.accept(make_envelope("a@example.test", "b@example.test"))

        assert ["550 5.7.1 Not b"] * 2 == [str(reply) for reply in replies]
        assert [] == list(bench.storage.entries(Query()))

    def test_a_deferral_refuses_for_now(self, make_bench, envelope):
        def defer(envelope):
            raise Deferral(Reply.parse("451 4.7.1 Later"))

        assert "451 4.7.1 Later" == str(make_bench(queue_policies=[policy(defer)]).queue.accept(envelope)[0])

    def test_a_discard_drops_only_its_part(self, make_bench, make_envelope):
        def split(envelope):
            return [envelope.with_recipients([rcpt]) for rcpt in envelope.recipients]

        def discard_b(envelope):
            if envelope.recipients[0].address.startswith("b"):
                raise Discard("no b here")
            return [envelope]

        bench = make_bench(queue_policies=[policy(split), policy(discard_b)])

        assert 250 == bench.queue.accept(make_envelope("a@example.test", "b@example.test"))[0].code
        bench.relay.wait_for(1)
        assert ["a@example.test"] == [rcpt.address for env, _ in bench.relay.attempts for rcpt in env.recipients]

    def test_a_message_discarded_whole_is_answered_with_success(self, make_bench, envelope):
        def discard(envelope):
            raise Discard("unwanted")

        assert 250 == make_bench(queue_policies=[policy(discard)]).queue.accept(envelope)[0].code

    def test_a_hold_is_stored_as_held_and_later_policies_still_run(self, make_bench, envelope):
        def hold(envelope):
            raise Hold("to be looked at")

        seen: list[Envelope] = []

        def see(envelope):
            seen.append(envelope)
            return [envelope]

        bench = make_bench(queue_policies=[policy(hold), policy(see)])

        assert 250 == bench.queue.accept(envelope)[0].code
        assert ["under_test: to be looked at"] == [entry.held for entry in bench.storage.entries(Query())]
        assert 1 == len(seen)
        assert [] == bench.relay.attempts

    @pytest.mark.parametrize("rubbish", [None, [], (), "envelope", [None], 7])
    def test_rubbish_is_a_fault_that_defers(self, make_bench, envelope, rubbish):
        bench = make_bench(queue_policies=[policy(lambda envelope: rubbish)])

        assert "451 4.3.0" == str(bench.queue.accept(envelope)[0])[:9]

    def test_a_million_parts_are_a_fault(self, make_bench, envelope):
        bench = make_bench(queue_policies=[policy(lambda envelope: [envelope] * 1_000_000)])

        assert 451 == bench.queue.accept(envelope)[0].code

    @pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit(1), gevent.Timeout(1), KeyboardInterrupt()])
    @pytest.mark.parametrize(("on_error", "code"), [("defer", 451), ("accept", 250), ("reject", 554)])
    def test_whatever_a_policy_raises_on_error_decides(self, make_bench, envelope, error, on_error, code):
        def fail(envelope):
            raise error

        bench = make_bench(queue_policies=[policy(fail, on_error=on_error)])

        assert code == bench.queue.accept(envelope)[0].code

    def test_a_policy_that_hangs_is_cut_at_its_deadline(self, make_bench, envelope):
        bench = make_bench(queue_policies=[policy(lambda envelope: gevent.sleep(60), deadline_s=0.01)])

        assert 451 == bench.queue.accept(envelope)[0].code

    def test_all_policies_together_have_one_deadline(self, make_bench, envelope):
        def slow(envelope):
            gevent.sleep(0.02)
            return [envelope]

        bench = make_bench(queue_policies=[policy(slow)] * 50, policies_deadline_s=0.05)

        assert 451 == bench.queue.accept(envelope)[0].code

    def test_somebody_elses_timeout_passes_through(self, make_bench, envelope):
        """Compare a caught Timeout with your own by `is` (design §5)."""
        bench = make_bench(queue_policies=[policy(lambda envelope: gevent.sleep(60))])
        from mdacore.runtime import Deadline

        with pytest.raises(Deadline) as caught, Deadline(0.01) as ours:
            bench.queue.accept(envelope)

        assert ours is caught.value
