"""The failure notice: its form (RFC 3464), to whom it goes and when there is none (RFC 3461 §4.1)."""

from __future__ import annotations

import email
import email.policy

import pytest

from mdacore import Closing, Content, MemoryBody, Outcome, QueueId, Recipient, Reply
from mdacore.queue.notices import MAX_HEADER_CHARS, FailureNotice, suppressed

CLOSING = Closing(outcome=Outcome.BOUNCED, reply=Reply.parse("550 5.1.1 No such user"))


def notice_for(envelope, closing=CLOSING):
    facts = FailureNotice(
        queue_id=QueueId("memory0000000001"),
        original=envelope,
        failed=[(recipient, closing) for recipient in envelope.recipients],
        hostname="mx.example.test",
        now=1_700_000_100.0,
    )
    return facts.envelope()


def parsed(notice):
    return email.message_from_bytes(b"".join(notice.content.chunks()), policy=email.policy.default)


class TestForm:
    def test_it_is_a_report_with_text_status_and_the_original_header(self, envelope):
        message = parsed(notice_for(envelope))

        assert "multipart/report" == message.get_content_type()
        assert "delivery-status" == message.get_param("report-type")
        parts = [part.get_content_type() for part in message.iter_parts()]
        assert ["text/plain", "message/delivery-status", "text/rfc822-headers"] == parts
        assert [] == message.defects

    def test_each_recipient_has_its_fields(self, make_envelope):
        message = parsed(notice_for(make_envelope("a@example.test", "b@example.test")))

        _, status, _ = message.iter_parts()
        _, first, second = status.get_payload()
        assert "rfc822; a@example.test" == first["Final-Recipient"]
        assert ("failed", "5.1.1") == (first["Action"], first["Status"])
        assert "smtp; 550 5.1.1 No such user" == first["Diagnostic-Code"]
        assert "rfc822; b@example.test" == second["Final-Recipient"]

    def test_it_is_addressed_by_the_null_sender_and_marked_automatic(self, envelope):
        notice = notice_for(envelope)

        assert ("", ["alice@example.org"]) == (notice.sender, [r.address for r in notice.recipients])
        assert "auto-replied" == parsed(notice)["Auto-Submitted"]

    def test_it_is_seven_bit_with_crlf_whatever_the_original_holds(self, make_envelope):
        envelope = make_envelope(
            "jürgen@example.test", content=Content(MemoryBody("Subject: grüße \x00\r\n\r\nx".encode()))
        )

        text = b"".join(notice_for(envelope).content.chunks())

        assert text.isascii()
        assert text.count(b"\n") == text.count(b"\r\n") == text.count(b"\r")

    def test_a_huge_header_is_cut_at_whole_lines(self, make_envelope):
        header = b"X-Filler: " + b"y" * 60 + b"\r\n"
        envelope = make_envelope("a@example.test", content=Content(MemoryBody(header * 100_000 + b"\r\n")))

        text = b"".join(notice_for(envelope).content.chunks())

        assert len(text) < MAX_HEADER_CHARS + 10_000
        assert header + b"\r\n--" in text


class TestSuppressed:
    @pytest.mark.parametrize(
        ("sender", "notify", "expected"),
        [
            ("a@example.org", (), ""),
            ("a@example.org", ("FAILURE", "DELAY"), ""),
            ("", (), "suppressed: the sender is the null sender"),
            ("a@example.org", ("NEVER",), "suppressed: the sender asked for NOTIFY=NEVER"),
            ("a@example.org", ("SUCCESS",), "suppressed: the sender did not ask for NOTIFY=FAILURE"),
        ],
    )
    def test_reason(self, make_envelope, sender, notify, expected):
        envelope = make_envelope("b@example.test", sender=sender)

        assert expected == suppressed(envelope, Recipient(number=0, address="b@example.test", notify=notify))
