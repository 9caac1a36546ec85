"""The policy: what a verdict, or the lack of one, does to a message."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from gevent import socket
from gevent.event import Event

from mdacore import ComponentFailure, Content, FileBody, Health, MdaError, Rejection, Status
from mdacore.queue import BoundPolicy
from mdacore.queue.policies import FencedPolicy, call_policy, call_relay_policy
from mdacore.testing import content_of, make_attempt, make_envelope
from mdacore_policy_spamassassin import events

MESSAGE = b"Subject: hello\r\n\r\nHow are you?\r\n"
FORGED = b"X-Spam-Status: NO, score=-100.0 required=5.0\r\nX-Spam-Checked: by me\r\nX-Spam-Flag: NO\r\n"
SPAM = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 5\r\nSpam: True ; 15.0 / 5.0\r\n\r\nGTUBE"


def answer(
    length: bytes = b"5", verdict: bytes = b"True ; 15.0 / 5.0", body: bytes = b"GTUBE", more: bytes = b""
) -> bytes:
    return b"SPAMD/1.1 0 EX_OK\r\nContent-length: %b\r\nSpam: %b\r\n%b\r\n%b" % (length, verdict, more, body)


class TestVerdict:
    def test_spam_is_marked_and_goes_on(self, fake, make_policy):
        fake.answer = SPAM

        (result,) = make_policy(address=fake.listen()).apply(make_envelope(message=MESSAGE))

        top = b"X-Spam-Status: YES, score=15.0 required=5.0\r\nX-Spam-Symbols: GTUBE\r\n"
        assert top + MESSAGE == content_of(result)

    def test_what_the_client_said_about_spam_is_gone_before_spamd_sees_it(self, fake, make_policy):
        """Case 58."""
        (result,) = make_policy(address=fake.listen()).apply(make_envelope(message=FORGED + MESSAGE))

        top = b"X-Spam-Status: NO, score=-0.1 required=5.0\r\nX-Spam-Symbols: DKIM_SIGNED, NO_RECEIVED\r\n"
        assert top + MESSAGE == content_of(result)
        assert fake.requests[0].endswith(b"\r\n\r\n" + MESSAGE)

    def test_fields_that_are_not_to_be_removed_stay_but_for_our_own(self, fake, make_policy):
        (result,) = make_policy(address=fake.listen(), remove_fields=()).apply(make_envelope(message=FORGED + MESSAGE))

        assert content_of(result).endswith(b"NO_RECEIVED\r\nX-Spam-Flag: NO\r\n" + MESSAGE)

    def test_the_body_is_shared_and_nothing_else_of_the_envelope_changes(self, fake, make_policy):
        envelope = make_envelope(message=MESSAGE)

        (result,) = make_policy(address=fake.listen()).apply(envelope)

        assert envelope.content.body is result.content.body
        assert envelope == result.with_content(envelope.content)

    def test_a_scan_is_one_line_in_the_log(self, fake, make_policy, log):
        fake.answer = SPAM

        make_policy(address=fake.listen()).apply(make_envelope(message=MESSAGE))

        ((level, event, fields),) = log.lines
        duration_s = fields.pop("duration_s")
        assert ("info", events.SCANNED) == (level, event)
        assert {
            "is_spam": True,
            "score": 15.0,
            "required": 5.0,
            "symbol_count": 1,
            "size_bytes": len(MESSAGE),
        } == fields
        assert isinstance(duration_s, float)


class TestRejectScore:
    @pytest.mark.parametrize("reject_score", [15.0, 0.1])
    def test_from_this_score_on_the_message_is_refused(self, reject_score, fake, make_policy):
        fake.answer = SPAM

        with pytest.raises(Rejection) as refused:
            make_policy(address=fake.listen(), reject_score=reject_score).apply(make_envelope(message=MESSAGE))

        assert "550 5.7.1 Message refused as spam" == str(refused.value.reply)

    def test_spam_below_it_is_only_marked(self, fake, make_policy):
        fake.answer = SPAM

        (result,) = make_policy(address=fake.listen(), reject_score=15.1).apply(make_envelope(message=MESSAGE))

        assert content_of(result).startswith(b"X-Spam-Status: YES")


class TestSize:
    def test_a_message_of_the_limit_is_scanned(self, fake, make_policy):
        policy = make_policy(address=fake.listen(), max_scan_bytes=len(MESSAGE))

        (result,) = policy.apply(make_envelope(message=MESSAGE))

        assert b"X-Spam-Status: NO" in content_of(result)

    def test_case_094_a_larger_one_is_marked_and_never_sent(self, fake, make_policy, log):
        policy = make_policy(address=fake.listen(), max_scan_bytes=len(MESSAGE) - 1)

        (result,) = policy.apply(make_envelope(message=FORGED + MESSAGE))

        assert b"X-Spam-Checked: skipped, too large\r\n" + MESSAGE == content_of(result)
        assert 0 == fake.connections
        fields = {"size_bytes": len(MESSAGE), "limit_bytes": len(MESSAGE) - 1}
        assert [("info", events.SKIPPED, fields)] == log.lines

    def test_a_body_in_a_file_is_not_read_to_learn_its_size(self, dead_address, make_policy, tmp_path):
        path = tmp_path / "body"
        path.write_bytes(MESSAGE)
        envelope = make_envelope().with_content(Content(FileBody(path, 600_000)))  # whoever reads on, fails

        (result,) = make_policy(address=dead_address).apply(envelope)

        assert [b" skipped, too large\r\n"] == result.content.fields(b"X-Spam-Checked")


class TestParts:
    def test_it_is_a_queue_policy_by_default(self, make_policy):
        parts = make_policy().parts()

        assert (True, False, None) == (bool(parts.queue_policy), bool(parts.relay_policy), parts.validators)

    def test_at_relay_it_scans_before_the_attempt(self, fake, make_policy):
        parts = make_policy(address=fake.listen(), at="relay").parts()

        result = parts.relay_policy(make_envelope(message=MESSAGE), make_attempt())

        assert parts.queue_policy is None
        assert content_of(result).startswith(b"X-Spam-Status: NO")


class TestLife:
    def test_it_starts_without_spamd_and_stops_twice(self, dead_address, make_policy):
        policy = make_policy(address=dead_address)

        policy.start()

        assert policy.drain(0.0)
        policy.stop()
        policy.stop()

    def test_health_is_degraded_from_a_failure_to_the_next_verdict(self, fake, make_policy, short_path):
        policy = make_policy(address=f"unix:{short_path}/spamd.sock")
        facts = {"address": f"unix:{short_path}/spamd.sock", "scans_in_hand": 0}
        assert Health(facts=facts) == policy.health()

        with pytest.raises(ComponentFailure):
            policy.apply(make_envelope())
        failed = policy.health()
        fake.listen(short_path / "spamd.sock")
        policy.apply(make_envelope())

        assert Status.DEGRADED is failed.status
        assert "No such file" in failed.reason
        assert Health(facts=facts) == policy.health()


@attrs.frozen(kw_only=True)
class Fault:
    """What a broken spamd does, and what is to be said of it in the log."""

    script: Callable[[socket.socket], object]
    cause: str
    timeout_s: float = 30.0


def answers(data: bytes, cause: str) -> Fault:
    def read_and_send(connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass
        connection.sendall(data)

    return Fault(script=read_and_send, cause=cause)


def flood(connection: socket.socket) -> None:
    connection.sendall(b"SPAMD/1.1 0 EX_OK\r\n")
    while True:
        connection.sendall(b"a" * 65_536)


def flood_body(connection: socket.socket) -> None:
    connection.sendall(answer(length=b"16384", body=b""))
    while True:
        connection.sendall(b"A" * 65_536)


FAULTS = {
    "timeout": Fault(script=lambda connection: Event().wait(), cause="no verdict within", timeout_s=0.1),
    "hang-up before the message is read": Fault(script=lambda connection: connection.close(), cause=""),
    "endless header": Fault(script=flood, cause="header is longer"),
    "endless body": Fault(script=flood_body, cause="longer than its Content-length"),
    "0 bytes": answers(b"", "closed without an answer"),
    "half a header": answers(b"SPAMD/1.1 0 EX_OK\r\nContent-len", "ends inside its header"),
    "wrong version": answers(b"SPAMD/9.9 0 EX_OK\r\n\r\n", "not an answer of SPAMD/1.x"),
    "EX_TEMPFAIL": answers(b"SPAMD/1.1 75 EX_TEMPFAIL\r\n\r\n", "spamd said 75 EX_TEMPFAIL"),
    "Content-length too big": answers(answer(length=b"6"), "ends after 5 of 6 bytes"),
    "Content-length too small": answers(answer(length=b"4"), "longer than its Content-length of 4"),
    "Content-length negative": answers(answer(length=b"-5"), "not a Content-length"),
    "Content-length of 1 GB": answers(answer(length=b"1000000000"), "not a Content-length"),
    "nan / inf": answers(answer(verdict=b"True ; nan / inf"), "not a verdict"),
    "header injection": answers(answer(length=b"16", body=b"GTUBE\r\nX-Evil: 1"), "a list of symbols"),
    "another user": answers(answer(more=b"User: root\r\n"), "another user"),
}
ANY_FAULT = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())


class TestFaults:
    """Case 94: whatever spamd does, what happens is what the operator has chosen."""

    @ANY_FAULT
    def test_case_094_defers_with_451_4_7_1_and_says_why_in_the_log(self, fault, fake, make_policy, log):
        fake.script = fault.script
        policy = make_policy(address=fake.listen(), timeout_s=fault.timeout_s)

        with pytest.raises(MdaError) as failed:
            call_policy(fenced(policy.apply, log), make_envelope(message=MESSAGE))

        reply = "451 4.7.1 Message could not be checked, try again later"
        assert (reply, "policies.spam") == (str(failed.value.reply), failed.value.component)
        ((level, event, fields),) = log.lines
        assert ("warning", events.SCAN_FAILED, False) == (level, event, fields["is_tagged"])
        assert fault.cause in str(fields["cause"])

    @ANY_FAULT
    def test_case_094_is_passed_on_with_a_mark_where_that_is_wanted(self, fault, fake, make_policy):
        fake.script = fault.script
        policy = make_policy(address=fake.listen(), timeout_s=fault.timeout_s, tag_failures=True)

        (result,) = policy.apply(make_envelope(message=FORGED + MESSAGE))

        assert b"X-Spam-Checked: failed\r\n" + MESSAGE == content_of(result)

    def test_case_094_connection_refused_defers_with_451_4_7_1(self, dead_address, make_policy):
        with pytest.raises(ComponentFailure, match="refused") as failed:
            make_policy(address=dead_address).apply(make_envelope())

        assert "451 4.7.1" in str(failed.value.reply)

    def test_case_094_connection_refused_is_passed_on_with_a_mark(self, dead_address, make_policy):
        (result,) = make_policy(address=dead_address, tag_failures=True).apply(make_envelope(message=MESSAGE))

        assert b"X-Spam-Checked: failed\r\n" + MESSAGE == content_of(result)

    def test_case_094_on_error_accept_goes_on_without_the_policy(self, dead_address, make_policy, log):
        policy = fenced(make_policy(address=dead_address).apply, log, on_error="accept")

        assert None is call_policy(policy, make_envelope())

    def test_case_094_on_error_reject_refuses_for_good(self, dead_address, make_policy, log):
        policy = fenced(make_policy(address=dead_address).apply, log, on_error="reject")

        with pytest.raises(Rejection):
            call_policy(policy, make_envelope())

    def test_case_094_before_an_attempt_it_defers_too(self, dead_address, make_policy, log):
        policy = fenced(make_policy(address=dead_address, at="relay").parts().relay_policy, log)

        with pytest.raises(ComponentFailure) as failed:
            call_relay_policy(policy, make_envelope(), make_attempt())

        assert "451 4.7.1" in str(failed.value.reply)


def fenced(apply: Callable[..., object], log: object, on_error: str = "defer") -> FencedPolicy[object]:
    """The policy as a queue calls it."""
    return FencedPolicy.around(BoundPolicy(instance="spam", apply=apply, on_error=on_error), log)
