"""The spamc protocol: what is asked, and which answers are believed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mdacore_policy_spamassassin.spamc import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    BadResponse,
    ResponseParser,
    Scan,
    request_head,
)

SPAM = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 17\r\nSpam: True ; 1000.0 / 5.0\r\n\r\nGTUBE,NO_RECEIVED"
SCAN = Scan(is_spam=True, score=1000.0, required=5.0, symbols=("GTUBE", "NO_RECEIVED"))


def answer(
    status: bytes = b"SPAMD/1.1 0 EX_OK",
    length: bytes | None = None,
    verdict: bytes = b"Spam: True ; 1000.0 / 5.0",
    body: bytes = b"GTUBE",
    more: bytes = b"",
) -> bytes:
    """An answer that is good but for what is given."""
    length = b"%d" % len(body) if length is None else length
    return status + b"\r\nContent-length: " + length + b"\r\n" + verdict + b"\r\n" + more + b"\r\n" + body


def parse(pieces: Iterable[bytes], user: str = "") -> Scan:
    parser = ResponseParser(user=user)
    for piece in pieces:
        parser.feed(piece)
    return parser.result()


def parse_whole_and_by_byte(data: bytes, user: str = "") -> Scan:
    """The result, if it is the same for the whole and for each byte alone."""
    outcomes = []
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        try:
            outcomes.append(parse(pieces, user))
        except BadResponse as error:
            outcomes.append(error)
    first, second = outcomes
    if isinstance(first, BadResponse):
        assert str(first) == str(second)
        raise first
    assert first == second
    return first


class TestRequest:
    def test_asks_for_symbols_with_the_size_of_what_follows(self):
        assert b"SYMBOLS SPAMC/1.5\r\nContent-length: 42\r\n\r\n" == request_head(42)

    def test_names_the_user_whose_settings_are_wanted(self):
        assert b"SYMBOLS SPAMC/1.5\r\nUser: bob\r\nContent-length: 0\r\n\r\n" == request_head(0, user="bob")


class TestGoodAnswers:
    def test_spam_is_read_with_score_and_symbols(self):
        assert SCAN == parse_whole_and_by_byte(SPAM)

    def test_clean_mail_may_have_a_negative_score_and_no_symbols(self):
        scan = parse_whole_and_by_byte(answer(verdict=b"Spam: False ; -12.5 / 5", body=b""))

        assert Scan(is_spam=False, score=-12.5, required=5.0) == scan

    @pytest.mark.parametrize(
        "data",
        [
            answer(verdict=b"Spam: Yes ; 5.0 / 5.0"),
            answer(verdict=b"spam:True;5.0/5.0  "),
            answer(status=b"SPAMD/1.5 0 whatever it says"),
            answer(status=b"SPAMD/1.0 0"),
            answer(body=b"GTUBE\r\n"),
            answer(more=b"DidSet: local\r\nX-Unknown: of a later version\r\n"),
            answer(body=b",".join([b"A" * 100] * 100)),
        ],
    )
    def test_what_other_versions_write_differently_is_read(self, data):
        assert parse_whole_and_by_byte(data).is_spam

    def test_the_verdict_is_spamds_own_whatever_the_scores_look_like(self):
        """A score that is shown rounded may look like the threshold without having reached it."""
        assert not parse([answer(verdict=b"Spam: False ; 5.0 / 5.0")]).is_spam

    def test_an_answer_may_name_the_user_that_was_asked_for(self):
        assert parse_whole_and_by_byte(answer(more=b"User: bob\r\n"), user="bob").is_spam


BAD = {
    "nothing": b"",
    "half a status line": b"SPAMD/1.1 0 EX",
    "half a header": b"SPAMD/1.1 0 EX_OK\r\nContent-le",
    "no empty line": b"SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; 1.0 / 5.0\r\n",
    "another protocol": b"220 mx.example.test ESMTP\r\n",
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a later protocol": answer(status=b"SPAMD/2.0 0 EX_OK"),
    "an earlier protocol": answer(status=b"SPAMD/0.9 0 EX_OK"),
    "a version that is none": answer(status=b"SPAMD/1.x 0 EX_OK"),
    "EX_TEMPFAIL": b"SPAMD/1.1 75 EX_TEMPFAIL\r\n\r\n",
    "EX_TEMPFAIL with a verdict": answer(status=b"SPAMD/1.1 75 EX_TEMPFAIL"),
    "a protocol error": b"SPAMD/1.0 76 Bad header line: (EOF during headers)\r\n",
    "a code too long": answer(status=b"SPAMD/1.1 0000 EX_OK"),
    "control characters in the status line": answer(status=b"SPAMD/1.1 0 EX_OK\x1b[2J"),
    "bare LF": SPAM.replace(b"\r\n", b"\n"),
    "length too big": answer(length=b"6"),
    "length too small": answer(length=b"4"),
    "length negative": answer(length=b"-1"),
    "length of 1 GB": answer(length=b"1000000000"),
    "length of 30 digits": answer(length=b"9" * 30),
    "length beyond the limit": answer(body=b"A," * (MAX_BODY_BYTES // 2) + b"A"),
    "length with a sign": answer(length=b"+5"),
    "length with an underscore": answer(length=b"0_5"),
    "length that is empty": answer(length=b""),
    "two lengths": answer(more=b"content-length: 5\r\n"),
    "no length": b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 1.0 / 5.0\r\n\r\nGTUBE",
    "no verdict": b"SPAMD/1.1 0 EX_OK\r\nContent-length: 5\r\n\r\nGTUBE",
    "two verdicts": answer(more=b"Spam: False ; 0.0 / 5.0\r\n"),
    "nan": answer(verdict=b"Spam: True ; nan / 5.0"),
    "inf": answer(verdict=b"Spam: True ; 5.0 / inf"),
    "nan and inf": answer(verdict=b"Spam: True ; nan / inf"),
    "an exponent": answer(verdict=b"Spam: True ; 1e999 / 5.0"),
    "a huge score": answer(verdict=b"Spam: True ; " + b"9" * 400 + b" / 5.0"),
    "no scores": answer(verdict=b"Spam: True"),
    "neither true nor false": answer(verdict=b"Spam: Perhaps ; 5.0 / 5.0"),
    "an empty header name": answer(more=b": x\r\n"),
    "a folded header": answer(more=b"X-A: 1\r\n 2\r\n"),
    "an 8-bit header": answer(more=b"X-A: \xff\r\n"),
    "a NUL": answer(verdict=b"Spam: True ; 5.0 / 5.0\0"),
    "a header of a long line": answer(more=b"X-A: " + b"a" * MAX_HEADER_BYTES + b"\r\n"),
    "a header of many lines": answer(more=b"".join(b"X-%d: a\r\n" % n for n in range(MAX_HEADER_BYTES // 8))),
    "a header injected by a symbol": answer(body=b"GTUBE\r\nX-Evil: 1"),
    "a bare LF in a symbol": answer(body=b"GT\nUBE"),
    "a NUL in a symbol": answer(body=b"GT\0UBE"),
    "8 bit in a symbol": answer(body="GTÜBE".encode()),
    "a space in a symbol": answer(body=b"GT UBE"),
    "a colon in a symbol": answer(body=b"X-Evil:"),
    "an empty symbol": answer(body=b"GTUBE,,A"),
    "a symbol of 101": answer(body=b"A" * 101),
    "another user": answer(more=b"User: root\r\n"),
}


HEAD_BEYOND_THE_LIMIT = answer(length=b"%d" % (MAX_BODY_BYTES + 1), body=b"")


class TestBadAnswers:
    """Case 94: whatever is not an answer is BadResponse, in whatever pieces it comes."""

    @pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
    def test_case_094_no_verdict_is_read_from(self, data):
        with pytest.raises(BadResponse):
            parse_whole_and_by_byte(data)

    def test_case_094_an_answer_for_another_user_is_not_ours(self):
        with pytest.raises(BadResponse, match="another user"):
            parse_whole_and_by_byte(answer(more=b"User: root\r\n"), user="bob")

    def test_the_reason_of_spamd_is_in_the_error(self):
        with pytest.raises(BadResponse, match="spamd said 75 EX_TEMPFAIL"):
            parse([BAD["EX_TEMPFAIL"]])

    @pytest.mark.parametrize(
        "name",
        [
            "another protocol",
            "EX_TEMPFAIL",
            "length of 1 GB",
            "length beyond the limit",
            "nan",
            "a header of a long line",
            "length too small",
        ],
    )
    def test_what_cannot_become_good_is_refused_before_its_end(self, name):
        """A peer that then stays silent does not hold the message until the deadline."""
        with pytest.raises(BadResponse):
            ResponseParser().feed(BAD[name])

    def test_a_body_beyond_the_limit_is_refused_before_any_of_it_came(self):
        with pytest.raises(BadResponse, match="not a Content-length up to"):
            ResponseParser().feed(HEAD_BEYOND_THE_LIMIT)

    def test_an_endless_header_is_refused_at_its_limit(self):
        parser = ResponseParser()
        parser.feed(b"SPAMD/1.1 0 EX_OK\r\n")
        parser.feed(b"a" * (MAX_HEADER_BYTES - len("SPAMD/1.1 0 EX_OK\r\n")))

        with pytest.raises(BadResponse, match="header is longer"):
            parser.feed(b"a")


class TestAnyInput:
    @given(st.binary(max_size=300))
    @example(b"\r\n\r\n")
    def test_no_octets_raise_anything_but_bad_response(self, data):
        with pytest.raises(BadResponse):
            parse_whole_and_by_byte(data)

    @given(st.lists(st.integers(0, len(SPAM)), max_size=8))
    def test_a_good_answer_is_the_same_however_it_is_cut(self, cuts):
        ends = [0, *sorted(cuts), len(SPAM)]

        assert SCAN == parse(SPAM[start:end] for start, end in pairwise(ends))

    @given(st.integers(0, len(SPAM) - 1))
    def test_a_good_answer_that_is_cut_short_is_never_believed(self, length):
        with pytest.raises(BadResponse):
            parse_whole_and_by_byte(SPAM[:length])

    @given(st.integers(0, len(SPAM)), st.integers(0, 5), st.binary(max_size=5))
    def test_what_is_believed_is_finite_and_fit_for_a_header(self, at, length, replacement):
        try:
            scan = parse_whole_and_by_byte(SPAM[:at] + replacement + SPAM[at + length :])
        except BadResponse:
            return

        assert math.isfinite(scan.score)
        assert math.isfinite(scan.required)
        assert all(re.fullmatch(r"[A-Za-z0-9_]{1,100}", symbol) for symbol in scan.symbols)
