"""Authentication-Results that claim to be ours (RFC 8601 §5), and nothing else, are found."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore import Content, FileBody, MemoryBody
from mdacore_edge_smtp.incoming import HEAD_SIZE_BYTES
from mdacore_edge_smtp.results import (
    MAX_CLAIMS,
    MAX_HEADER_BYTES,
    HeaderTooLarge,
    OwnResults,
    authserv_id,
    without_claims,
)

OWN = OwnResults(["mx.example.com", "grüße.example"])
OURS = b"Authentication-Results: mx.example.com; spf=pass\r\n"
THEIRS = b"Authentication-Results: mx.example.org; spf=pass\r\n"

OF_OURS = {
    "as we write it": " mx.example.com; spf=pass",
    "without a space": "mx.example.com; none",
    "in another case": " MX.Example.COM; spf=pass",
    "with a version": " mx.example.com 1; spf=pass",
    "with a final dot": " mx.example.com.; spf=pass",
    "quoted": ' "mx.example.com"; spf=pass',
    "quoted, with backslashes": ' "mx\\.example.c\\om"; spf=pass',
    "quoted, with spaces": ' " mx.example.com "; spf=pass',
    "a quote that does not end": ' "mx.example.com; spf=pass',
    "behind a comment": " (by us) mx.example.com; spf=pass",
    "behind a comment that touches it": "(by us)mx.example.com; spf=pass",
    "behind a comment with all that may stand there": ' (a (b;) \\) "c) (d)mx.example.com; spf=pass',
    "before a comment": " mx.example.com(really); spf=pass",
    "folded before it": "\r\n mx.example.com; spf=pass",
    "folded in a comment": " (a\r\n\tb)\r\n\tmx.example.com\r\n\t; spf=pass",
    "a quote at once behind it": ' mx.example.com"x"; spf=pass',
    "a control character in front": "\x01mx.example.com; spf=pass",
    "a NUL behind it": " mx.example.com\0; spf=pass",
    "nothing behind it": " mx.example.com",
    "as an encoded word": " =?utf-8?q?mx=2Eexample=2Ecom?=; spf=pass",
    "in Unicode": " grüße.example; spf=pass",
    "in Unicode, decomposed and in another case": " GRU\u0308ßE.example; spf=pass",
    "as an A-label": " xn--gre-6ka8l.example; spf=pass",
}
OF_OTHERS = {
    "somebody else": " mx.example.org; spf=pass",
    "a name above ours": " example.com; spf=pass",
    "a name below ours": " a.mx.example.com; spf=pass",
    "a name that begins as ours": " mx.example.com.evil.test; spf=pass",
    "ours in a comment": " (mx.example.com) mx.example.org; spf=pass",
    "ours in a result": " mx.example.org; iprev=pass policy.iprev=mx.example.com",
    "nobody": " ; spf=pass",
    "nothing": "",
    "a result in place of a name": " spf=pass smtp.mailfrom=mx.example.com",
    "a comment that does not end": " (mx.example.com; spf=pass",
    "a name too long to be compared": " " + "ü" * 100_000,
    "octets that are no text": " \udcff\udcfe; spf=pass",
}


def claims(header: bytes, own: OwnResults = OWN) -> tuple[int, ...]:
    message = header + b"\r\nbody\r\n"
    return own.claims(MemoryBody(message), message)


def octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class TestClaims:
    @pytest.mark.parametrize("value", OF_OURS.values(), ids=OF_OURS)
    def test_case_058_whoever_reads_ours_in_it_is_not_to_see_it(self, value):
        assert (0,) == claims(b"Authentication-Results:" + octets(value) + b"\r\n")

    @pytest.mark.parametrize("value", OF_OTHERS.values(), ids=OF_OTHERS)
    def test_case_058_what_others_have_found_out_stays(self, value):
        assert () == claims(b"Authentication-Results:" + octets(value) + b"\r\n")

    @pytest.mark.parametrize(
        "name", [b"authentication-results", b"AUTHENTICATION-RESULTS", b"Authentication-Results \t"]
    )
    def test_case_058_the_name_is_found_as_a_reader_finds_it(self, name):
        """RFC 5322 §4.5.8 wants spaces before the colon to be read."""
        assert (0,) == claims(name + b": mx.example.com; none\r\n")

    @pytest.mark.parametrize(
        "name", [b"ARC-Authentication-Results", b"X-Authentication-Results", b"Authentication-Result"]
    )
    def test_other_fields_with_such_a_name_are_not_meant(self, name):
        assert () == claims(name + b": mx.example.com; none\r\n")

    def test_case_058_each_is_judged_by_itself(self):
        assert (0, 2) == claims(OURS + b"To: x\r\n" + THEIRS + OURS + THEIRS)

    def test_what_stands_in_another_field_or_the_body_is_none(self):
        assert () == claims(b"Subject: x\r\n " + OURS + b"\r\n" + OURS)

    def test_without_names_none_is_ours(self):
        assert () == claims(OURS, OwnResults([]))

    @given(st.text(alphabet='()\\" \r\n\t;=?ax.', max_size=30))
    def test_any_value_has_a_name_or_none(self, value):
        assert not set(authserv_id(value)) & {"\0", "\x7f"}


class TestLargeMessages:
    """In a file, with only the beginning in memory; and that may end anywhere."""

    @pytest.mark.parametrize("head_bytes", [0, 1, 30, 100, HEAD_SIZE_BYTES])
    @pytest.mark.parametrize("before_bytes", [0, 20, HEAD_SIZE_BYTES - 25, HEAD_SIZE_BYTES + 10, 3 * HEAD_SIZE_BYTES])
    def test_case_058_they_are_found_wherever_they_stand(self, tmp_path, before_bytes, head_bytes):
        message = b"X: " + b"x" * before_bytes + b"\r\n" + OURS + b"\r\n" + b"y" * HEAD_SIZE_BYTES
        (tmp_path / "body").write_bytes(message)

        found = OWN.claims(FileBody(tmp_path / "body", len(message)), message[:head_bytes])

        assert (0,) == found

    @pytest.mark.parametrize("last", [b"\r\n", b"\r\n\r\n", b"\r\n\r\n" + b"y" * HEAD_SIZE_BYTES + OURS])
    def test_a_file_without_one_has_none(self, tmp_path, last):
        message = b"X: " + b"x" * 2 * MAX_HEADER_BYTES + last
        (tmp_path / "body").write_bytes(message)

        assert () == OWN.claims(FileBody(tmp_path / "body", len(message)), message[:HEAD_SIZE_BYTES])

    @pytest.mark.parametrize("is_in_file", [False, True])
    def test_a_header_too_large_to_be_taken_apart_is_said_to_be_so(self, tmp_path, is_in_file):
        message = b"X: " + b"x" * MAX_HEADER_BYTES + b"\r\n" + THEIRS + b"\r\n"
        (tmp_path / "body").write_bytes(message)
        body = FileBody(tmp_path / "body", len(message)) if is_in_file else MemoryBody(message)

        with pytest.raises(HeaderTooLarge):
            OWN.claims(body, message[:HEAD_SIZE_BYTES] if is_in_file else message)


class TestRemoval:
    def test_case_058_ours_go_and_everything_else_stays_octet_for_octet(self):
        message = (
            b"A: 1\r\n"
            + OURS
            + THEIRS
            + b"authentication-results :\r\n\tmx.example.com;\r\n none\r\nB: 2\r\n\r\n"
            + OURS
        )
        body = MemoryBody(message)

        content = without_claims(Content(body), OWN.claims(body, message))

        assert b"A: 1\r\n" + THEIRS + b"B: 2\r\n\r\n" + OURS == b"".join(content.chunks())

    def test_no_claims_are_no_edit(self):
        content = Content(MemoryBody(b"x"))

        assert content is without_claims(content, ())

    @pytest.mark.parametrize(("count", "left"), [(MAX_CLAIMS, [THEIRS[23:]]), (MAX_CLAIMS + 1, [])])
    def test_what_is_stored_of_a_flood_is_little(self, count, left):
        """Beyond a hundred the others of that name go too: no honest message has as many."""
        message = OURS * count + THEIRS + b"\r\n"
        body = MemoryBody(message)

        content = without_claims(Content(body), OWN.claims(body, message))

        assert left == content.fields(b"Authentication-Results")
        assert len(content.edits[0].at or ()) <= MAX_CLAIMS


class TestTime:
    @pytest.mark.parametrize(
        "unit",
        [
            OURS,
            THEIRS,
            b"Authentication-Results: (((\r\n",
            b'Authentication-Results: "\\\\\r\n',
            b"Authentication-Results:\r\n",
        ],
    )
    def test_case_053_a_header_full_of_them_costs_little(self, unit):
        header = unit * (MAX_HEADER_BYTES // len(unit))

        began_at = time.thread_time()
        claims(header)

        assert time.thread_time() - began_at < 2.0

    @pytest.mark.parametrize(
        "value", [b"(" * 500_000, b'"' + b"\\x" * 250_000, b" " * 500_000, b'"' * 500_000, "ü".encode() * 250_000]
    )
    def test_case_053_one_long_field_costs_little(self, value):
        began_at = time.thread_time()
        claims(b"Authentication-Results: " + value + b"\r\n")

        assert time.thread_time() - began_at < 2.0
