"""Command arguments by the letter of RFC 5321 §4.1.2."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_edge_smtp.protocol.grammar import (
    is_domain,
    parse_forward_path,
    parse_helo_name,
    parse_parameters,
    parse_reverse_path,
)

LONG_DOMAIN = ".".join(["d" * 60] * 4)  # 243 octets


class TestReversePath:
    @pytest.mark.parametrize(
        ("argument", "sender"),
        [
            (b"FROM:<a@example.org>", "a@example.org"),
            (b"from:<A.b+c@Example.ORG>", "A.b+c@Example.ORG"),
            (b"FROM: <a@example.org>", "a@example.org"),
            (b"FROM:<>", ""),
            (b"FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]"),
            (b"FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
            (b"FROM:<a@x>", "a@x"),
            (b"FROM:<!#$%&'*+-/=?^_`{|}~@example.org>", "!#$%&'*+-/=?^_`{|}~@example.org"),
        ],
    )
    def test_a_path_of_the_grammar_gives_its_mailbox(self, argument, sender):
        assert (sender, b"") == parse_reverse_path(argument)

    def test_a_source_route_is_dropped(self):
        assert ("c@d.example", b"") == parse_reverse_path(b"FROM:<@a.example,@b.example:c@d.example>")

    @pytest.mark.parametrize(
        "path",
        [b'"a b"@d', rb'"a\"b"@d', b'"a>b"@d', b'"@"@d', rb'"a\\"@d'],
    )
    def test_a_quoted_local_part_comes_out_as_it_was_written(self, path):
        assert (path.decode(), b"SIZE=1") == parse_reverse_path(b"FROM:<" + path + b"> SIZE=1")

    @pytest.mark.parametrize(
        "path",
        [
            b"<a@>", b"<@d>", b"<a@b@c>", b'<"a@d>', b'<a"@d>', b'<"a\\"@d>', b"<a@d", b"a@d", b"a@d>", b"<a@d>x",
            b"<a b@d>", b"<a@d e>", b"<.a@d>", b"<a.@d>", b"<a..b@d>", b"<a@-d>", b"<a@d->", b"<a@d..e>", b"<a@.d>",
            b"<a@d.>", b"<a@d_e>", b"<a@[192.0.2.256]>", b"<a@[x]>", b"<a@[]>", b"<a@[192.0.2.1>", b"<a@[IPv6:::g]>",
            b"<a@[fe80::1]>", b"<a@[IPv6:fe80::1%eth0]>", b"<a\0@d>", b"<\xc3\xa9@d>", b"<a@d\xc3\xa9>", b"<a\t@d>",
            b'<"\xff"@d>', b'<"a\x01"@d>', b'<""@d>', b"<a>", b"<postmaster>", b"<@a:>", b"<@a,b:c@d>", b"< >", b"",
            b"<(c)a@d>", b"<a@" + b"d" * 64 + b">",
        ],
    )  # fmt: skip
    def test_what_is_not_in_the_grammar_is_none(self, path):
        assert parse_reverse_path(b"FROM:" + path) is None

    @pytest.mark.parametrize("argument", [b"", b"FROM", b"FROM<a@b>", b"TO:<a@b>", b"FROM:  <a@b>", b"<a@b>"])
    def test_another_keyword_is_none(self, argument):
        assert parse_reverse_path(argument) is None


class TestLengths:
    """RFC 5321 §4.5.3.1: local part 64, path 256 with its brackets."""

    def test_a_local_part_of_64_octets_is_accepted_and_of_65_is_not(self):
        assert parse_reverse_path(b"FROM:<" + b"a" * 64 + b"@d>")
        assert parse_reverse_path(b"FROM:<" + b"a" * 65 + b"@d>") is None

    def test_a_path_of_256_octets_is_accepted_and_of_257_is_not(self):
        local = "a" * (254 - 1 - len(LONG_DOMAIN))

        assert parse_forward_path(f"TO:<{local}@{LONG_DOMAIN}>".encode())
        assert parse_forward_path(f"TO:<{local}a@{LONG_DOMAIN}>".encode()) is None

    def test_a_source_route_counts(self):
        assert parse_reverse_path(f"FROM:<@{LONG_DOMAIN}:a@b.example>".encode()) is None


class TestForwardPath:
    def test_a_mailbox_comes_with_what_follows(self):
        assert ("a@example.test", b"NOTIFY=NEVER X") == parse_forward_path(b"TO:<a@example.test> NOTIFY=NEVER X")

    @pytest.mark.parametrize("argument", [b"TO:<postmaster>", b"To:<PostMaster>", b"TO: <postmaster>"])
    def test_postmaster_needs_no_domain(self, argument):
        """RFC 5321 §4.5.1, in any case."""
        assert ("postmaster", b"") == parse_forward_path(argument)

    @pytest.mark.parametrize("argument", [b"TO:<>", b"TO:<user>", b"TO:postmaster", b"FROM:<a@b>", b'TO:<"">'])
    def test_others_do(self, argument):
        assert parse_forward_path(argument) is None


class TestParameters:
    def test_keywords_are_folded_and_values_kept(self):
        assert {"SIZE": "100", "BODY": "8bitMIME", "X-Y": ""} == parse_parameters(b"size=100  Body=8bitMIME x-y ")

    @pytest.mark.parametrize(
        "rest", [b"SIZE=", b"=1", b"-X=1", b"A=b=c", b"A\0", b"A=\xff", b"A=1 a=2", b"A\tB", b"A=b\x7f"]
    )
    def test_what_is_not_in_the_grammar_or_stands_twice_raises(self, rest):
        with pytest.raises(ValueError):
            parse_parameters(rest)


class TestHeloName:
    @pytest.mark.parametrize("name", ["example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]", "my_host", "$(x)", "a" * 255])
    def test_any_printable_word_is_a_name(self, name):
        """RFC 5321 §4.1.4 forbids to refuse mail over it."""
        assert name == parse_helo_name(name.encode() + b" ")

    @pytest.mark.parametrize("argument", [b"", b"  ", b"a b", b"caf\xc3\xa9", b"a\0b", b"a\tb", b"a" * 256, b"a\x1b[m"])
    def test_anything_else_is_not(self, argument):
        assert parse_helo_name(argument) is None


class TestIsDomain:
    @pytest.mark.parametrize("text", ["example.com", "localhost", "[192.0.2.1]", "[IPv6:::1]", "xn--nxasmq6b.example"])
    def test_domains_and_literals_are(self, text):
        assert is_domain(text)

    @pytest.mark.parametrize(
        "text", ["", "a b", "a..b", ".a", "a.", "-a", "a@b", "bücher.example", "[::1]", "[1.2.3.4"]
    )
    def test_other_text_is_not(self, text):
        assert not is_domain(text)


@given(st.binary(max_size=300))
def test_no_octets_raise(argument):
    parse_reverse_path(argument)
    parse_reverse_path(b"FROM:" + argument)
    parse_forward_path(b"TO:<" + argument)
    parse_helo_name(argument)


@pytest.mark.parametrize(
    "argument",
    [
        b"FROM:<" + b"a." * 1000,
        b'FROM:<"' + b"\\a" * 1000,
        b"FROM:<" + b"@a," * 600,
        b"FROM:<a@" + b"a-" * 1000,
        b"FROM:<a@b>" + b" " * 2000 + b"\0",
        b"FROM:<a@" + b"d" * 60 + (b"." + b"d" * 60) * 30 + b"_>",
    ],
)
def test_a_long_mistake_is_found_in_linear_time(argument):
    """Doubling the length must not make it four times as slow; 2 KB take far below a millisecond."""
    began = time.thread_time()

    for _ in range(20):
        parse_reverse_path(argument)

    assert time.thread_time() - began < 0.5
