"""The Received field (RFC 5321 §4.4), and counting those of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore import Client, PrependField, SessionId
from mdacore_edge_smtp.trace import has_looped, received_field, sanitised

CLIENT = Client(ip="192.0.2.7", helo="client.example.org", protocol="ESMTP", session_id=SessionId("s1"))


def field(client: Client = CLIENT, recipients=("r@example.test",)) -> bytes:
    return received_field(
        client, hostname="mx.example.com", transaction_id="s1.2", recipients=recipients, received_at=1_700_000_000.9
    )


class TestReceivedField:
    def test_it_says_from_whom_by_whom_how_for_whom_and_when(self):
        assert (
            b"Received: from client.example.org ([192.0.2.7])\r\n"
            b"\tby mx.example.com with ESMTP id s1.2\r\n"
            b"\tfor <r@example.test>;\r\n"
            b"\tTue, 14 Nov 2023 22:13:20 +0000\r\n"
        ) == field()

    def test_several_recipients_are_not_named(self):
        """RFC 5321 §7.2: each would learn of the others."""
        assert b"for" not in field(recipients=("a@example.test", "b@example.test"))

    def test_an_ipv6_address_is_tagged(self):
        assert b" ([IPv6:2001:db8::1])\r\n" in field(Client(ip="2001:db8::1", helo="c", protocol="ESMTP"))

    def test_an_unknown_address_is_left_out(self):
        assert field(Client(helo="c", protocol="SMTP")).startswith(b"Received: from c\r\n\tby mx")

    @given(st.text(alphabet=st.characters(max_codepoint=255), min_size=1, max_size=300))
    def test_case_058_whatever_a_client_calls_itself_it_stays_one_field(self, name):
        line = field(Client(ip="192.0.2.7", helo=sanitised(name), protocol="ESMTP"))

        PrependField(line)
        assert line.startswith(b"Received: from ")
        assert 4 == line.count(b"\r\n")


class TestSanitised:
    @pytest.mark.parametrize("name", ["example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]", "my_host-1"])
    def test_names_and_literals_stay(self, name):
        assert name == sanitised(name)

    def test_the_unusual_becomes_a_question_mark(self):
        assert "??x?????b" == sanitised("$(x)\r\n\0\x1bb")


class TestHasLooped:
    def message(self, count: int, name: bytes = b"Received") -> bytes:
        return (name + b": x\r\n") * count + b"Subject: y\r\n\r\nReceived: body\r\n"

    def test_case_051_one_more_than_the_limit_is_a_loop(self):
        assert not has_looped(self.message(100), max_hops=100)
        assert has_looped(self.message(101), max_hops=100)

    @pytest.mark.parametrize("name", [b"rEcEiVeD", b"RECEIVED", b"Received \t"])
    def test_case_051_tricks_with_case_and_spaces_do_not_hide_a_field(self, name):
        assert has_looped(self.message(101, name), max_hops=100)

    def test_case_051_a_folded_field_counts_once(self):
        folded = b"Received: a\r\n Received: b\r\n\tReceived: c\r\n" * 51 + b"\r\n"

        assert not has_looped(folded, max_hops=100)

    @pytest.mark.parametrize("name", [b"X-Received", b"Received-SPF"])
    def test_fields_of_other_names_do_not_count(self, name):
        assert not has_looped(self.message(200, name), max_hops=100)

    def test_the_body_does_not_count(self):
        assert not has_looped(b"\r\n" + self.message(200), max_hops=100)
        assert not has_looped(b"A: b\r\n\r\n" + self.message(200), max_hops=100)

    def test_a_header_that_does_not_end_counts(self):
        assert has_looped(b"Received: x\r\n" * 101, max_hops=100)
