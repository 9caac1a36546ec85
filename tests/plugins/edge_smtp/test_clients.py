"""Facts about a client: the words for its protocol, and what XCLIENT puts in their place."""

from __future__ import annotations

import pytest

from mdacore import Client, PrependField, SessionId
from mdacore_edge_smtp.clients import identity_name, protocol_word, utf8_word, with_xclient
from mdacore_edge_smtp.trace import received_field

PROXY = Client(ip="192.0.2.7", helo="proxy", protocol="ESMTP", edge="mx", session_id=SessionId("s1"))


class TestWords:
    """RFC 3848, RFC 6531 §4.3."""

    @pytest.mark.parametrize(
        ("verb", "is_tls", "is_authenticated", "word", "with_utf8"),
        [
            ("EHLO", False, False, "ESMTP", "UTF8SMTP"),
            ("EHLO", True, False, "ESMTPS", "UTF8SMTPS"),
            ("EHLO", False, True, "ESMTPA", "UTF8SMTPA"),
            ("EHLO", True, True, "ESMTPSA", "UTF8SMTPSA"),
            ("LHLO", False, False, "LMTP", "UTF8LMTP"),
            ("LHLO", True, True, "LMTPSA", "UTF8LMTPSA"),
        ],
    )
    def test_each_combination_has_its_word(self, verb, is_tls, is_authenticated, word, with_utf8):
        assert word == protocol_word(verb, is_tls=is_tls, is_authenticated=is_authenticated)
        assert with_utf8 == utf8_word(word)

    def test_helo_has_but_one(self):
        assert "SMTP" == protocol_word("HELO", is_tls=True, is_authenticated=True)


class TestXclient:
    def test_what_is_said_replaces_and_the_rest_stays(self):
        client = with_xclient(PROXY, {"ADDR": "198.51.100.9", "NAME": "mail.example.org", "LOGIN": "alice"})

        assert ("198.51.100.9", "mail.example.org", "alice") == (client.ip, client.host, client.identity)
        assert ("proxy", "", "mx", "s1") == (client.helo, client.protocol, client.edge, client.session_id)

    @pytest.mark.parametrize(
        ("said", "ip"),
        [
            ("IPV6:2001:DB8::1", "2001:db8::1"),
            ("ipv6:2001:db8::1", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("IPV6:::ffff:192.0.2.1", "192.0.2.1"),
            ("[UNAVAILABLE]", ""),
            ("[tempunavail]", ""),
        ],
    )
    def test_addresses_are_written_in_one_way(self, said, ip):
        assert ip == with_xclient(PROXY, {"ADDR": said}).ip

    @pytest.mark.parametrize("said", ["mail.example.org", "1.2.3", "IPV6:x", "1.2.3.4\r\nX: y"])
    def test_what_is_no_address_is_refused(self, said):
        with pytest.raises(ValueError, match="does not appear to be"):
            with_xclient(PROXY, {"ADDR": said})

    def test_what_is_not_known_is_forgotten(self):
        known = with_xclient(PROXY, {"NAME": "mail.example.org", "LOGIN": "alice", "HELO": "client"})

        client = with_xclient(known, dict.fromkeys(("NAME", "LOGIN", "HELO"), "[UNAVAILABLE]"))

        assert ("", "", "") == (client.host, client.identity, client.helo)

    def test_case_058_whatever_a_proxy_says_it_stays_one_field(self):
        evil = "x\r\nEvil: 1\x1b[31m\0 \u2028"
        client = with_xclient(PROXY, {"NAME": evil, "HELO": evil, "LOGIN": evil})

        field = received_field(
            client, hostname="mx.example.com", transaction_id="s1.1", recipients=("r@example.test",), received_at=0
        )

        PrependField(field)
        assert 4 == field.count(b"\r\n")
        assert client.identity.isprintable()


def test_case_059_a_users_name_is_one_printable_line_of_bounded_length():
    name = identity_name("a\r\nb\x1b[31m\0\ud800" + "x" * 10_000)

    assert name.isprintable()
    assert 255 == len(name)
