"""The reference by itself: the examples of the RFCs, and the rules that matter most, written out by hand."""

from __future__ import annotations

import pytest

from .reference import KINDS, Asked, Message, Rules, Said, Scenario, expected, pieces_of
from .reference.addresses import NotADomainError, NotAPathError, read_path
from .reference.bodies import length_of_possible_end, unstuffed, without_fault
from .reference.parameters import BadSyntaxError, read_base64

HELLO = b"EHLO c\r\n"
TO_RCPT = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
RULES = Rules(max_line_bytes=512, max_message_size_bytes=1000, max_errors=20, max_recipients=10)
STRICT = Rules(max_line_bytes=512, max_message_size_bytes=1000, is_strict_sync=True)


def codes(*pieces: bytes, rules: Rules = RULES, **more: object) -> list[int]:
    """Of all replies behind the greeting."""
    items = expected(Scenario(pieces=pieces, rules=rules, **more)).items
    return [item.code for item in items if isinstance(item, Said)][1:]


class TestExamples:
    def test_rfc_5321_d_1_a_typical_transaction(self):
        pieces = (
            b"EHLO bar.com\r\n", b"MAIL FROM:<Smith@bar.com>\r\n", b"RCPT TO:<Jones@foo.com>\r\n",
            b"RCPT TO:<Green@foo.com>\r\n", b"RCPT TO:<Brown@foo.com>\r\n", b"DATA\r\n",
            b"Blah blah blah...\r\n...etc. etc. etc.\r\n.\r\n", b"QUIT\r\n",
        )  # fmt: skip
        transcript = expected(Scenario(pieces=pieces, rules=RULES))

        assert [250, 250, 250, 250, 452, 354, 250, 221] == codes(*pieces, rules=STRICT)
        assert [Message(b"Blah blah blah...\r\n..etc. etc. etc.\r\n")] == transcript.messages
        assert "closed" == transcript.end

    def test_rfc_5321_d_2_an_aborted_transaction(self):
        pieces = (HELLO, b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"RCPT TO:<e@f>\r\n", b"RSET\r\n", b"QUIT\r\n")

        assert [250, 250, 250, 550, 250, 221] == codes(
            *pieces, rules=STRICT, choices=(0, 0, 0, 0, 5), moody_about="RcptCommand"
        )

    def test_rfc_3030_4_2_pipelining_bdat(self):
        group = TO_RCPT + b"BDAT 100\r\n" + b"x" * 100 + b"BDAT 32\r\n" + b"y" * 32 + b"BDAT 0 LAST\r\n"

        assert [250, 250, 250, 250, 250, 250, 221] == codes(HELLO, group + b"QUIT\r\n", rules=STRICT)

    def test_rfc_2033_4_2_one_reply_for_each_recipient(self):
        group = b"MAIL FROM:<chris@bar.com>\r\nRCPT TO:<pat@foo.edu>\r\nRCPT TO:<green@foo.edu>\r\nDATA\r\n"

        assert [250, 250, 250, 250, 354, 250, 250, 221] == codes(
            b"LHLO foo.edu\r\n", group, b"x\r\n.\r\n", b"QUIT\r\n", rules=STRICT, is_lmtp=True
        )

    def test_rfc_3207_5_and_all_is_forgotten(self):
        assert [250, 220, 503, 250, 250] == codes(
            HELLO, b"STARTTLS\r\n", b"MAIL FROM:<a@b>\r\n", HELLO, b"MAIL FROM:<a@b>\r\n", rules=STRICT
        )

    def test_rfc_4954_4_1_the_exchange(self):
        scenario = Scenario(
            pieces=(HELLO, b"AUTH PLAIN\r\n", b"dGVzdAB0ZXN0ADEyMzQ=\r\n"), rules=STRICT
        )  # "test", "test", "1234"

        (asked,) = (item for item in expected(scenario).items if item.__class__ is Asked and item.kind == "AuthAttempt")

        assert ("PLAIN", "test", "", "1234") == (
            asked.details[0].mechanism, asked.details[0].authcid, asked.details[0].authzid, asked.details[0].secret,
        )  # fmt: skip


class TestRules:
    @pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r\r\n", b"\r\n.\r"])
    def test_only_crlf_dot_crlf_ends_a_message(self, end):
        scenario = Scenario(pieces=(HELLO, TO_RCPT, b"DATA\r\n", b"a" + end + b"NOOP\r\n"), rules=RULES)

        assert [250, 250, 250, 354] == codes(*scenario.pieces)
        assert expected(scenario).is_message_open

    def test_what_is_behind_starttls_ends_the_connection_also_where_clients_may_speak_ahead(self):
        assert [250, 554] == codes(HELLO + b"STARTTLS\r\nNOOP\r\n")

    def test_what_is_behind_ehlo_does_so_only_where_they_may_not(self):
        assert [554] == codes(HELLO + b"NOOP\r\n", rules=STRICT)
        assert [250, 250] == codes(HELLO + b"NOOP\r\n")

    def test_a_client_that_speaks_first_hears_no_greeting(self):
        items = expected(Scenario(pieces=(HELLO,), rules=STRICT, speaks_first=True)).items

        assert [Asked("Connected"), Said(554, "5.5.0")] == items

    def test_a_chunk_in_the_wrong_place_is_read_all_the_same(self):
        assert [250, 503, 250] == codes(HELLO, b"BDAT 6\r\nQUIT\r\nNOOP\r\n")


class TestParts:
    def test_a_dot_is_taken_from_each_line_that_begins_with_one(self):
        assert b".\r\na.\r\n.\n.." == unstuffed(b"..\r\na.\r\n..\n..")

    @pytest.mark.parametrize(("octets", "length"), [(b"a\r\n.\r", 4), (b"a\r\n", 2), (b"a\r", 1), (b".", 0), (b"", 0)])
    def test_what_may_become_the_end(self, octets, length):
        assert length == length_of_possible_end(octets)

    @pytest.mark.parametrize(("octets", "good"), [(b"a\r\nb\rc\n", b"a\r\nb"), (b"\n", b""), (b"\r\n\r", b"\r\n")])
    def test_the_first_lone_cr_or_lf_is_the_fault(self, octets, good):
        assert good == without_fault(octets)

    @pytest.mark.parametrize("line", [b"A", b"AA==A", b"A===", b"AA=", b"AA =", b"AAAA=", b"=", b"\xff\xff\xff\xff"])
    def test_bad_base64(self, line):
        with pytest.raises(BadSyntaxError):
            read_base64(line)

    @pytest.mark.parametrize("text", ["", "a", "ab", "abc", "abcd"])
    def test_good_base64(self, text):
        encoded = {"": b"", "a": b"YQ==", "ab": b"YWI=", "abc": b"YWJj", "abcd": b"YWJjZA=="}[text]

        assert text.encode() == read_base64(encoded)

    @pytest.mark.parametrize(
        "path",
        ["a@b", "<a>", "<a@>", "<@b>", "<a@b", "<a..b@c>", "<a@b..c>", "<a@-b>", "<a@b->", "<a b@c>", '<"a@b>',
         '<"a"b@c>', "<a@[1.2.3]>", "<a@[1@2]>", "<a@[IPv6:fe80::1%1]>", f"<{'a' * 65}@b>", f"<a@{'b' * 64}>", "<@x->",
         "<a@b>x", "<a@b\u202e>", "< a@b>", "<a@b >"],
    )  # fmt: skip
    def test_no_paths(self, path):
        with pytest.raises(NotAPathError):
            read_path(f"FROM:{path}", "FROM:")

    @pytest.mark.parametrize(
        ("path", "address"),
        [("<>", ""), ("<a@b>", "a@b"), (" <a@b>", "a@b"), ("<@x,@y.z:a@b>", "a@b"), ('<"a \\" b"@c>', '"a \\" b"@c'),
         ("<a@[192.0.2.1]>", "a@[192.0.2.1]"), ("<ü@bücher.example>", "ü@bücher.example"),
         ("<a@xn--bcher-kva>", "a@xn--bcher-kva")],
    )  # fmt: skip
    def test_paths(self, path, address):
        assert address == read_path(f"FROM:{path} X=1", "FROM:").address

    @pytest.mark.parametrize("domain", ["xn--a", "xn--", "xn--bcher-kv", "a\u3002ü", "ü" * 60])
    def test_no_domains(self, domain):
        with pytest.raises(NotADomainError):
            read_path(f"TO:<a@{domain}>", "TO:")


class TestScenario:
    @pytest.mark.parametrize("sizes", [[], [1], [3, 5], [100]])
    def test_pieces_are_all_of_the_octets(self, sizes):
        assert bytes(range(50)) == b"".join(pieces_of(bytes(range(50)), sizes))

    def test_an_answer_fits_its_question(self):
        for kind in KINDS[1:]:
            for number in range(8):
                reply = Scenario(pieces=(), choices=tuple(range(8)), moody_about=kind).answer(number, kind)

                assert (reply.code == 354) is (reply.code < 400 and kind == "DataCommand")
