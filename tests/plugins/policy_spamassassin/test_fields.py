"""The X-Spam fields: what is taken out, and what is written."""

from __future__ import annotations

import email
import email.policy

from hypothesis import given
from hypothesis import strategies as st

from mdacore import Content, MemoryBody
from mdacore_policy_spamassassin.fields import with_verdict, without_fields
from mdacore_policy_spamassassin.spamc import Scan

MESSAGE = b"Subject: hello\r\n\r\nHow are you?\r\n"
SYMBOLS = st.lists(st.from_regex(r"[A-Za-z0-9_]{1,100}", fullmatch=True), max_size=50)


def content(message: bytes = MESSAGE) -> Content:
    return Content(MemoryBody(message))


def whole(content: Content) -> bytes:
    return b"".join(content.chunks())


def scan(*, is_spam: bool = True, score: float = 1000.0, symbols: tuple[str, ...] = ()) -> Scan:
    return Scan(is_spam=is_spam, score=score, required=5.0, symbols=symbols)


class TestWithoutFields:
    def test_named_fields_are_gone_in_any_case_with_their_folded_lines(self):
        forged = b"x-SPAM-status: No\r\n\tscore=-100\r\nTo: bob@example.test\r\nX-Spam-Status : No\r\n"

        cleaned = without_fields(content(forged + MESSAGE), ["X-Spam-Status"])

        assert b"To: bob@example.test\r\n" + MESSAGE == whole(cleaned)

    def test_other_fields_and_the_body_stay(self):
        message = b"X-Spam: 1\r\nX-Spam-Status-Old: 2\r\n\r\nX-Spam-Status: in the body\r\n"

        assert message == whole(without_fields(content(message), ["X-Spam-Status"]))

    def test_a_message_without_such_fields_is_not_edited_at_all(self):
        received = content()

        assert received is without_fields(received, ["X-Spam-Status", "X-Spam-Symbols"])


class TestWithVerdict:
    def test_spam_begins_with_yes_and_names_its_symbols(self):
        marked = with_verdict(content(), scan(symbols=("GTUBE", "NO_RECEIVED")))

        top = b"X-Spam-Status: YES, score=1000.0 required=5.0\r\nX-Spam-Symbols: GTUBE, NO_RECEIVED\r\n"
        assert top + MESSAGE == whole(marked)

    def test_clean_mail_begins_with_no(self):
        marked = with_verdict(content(), scan(is_spam=False, score=-0.1))

        assert b"X-Spam-Status: NO, score=-0.1 required=5.0\r\n" + MESSAGE == whole(marked)

    def test_the_widest_scores_fit_into_one_line(self):
        widest = Scan(is_spam=True, score=-999_999_999.9, required=-999_999_999.9)

        status, *_ = whole(with_verdict(content(), widest)).split(b"\r\n")

        assert len(status) <= 78
        assert status.endswith(b"required=-999999999.9")

    @given(SYMBOLS)
    def test_folded_lines_unfold_to_the_same_symbols(self, symbols):
        marked = whole(with_verdict(content(), scan(symbols=tuple(symbols))))

        unfolded = email.message_from_bytes(marked, policy=email.policy.compat32).get("X-Spam-Symbols", "")
        assert symbols == unfolded.replace(",", " ").split()
        assert marked.endswith(MESSAGE)

    @given(SYMBOLS)
    def test_lines_have_78_characters_unless_one_name_is_longer(self, symbols):
        marked = whole(with_verdict(content(), scan(symbols=tuple(symbols))))

        long_lines = [line for line in marked.decode().split("\r\n") if len(line) > 78]
        assert all(len(line.split()) == 1 for line in long_lines)
