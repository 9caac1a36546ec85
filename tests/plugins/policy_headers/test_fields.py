"""The fields as they are written."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore import Client, Content, Envelope, MemoryBody, Recipient
from mdacore_policy_headers.fields import DOMAIN, date_time, message_id_field, received_field

AT_S = 1_700_028_800.75
RCPT = "secret-recipient@example.com"


def envelope_from(**client: str) -> Envelope:
    return Envelope(
        sender="a@example.net",
        recipients=(Recipient(number=0, address=RCPT),),
        content=Content(MemoryBody(b"")),
        client=Client(**client),  # type: ignore[arg-type] # a NewType of str
        received_at=AT_S,
    )


class TestDateTime:
    def test_it_is_the_utc_time_of_rfc_5322(self) -> None:
        assert "Wed, 15 Nov 2023 06:13:20 +0000" == date_time(AT_S)

    @given(epoch_s=st.integers(0, 4_102_444_800))
    def test_any_second_is_written_as_python_writes_it(self, epoch_s: int) -> None:
        at = datetime.fromtimestamp(epoch_s, UTC)

        assert format_datetime(at) == date_time(epoch_s)
        assert at == parsedate_to_datetime(date_time(epoch_s))


class TestMessageId:
    def test_no_two_are_the_same(self) -> None:
        envelope = envelope_from()

        assert 1000 == len({message_id_field(envelope, "mx.example.com") for _ in range(1000)})

    def test_it_is_an_id_at_the_host(self) -> None:
        field = message_id_field(envelope_from(), "mx.example.com")

        assert field.startswith(b"Message-Id: <1700028800.")
        assert field.endswith(b"@mx.example.com>\r\n")


class TestReceived:
    def test_all_that_is_known_is_in_it(self) -> None:
        envelope = envelope_from(helo="client.example.net", host="host.example.net", ip="192.0.2.1", protocol="ESMTPS")

        assert (
            b"Received: from client.example.net (host.example.net [192.0.2.1])\r\n"
            b"\tby mx.example.com with ESMTPS;\r\n"
            b"\tWed, 15 Nov 2023 06:13:20 +0000\r\n"
        ) == received_field(envelope, "mx.example.com")

    def test_ipv6_address_is_a_literal_of_rfc_5321(self) -> None:
        envelope = envelope_from(helo="[IPv6:2001:db8::1]", ip="2001:db8::1")

        assert b"from [IPv6:2001:db8::1] (unknown [IPv6:2001:db8::1])\r\n" in received_field(envelope, "h")

    def test_message_without_a_network_client_has_no_from_clause(self) -> None:
        assert b"Received: by h with HTTP;\r\n\tWed, 15 Nov 2023 06:13:20 +0000\r\n" == received_field(
            envelope_from(protocol="HTTP"), "h"
        )

    def test_recipients_are_not_named(self) -> None:
        assert RCPT.encode() not in received_field(envelope_from(ip="192.0.2.1"), "h")

    @pytest.mark.parametrize(
        "evil",
        [
            "x\r\nX-Evil: 1",
            "x\ny",
            "a b",
            "x)(y",
            "x;y",
            "x\x00",
            "é",
            "\udcff",
            "(x",
            "x" * 300,
            "[x",
            "x@y",
            "",
            "x\n",
        ],
    )
    @pytest.mark.parametrize("part", ["helo", "host", "ip", "protocol"])
    def test_case_058_what_is_not_plain_does_not_get_in(self, part: str, evil: str) -> None:
        client = {"helo": "h", "host": "h", "ip": "192.0.2.1", "protocol": "ESMTP"} | {part: evil}

        field = received_field(envelope_from(**client), "mx.example.com")

        Content(MemoryBody(b"")).prepend(field)  # raises unless it is one field
        assert not evil or evil.encode("utf-8", "replace") not in field
        assert max(map(len, field.split(b"\r\n"))) < 998


class TestDomain:
    @pytest.mark.parametrize("name", ["localhost", "mx.example.com", "my_host", "a" * 63])
    def test_host_name_is_taken(self, name: str) -> None:
        assert DOMAIN.fullmatch(name)

    @pytest.mark.parametrize("name", ["", "a b", "a..b", ".a", "a.", "é", "a>b", "a" * 64, "a\n"])
    def test_what_is_no_host_name_is_refused(self, name: str) -> None:
        assert not DOMAIN.fullmatch(name)
