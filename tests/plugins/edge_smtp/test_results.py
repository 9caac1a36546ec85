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
    HeaderBroken,
    HeaderTooLarge,
    OwnResults,
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
    "in wide letters, with other stops": " \uff4d\uff58\u3002example\uff61com; spf=pass",
    "between dots": " .mx.example.com..; spf=pass",
    "before what cannot stand in a name": " mx.example.com/1; spf=pass",
    "in angle brackets": " <mx.example.com>; spf=pass",
}
UNCLEAR = {
    "a comment in front": " (mx.example.com) mx.example.org; spf=pass",
    "a comment that ends for who does not nest": " (a (b) mx.example.com; spf=pass (c)) mx.example.org; none",
    "a comment that does not end": " (mx.example.com; spf=pass",
    "a parenthesis that closes nothing": " )mx.example.com; spf=pass",
    "a comment in the name": " mx.(c)example.com; spf=pass",
    "a comment before a dot": " mx (c) .example.com; spf=pass",
    "a comment before a dot, and a line": " mx.example (c)\r\n .com; spf=pass",
    "dots with spaces around": " mx . example . com; spf=pass",
    "a space before a dot": " mx .example.com; spf=pass",
    "a space behind a dot": " mx. example.com; spf=pass",
    "a parenthesis in quotes": ' "(" mx.example.com; spf=pass; reason=")"',
    "a part in quotes": ' mx."example".com; spf=pass',
    "a comment in quotes": ' "(c)mx.example.com"; spf=pass',
    "an empty quote": ' "" mx.example.com; spf=pass',
    "a backslash": " mx\\.example.com; spf=pass",
    "a part as an encoded word": " mx=?us-ascii?q?=2Eexample=2Ecom?=; spf=pass",
    "a control character behind 7-bit": " \x7fmx.example.com; spf=pass",
    "a control character within": " mx.ex\x00ample.com; spf=pass",
    "a space without a width": " \u200bmx.example.com; spf=pass",
    "a byte order mark": " \ufeffmx.example.com; spf=pass",
    "a space of another kind": " \u00a0mx.example.com; spf=pass",
}
OF_OTHERS = {
    "somebody else": " mx.example.org; spf=pass",
    "a name above ours": " example.com; spf=pass",
    "a name below ours": " a.mx.example.com; spf=pass",
    "a name that begins as ours": " mx.example.com.evil.test; spf=pass",
    "a comment behind the name, with dots": " mx.example.org (amavisd-new 2.11. by us) 1 (x.y); spf=pass",
    "a final dot": " mx.example.org.; spf=pass",
    "an address literal": " [192.0.2.1]; spf=pass",
    "results in place of a name, with comments": " spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=a.example; x=y",
    "dots apart in the results": " mx.example.org; spf=pass reason=a . b",
    "ours in a result": " mx.example.org; iprev=pass policy.iprev=mx.example.com",
    "nobody": " ; spf=pass",
    "nothing": "",
    "a result in place of a name": " spf=pass smtp.mailfrom=mx.example.com",
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

    @pytest.mark.parametrize("value", UNCLEAR.values(), ids=UNCLEAR)
    def test_case_058_what_does_not_begin_with_a_plain_name_is_not_believed_either(self, value):
        """Readers differ about it: SpamAssassin decodes encoded words, OpenDMARC joins the parts of a name."""
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

    @pytest.mark.parametrize("own", [".", "..."])
    def test_a_name_of_dots_is_nobody_s(self, own):
        header = b"Authentication-Results: ; none\r\nAuthentication-Results: spf=pass\r\n"

        assert () == claims(header, OwnResults([own]))

    @pytest.mark.parametrize("own", ["xn--gre-6ka8l.example", "GRÜSSE.example", "grüße.example.", "xn--\u00fc.example"])
    def test_ids_may_be_spelt_in_any_way(self, own):
        """What is no A-label, though it begins like one, is compared as it is."""
        assert (0,) == claims(b"Authentication-Results: " + own.encode() + b"; none\r\n", OwnResults([own]))

    @given(st.sampled_from([*OF_OURS.values(), *UNCLEAR.values()]), st.text(alphabet=" \t;a.=()", max_size=9))
    def test_case_058_nothing_behind_the_results_makes_it_another_s(self, value, more):
        assert (0,) == claims(b"Authentication-Results:" + octets(value) + b";" + more.encode() + b"\r\n")


class TestBrokenHeaders:
    """Dovecot and SpamAssassin read on behind a line that is no field, and Python behind some of these."""

    @pytest.mark.parametrize("line", [b"x", b": x", b"From: x\r\nFrom x y", b"\xc3\xa9: x", b"x y: z", b"\0", b"."])
    @pytest.mark.parametrize("first", [b"A: 1\r\n", b"From a b\r\n", b"From a b\r\nA: 1\r\n", b""])
    def test_case_058_a_claim_below_what_is_no_field_cannot_be_removed(self, first, line):
        header = first + line + b"\r\nB: 2\r\n" + THEIRS + b"authentication-results :\r\n mx.example.com; none\r\n"

        with pytest.raises(HeaderBroken):
            claims(header)

    @pytest.mark.parametrize("tail", [b"", b"\r\n", b"\r\nC: 3", b"\r\n\r\n", b"\r\n\r\nx\r\n"])
    def test_case_058_nor_can_one_at_the_end_of_what_is_no_message(self, tail):
        message = b"A: 1\r\nx\r\n" + OURS.rstrip() + tail

        with pytest.raises(HeaderBroken):
            OWN.claims(MemoryBody(message), message)

    @pytest.mark.parametrize(
        "header",
        [
            b"A: 1\r\nx\r\n" + THEIRS,
            b"A: 1\r\nx\r\n " + OURS,
            b"A: 1\r\nx\r\nX-" + OURS,
            b"A: 1\r\nx\r\n\r\n" + OURS,
            b"x\r\n\r\n" + OURS,
            b"\r\n" + OURS,
        ],
    )
    def test_whoever_claims_nothing_there_may_send_anything(self, header):
        assert () == claims(header)

    def test_case_058_a_claim_above_does_not_save_one_below(self):
        with pytest.raises(HeaderBroken):
            claims(OURS + b"x\r\n" + OURS)

    def test_a_file_that_is_gone_is_an_error_and_nothing_is_printed(self, tmp_path, capfd):
        with pytest.raises(FileNotFoundError):
            OWN.claims(FileBody(tmp_path / "body", 2 * HEAD_SIZE_BYTES), b"a: b\r\n")

        assert ("", "") == capfd.readouterr()

    @pytest.mark.parametrize("before_bytes", [0, HEAD_SIZE_BYTES - 25, 3 * HEAD_SIZE_BYTES])
    def test_case_058_it_is_found_in_a_file(self, tmp_path, before_bytes):
        message = b"X: " + b"x" * before_bytes + b"\r\nx\r\n" + OURS + b"\r\n" + b"y" * HEAD_SIZE_BYTES
        (tmp_path / "body").write_bytes(message)

        with pytest.raises(HeaderBroken):
            OWN.claims(FileBody(tmp_path / "body", len(message)), message[:HEAD_SIZE_BYTES])


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
            b"Authentication-Results: " + "".join(map(chr, range(0x4E00, 0x4E00 + 900))).encode() + b"\r\n",
            b"Authentication-Results: a" + "\u0315\u0300".encode() * 400 + b"\r\n",
        ],
    )
    def test_case_053_a_header_full_of_them_costs_little(self, unit):
        header = unit * (MAX_HEADER_BYTES // len(unit))

        began_at = time.thread_time()
        claims(header)

        assert time.thread_time() - began_at < 2.0

    @pytest.mark.parametrize(
        "value",
        [
            b"(" * 500_000,
            b"a " + b"(" * 500_000,
            b"a " + b") " * 250_000,
            b"a." + b" " * 500_000,
            b'"' + b"\\x" * 250_000,
            b" " * 500_000,
            b'"' * 500_000,
            "ü".encode() * 250_000,
            "\u0315\u0300".encode() * 125_000,
        ],
    )
    def test_case_053_one_long_field_costs_little(self, value):
        began_at = time.thread_time()
        claims(b"Authentication-Results: " + value + b"\r\n")

        assert time.thread_time() - began_at < 2.0
