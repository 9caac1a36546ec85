"""Who is told what: the sender's wishes (RFC 3461 §4.1), the operator's, and no loops."""

from __future__ import annotations

import pytest

from mdacore import Client, Content, FileBody, Recipient
from mdacore.queue.notices import Kind, NoticeRules, suppressed
from mdacore.queue.notices.rules import is_automatic, is_notice
from mdacore.testing import make_envelope

RULES = NoticeRules()
NOTICE = b'Content-Type: MULTIPART/report;\r\n\tboundary=x; report-type="delivery-status"\r\n\r\n'


def asked(*notify, kind=Kind.FAILED, rules=RULES, **changes):
    recipient = Recipient(number=0, address="bob@example.test", notify=notify)
    return suppressed(kind, make_envelope(**changes), recipient, rules)


class TestWishes:
    @pytest.mark.parametrize(
        ("notify", "due"),
        [
            ((), {"FAILURE", "DELAY", "SUCCESS"}),
            (("NEVER",), set()),
            (("FAILURE",), {"FAILURE"}),
            (("SUCCESS",), {"SUCCESS"}),
            (("DELAY",), {"DELAY"}),
            (("FAILURE", "DELAY"), {"FAILURE", "DELAY"}),
            (("SUCCESS", "FAILURE", "DELAY"), {"SUCCESS", "FAILURE", "DELAY"}),
        ],
    )
    def test_a_notice_is_due_if_it_was_asked_for_or_nothing_was_said(self, notify, due):
        """Of a success nothing is said unless SUCCESS is; that is asked before (`conclude`)."""
        kinds = [kind for kind in Kind if kind is not Kind.POSTMASTER]

        assert due == {kind.wish for kind in kinds if not asked(*notify, kind=kind)}

    def test_why_not_is_said(self):
        assert "suppressed: the sender asked for NOTIFY=NEVER" == asked("NEVER")
        assert "suppressed: the sender did not ask for NOTIFY=FAILURE" == asked("SUCCESS")


class TestLoops:
    @pytest.mark.parametrize("kind", Kind)
    def test_the_null_sender_is_never_told(self, kind):
        assert "suppressed: the sender is the null sender" == asked("SUCCESS", "FAILURE", "DELAY", kind=kind, sender="")

    @pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.POSTMASTER])
    def test_a_notice_is_never_answered_whatever_its_sender(self, kind):
        assert "suppressed: the message is a notice itself" == asked(kind=kind, message=NOTICE)

    def test_the_postmaster_is_told_of_what_the_null_sender_cannot_be(self):
        rules = NoticeRules(postmaster="postmaster@example.test")

        assert "" == asked("NEVER", kind=Kind.POSTMASTER, sender="", rules=rules, message=NOTICE)

    def test_the_postmaster_is_not_told_that_the_postmaster_cannot_be_told(self):
        rules = NoticeRules(postmaster="bob@Example.Test")

        assert "suppressed: the sender is the null sender" == asked(kind=Kind.POSTMASTER, sender="", rules=rules)


class TestOperator:
    @pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.POSTMASTER])
    def test_only_who_logged_in_is_told_if_the_operator_wants_no_backscatter(self, kind):
        """Case 60."""
        rules = NoticeRules(receivers="authenticated")

        assert "suppressed: the sender had not logged in" == asked(kind=kind, rules=rules)
        assert "" == asked(kind=kind, rules=rules, client=Client(identity="alice"))

    @pytest.mark.parametrize(("warning_s", "age_s", "late"), [(0, 1e9, False), (60, 59, False), (60, 60, True)])
    def test_a_message_is_late_at_the_age_that_the_operator_has_set(self, warning_s, age_s, late):
        assert late == NoticeRules(delay_warning_s=warning_s).is_late(age_s)


class TestAutomatic:
    """RFC 3834 is about answers by programs; programs and lists want to know what failed, but read no warnings."""

    LIST = b"List-Id: <news.example.org>\r\n\r\n"

    def test_it_is_told_what_failed(self):
        assert "" == asked(message=self.LIST)

    def test_it_is_not_warned_unless_it_asked(self):
        assert "suppressed: no person sent the message" == asked(kind=Kind.DELAYED, message=self.LIST)
        assert "" == asked("DELAY", kind=Kind.DELAYED, message=self.LIST)

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (b"List-Id: x\r\n", True),
            (b"Auto-Submitted: auto-generated\r\n", True),
            (b"auto-submitted:\r\n Auto-Replied; owner-email=x\r\n", True),
            (b"Auto-Submitted: No\r\n", False),
            (b"Precedence: bulk\r\n", True),
            (b"Precedence: first-class\r\n", False),
            (b"Subject: List-Id: x\r\n", False),
        ],
    )
    def test_it_says_so_in_its_header(self, header, expected):
        assert expected == is_automatic(make_envelope(message=header + b"\r\n").content)

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (NOTICE, True),
            (b"Content-Type: multipart/report; report-type=disposition-notification\r\n", True),
            (b"Content-Type: multipart/report; report-type=feedback-report\r\n", False),
            (b"Content-Type: multipart/mixed; x=report-type=delivery-status\r\n", False),
            (b"Subject: x\r\n", False),
        ],
    )
    def test_a_notice_is_known_by_its_type(self, header, expected):
        assert expected == is_notice(make_envelope(message=header + b"\r\n").content)

    def test_what_cannot_be_read_is_taken_for_mail(self, tmp_path):
        content = Content(FileBody(tmp_path / "lost", 10))

        assert (False, False) == (is_notice(content), is_automatic(content))
