"""The name in a ClientHello: as OpenSSL writes it, in any pieces, and in octets that are none."""

from __future__ import annotations

import pytest
from gevent import ssl
from hypothesis import given
from hypothesis import strategies as st

from mdacore_edge_smtp.client_hello import MAX_RECORDS, MAX_SIZE_BYTES, server_name


def hello(name: str | None = "mx.example.com") -> bytes:
    """The first flight of a real client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = hello()


def in_records(data: bytes, size_bytes: int) -> bytes:
    """The same message, spread over records of this size."""
    body = data[5:]
    pieces = [body[start : start + size_bytes] for start in range(0, len(body), size_bytes)]
    return b"".join(data[:3] + len(piece).to_bytes(2) + piece for piece in pieces)


class TestName:
    @pytest.mark.parametrize(
        ("asked", "name"), [("mx.example.com", "mx.example.com"), ("MX.Example.COM", "mx.example.com"), (None, "")]
    )
    def test_it_is_read_in_lower_case(self, asked, name):
        assert name == server_name(hello(asked))

    def test_it_is_known_with_the_last_octet_and_not_before(self):
        names = [server_name(HELLO[:end]) for end in range(len(HELLO) + 1)]

        assert [None] * len(HELLO) + ["mx.example.com"] == names

    @pytest.mark.parametrize("size_bytes", [10, 50, 100])
    def test_it_may_be_spread_over_records(self, size_bytes):
        assert "mx.example.com" == server_name(in_records(HELLO, size_bytes))

    def test_one_that_is_not_ascii_is_none(self):
        assert "" == server_name(HELLO.replace(b"mx.example", b"\xffx.example"))


class TestAnythingElse:
    @pytest.mark.parametrize(
        "data",
        [
            b"EHLO client\r\n",
            b"\x80\x2e\x01\x00\x02",
            b"\x15\x03\x01\x00\x02\x02\x28",
            b"\x16\x03\x01\x00\x05\x01\x00\xff\xff\x00",
            b"\x16\x03\x01\x00\x05hello",
        ],
    )
    def test_it_has_no_name(self, data):
        assert "" == server_name(data)

    def test_what_never_ends_is_given_up(self):
        endless = (b"\x16\x03\x01\xff\xff\x01\0\x3f\xfc" + bytes(MAX_SIZE_BYTES))[: MAX_SIZE_BYTES + 1]

        assert server_name(endless[:-1]) is None
        assert "" == server_name(endless)

    @pytest.mark.parametrize("record", [b"\x16\x03\x01\0\0", b"\x16\x03\x01\0\1\1"], ids=["empty", "of one octet"])
    def test_more_records_than_are_looked_at_again_with_each_octet_have_no_name(self, record):
        """Going through thousands of them for each octet would cost half a millisecond each time."""
        assert server_name(b"\x16\x03\x01\0\4\1\0\x3f\0" + record * (MAX_RECORDS - 2)) is None
        assert "" == server_name(b"\x16\x03\x01\0\4\1\0\x3f\0" + record * MAX_RECORDS)

    @given(st.integers(5, len(HELLO) - 1), st.integers(0, 255))
    def test_a_damaged_one_raises_nothing(self, position, octet):
        damaged = HELLO[:position] + bytes([octet]) + HELLO[position + 1 :]

        assert isinstance(server_name(damaged), str | None)

    @given(st.binary(max_size=200))
    def test_no_octets_raise_anything(self, data):
        assert isinstance(server_name(data), str | None)
        assert isinstance(server_name(b"\x16\x03\x01" + data), str | None)
