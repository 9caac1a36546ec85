"""The PROXY protocol's headers, octet by octet (case 49)."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mdacore_edge_smtp.proxy_header import MAX_SIZE_BYTES, MAX_V1_BYTES, SIGNATURE, BadHeader, ProxyHeader, parse

V4_BLOCK = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + b"\x9c\x40\x00\x19"
V6_BLOCK = ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("2001:db8::1").packed + b"\x9c\x40\x00\x19"
LONGEST_V1 = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535"


def v2(block: bytes = V4_BLOCK, *, command: int = 0x21, family: int = 0x11, size_bytes: int | None = None) -> bytes:
    length = len(block) if size_bytes is None else size_bytes
    return SIGNATURE + bytes([command, family]) + length.to_bytes(2) + block


GOOD = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n", "192.0.2.7"),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 0 0\r\n", "192.0.2.7"),
    (b"PROXY TCP6 2001:DB8::7 2001:db8::1 40000 25\r\n", "2001:db8::7"),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 40000 25\r\n", "192.0.2.7"),
    (b"PROXY UNKNOWN\r\n", ""),
    (b"PROXY UNKNOWN whatever 192.0.2.7\r\n", ""),
    (LONGEST_V1 + b" " * (MAX_V1_BYTES - 2 - len(LONGEST_V1)) + b"\r\n", ""),
    (v2(), "192.0.2.7"),
    (v2(V6_BLOCK, family=0x21), "2001:db8::7"),
    (v2(V4_BLOCK + b"\x04\x00\x00" + b"\x02\x00\x03abc"), "192.0.2.7"),
    (v2(V4_BLOCK + b"\x04\x00\xff" + b"x" * 255), "192.0.2.7"),
    (v2(b"/run/a.sock".ljust(108, b"\0") + b"/run/b.sock".ljust(108, b"\0"), family=0x31), ""),
    (v2(b"", family=0x00), ""),
    (v2(b"any octets", family=0x00), ""),
    (v2(b"", command=0x20, family=0x00), ""),
    (v2(V4_BLOCK, command=0x20), ""),
]

BAD = [
    b"EHLO client\r\n",
    b"\r\n\n",
    b"\r\n\r\nQUIT\r\n",
    b"proxy TCP4 192.0.2.7 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25 \r\n",
    b"PROXY TCP4  192.0.2.7 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 192.0.2.07 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.256 40000 25\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 40000 25\r\n",
    b"PROXY TCP6 192.0.2.7 198.51.100.1 40000 25\r\n",
    b"PROXY TCP6 fe80::1%eth0 2001:db8::1 40000 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 040 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 25\r\n",
    b"PROXY UDP4 192.0.2.7 198.51.100.1 40000 25\r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\n" + b"x" * 100,
    b"PROXY UNKNOWN " + b"x" * MAX_V1_BYTES,
    v2(command=0x11),
    v2(command=0x22),
    v2(family=0x12),
    v2(family=0x41),
    v2(V4_BLOCK[:-1]),
    v2(V4_BLOCK, family=0x21),
    v2(V4_BLOCK + b"\x04"),
    v2(V4_BLOCK + b"\x04\x00\x02x"),
    v2(V4_BLOCK + b"\x04\xff\xff"),
    v2(size_bytes=65_535),
    v2(size_bytes=MAX_SIZE_BYTES),
]


@pytest.mark.parametrize(("header", "ip"), GOOD)
class TestGood:
    def test_case_049_it_says_who_the_client_is(self, header, ip):
        assert ProxyHeader(ip=ip, size_bytes=len(header)) == parse(header)

    def test_case_049_it_is_whole_with_its_last_octet_and_not_before(self, header, ip):
        assert [None] * len(header) == [parse(header[:end]) for end in range(len(header))]

    def test_what_follows_is_not_its_own(self, header, ip):
        assert len(header) == parse(header + b"EHLO client\r\n").size_bytes


class TestBad:
    @pytest.mark.parametrize("data", BAD)
    def test_case_049_anything_else_is_refused(self, data):
        with pytest.raises(BadHeader):
            parse(data)

    def test_a_line_of_the_most_octets_without_its_end_is_refused_at_once(self):
        line = b"PROXY UNKNOWN ".ljust(MAX_V1_BYTES, b"x")

        assert parse(line[:-1]) is None
        with pytest.raises(BadHeader):
            parse(line)


def outcome(data: bytes) -> ProxyHeader | str | None:
    try:
        return parse(data)
    except BadHeader:
        return "bad"


class TestAnything:
    @given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, v2()[:14]]), st.binary(max_size=300))
    @example(SIGNATURE, b"\x21\x21\x00\x24" + b"\0" * 36)
    def test_any_octets_give_a_header_or_a_refusal_and_never_change_their_mind(self, start, data):
        """What a longer piece means, its beginnings mean too, or nothing yet: a split changes nothing."""
        data = start + data
        final = outcome(data)

        for end in range(len(data)):
            assert outcome(data[:end]) in (None, final)

    @given(st.binary(max_size=20))
    def test_nothing_is_undecided_at_the_size_limit(self, data):
        for start in (b"PROXY TCP4 ", SIGNATURE):
            assert outcome((start + data).ljust(MAX_SIZE_BYTES, b"x")) is not None
