"""Which spellings of an address are one mailbox."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_edge_smtp.mailboxes import ascii_domain, is_address, is_mail_domain, mailbox_of, without_extension

GRUESSE = "grüße.example"


class TestDomains:
    @pytest.mark.parametrize("spelling", ["Example.TEST", "example.test.", "EXAMPLE.test"])
    def test_case_does_not_count(self, spelling):
        assert "example.test" == ascii_domain(spelling)

    @pytest.mark.parametrize(
        "spelling",
        [GRUESSE, GRUESSE.upper().replace("SS", "ß"), unicodedata.normalize("NFD", GRUESSE), "XN--gre-6ka8l.Example"],
    )
    def test_case_057_normal_forms_case_and_a_labels_of_a_domain_are_one(self, spelling):
        assert "xn--gre-6ka8l.example" == ascii_domain(spelling)

    def test_a_label_that_need_not_be_encoded_is_another_one(self):
        """Or whoever owns a strange name could pass for us."""
        assert ascii_domain("xn--example-.test") != ascii_domain("example.test")

    @given(st.text(max_size=80))
    def test_whatever_it_is_the_form_is_ascii_and_the_form_of_itself(self, domain):
        form = ascii_domain(domain)

        assert form.isascii()
        assert form.removesuffix(".") == ascii_domain(form).removesuffix(".")


class TestMailboxes:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Bob@example.test", "bOB@EXAMPLE.test"),
            ('"bob"@example.test', "bob@example.test"),
            (r'"b\ob"@example.test', "bob@example.test"),
            ("j\u00f6rg@example.test", "jo\u0308rg@example.test"),
        ],
    )
    def test_case_quotes_and_normal_forms_do_not_count(self, one, other):
        assert mailbox_of(one) == mailbox_of(other)

    @pytest.mark.parametrize(("one", "other"), [("bob@a.test", "bob@b.test"), ('"b ob"@a.test', "bob@a.test")])
    def test_others_are_others(self, one, other):
        assert mailbox_of(one) != mailbox_of(other)


class TestSubAddresses:
    @pytest.mark.parametrize(
        ("local", "delimiter", "mailbox"),
        [
            ("bob+lists", "+", "bob"),
            ("bob+lists+more", "+", "bob"),
            ("bob+", "+", "bob"),
            ("bob--x", "--", "bob"),
            ("+bob", "+", None),
            ("+bob+x", "+", "+bob"),
            ("bob", "+", None),
            ("bob+lists", "", None),
            ("bob+lists", "-", None),
        ],
    )
    def test_it_ends_at_the_first_delimiter_that_is_not_at_the_front(self, local, delimiter, mailbox):
        expected = None if mailbox is None else (mailbox, "example.test")

        assert expected == without_extension((local, "example.test"), delimiter)


class TestSyntax:
    @pytest.mark.parametrize("text", ["bob@example.test", '"a b"@example.test', "jörg@grüße.example", "a@[192.0.2.1]"])
    def test_addresses(self, text):
        assert is_address(text)

    @pytest.mark.parametrize("text", ["", "bob", "@example.test", "bob@", "a b@example.test", "b\r\n@c", "bob@-.test"])
    def test_no_addresses(self, text):
        assert not is_address(text)

    @pytest.mark.parametrize("text", ["", "a b", "grü ße.example", "*", "@a.test"])
    def test_no_domains(self, text):
        assert not is_mail_domain(text)
