"""Addresses beyond ASCII, and labels that stand for such (RFC 6531 §3.3, RFC 5890 §2.3.2)."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_edge_smtp.protocol import grammar, international
from mdacore_edge_smtp.protocol.international import BadDomainError, parse_forward_path, parse_reverse_path


class TestPaths:
    @pytest.mark.parametrize(
        "address",
        ["ü@b", "a@bücher.example", "用户@例子.广告", '"ü \\"ß"@b', "ü.ü@b", "a@xn--bcher-kva.example", "ü@[192.0.2.1]",
         "अजय@डाटा.भारत", "🙂@b", "a@bü-cher", "ﬁ@b"],
    )  # fmt: skip
    def test_an_address_comes_out_as_it_was_sent(self, address):
        assert (address, b"SMTPUTF8") == parse_reverse_path(f"FROM:<{address}> SMTPUTF8".encode())
        assert (address, b"") == parse_forward_path(f"TO:<{address}>".encode())

    def test_a_source_route_is_dropped(self):
        assert ("ü@b", b"") == parse_forward_path("TO:<@büro.example,@c:ü@b>".encode())

    def test_the_null_sender_and_postmaster_stay_what_they_are(self):
        assert ("", b"") == parse_reverse_path(b"FROM:<>")
        assert ("postmaster", b"") == parse_forward_path(b"TO:<Postmaster>")

    @pytest.mark.parametrize(
        "path", ["ü", "<ü>", "<ü@>", "<@ü>", "<ü@b@c>", "<ü @b>", "<ü.@b>", "<ü@-b>", "<ü@b->", "<ü@b_>", "<ü@[::1]>"]
    )
    def test_what_is_not_in_the_grammar_is_none(self, path):
        assert parse_reverse_path(f"FROM:{path}".encode()) is None
        assert parse_forward_path(f"TO:{path}".encode()) is None

    @pytest.mark.parametrize("octets", [b"\xff", b"\xc0\x80", b"\xe0\x80\xaf", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80"])
    def test_what_is_not_utf_8_is_none(self, octets):
        """Over-long forms and surrogates are not."""
        assert parse_reverse_path(b"FROM:<" + octets + b"@b>") is None

    @pytest.mark.parametrize("character", "\x00\x1b\x7f\x85\x9f\u061c\u200e\u2028\u2029\u202a\u202e\u2066\u2069\ufeff")
    def test_control_characters_are_none_wherever_they_stand(self, character):
        assert parse_reverse_path(f'FROM:<"ü{character}"@b>'.encode()) is None
        assert parse_reverse_path(f"FROM:<a@ü{character}>".encode()) is None
        assert parse_forward_path(f"TO:<ü@b> ORCPT=utf-8;{character}".encode()) is None


class TestLabels:
    @pytest.mark.parametrize(
        "label",
        ["xn--", "xn---", "xn--a", "xn--abc", "xn--BCHER-KVB-", "xn--" + "a" * 60, "xn--9999999"],
    )  # fmt: skip
    def test_one_that_stands_for_nothing_legal_raises(self, label):
        with pytest.raises(BadDomainError):
            parse_reverse_path(f"FROM:<a@{label}.b>".encode())

    def test_one_that_stands_for_control_characters_raises(self):
        label = "xn--" + "a\u202eb".encode("punycode").decode("ascii")

        with pytest.raises(BadDomainError):
            parse_forward_path(f"TO:<a@{label}>".encode())

    def test_one_that_stands_for_text_out_of_order_raises(self):
        """Not NFC: RFC 5891 §4.2.1."""
        label = "xn--" + "bu\u0308cher".encode("punycode").decode("ascii")

        with pytest.raises(BadDomainError):
            parse_forward_path(f"TO:<a@{label}>".encode())

    @pytest.mark.parametrize("domain", ["ü" * 60, "a\u3002ü", "ü\uff0eb", "ü\uff61"])
    def test_one_that_no_dns_could_hold_raises(self, domain):
        with pytest.raises(BadDomainError):
            parse_forward_path(f"TO:<a@{domain}>".encode())


@given(st.binary(max_size=300))
def test_no_octets_raise_anything_else(argument):
    for path in (b"FROM:<a@" + argument + b">", b"TO:<" + argument, b"TO:<a@xn--" + argument + b">", argument):
        for parse in (parse_reverse_path, parse_forward_path):
            with contextlib.suppress(BadDomainError):
                parse(path)


@given(st.text('aZ0-.@<>"\\ _', max_size=30))
def test_plain_ascii_means_the_same_as_in_the_plain_grammar(text):
    """As far as no label stands for another."""
    argument = b"TO:<" + text.encode() + b">"

    assert grammar.parse_forward_path(argument) == parse_forward_path(argument)


@pytest.mark.parametrize(
    "argument",
    [
        b"FROM:<" + "ü.".encode() * 600,
        b"FROM:<a@" + b"xn--a." * 340 + b">",
        b"FROM:<" + b"@\xc3\xbc," * 450,
        b"FROM:<a@" + "ü-".encode() * 600,
    ],
)
def test_a_long_mistake_is_found_in_linear_time(argument):
    began = time.thread_time()

    for _ in range(20):
        assert international.parse_reverse_path(argument) is None

    assert time.thread_time() - began < 0.5
