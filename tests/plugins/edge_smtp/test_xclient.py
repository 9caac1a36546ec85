"""XCLIENT's attributes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_edge_smtp.protocol.xclient import parse_attributes


class TestParseAttributes:
    def test_names_are_folded_and_values_decoded(self):
        assert {"NAME": "Mx.example", "HELO": "a b", "LOGIN": "x=y"} == parse_attributes(
            b"name=Mx.example  Helo=a+20b LOGIN=x+3Dy "
        )

    @pytest.mark.parametrize(
        ("value", "address"),
        [("192.0.2.1", "192.0.2.1"), ("IPV6:2001:DB8::1", "2001:db8::1"), ("2001:db8::1", "2001:db8::1"),
         ("ipv6:::1", "::1")],
    )  # fmt: skip
    def test_addresses_come_in_one_form(self, value, address):
        assert {"ADDR": address, "DESTADDR": address} == parse_attributes(f"ADDR={value} DESTADDR={value}".encode())

    @pytest.mark.parametrize("name", ["NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"])
    @pytest.mark.parametrize("value", ["[UNAVAILABLE]", "[TempUnavail]"])
    def test_anything_may_be_unavailable(self, name, value):
        assert {name: value.upper()} == parse_attributes(f"{name}={value}".encode())

    @pytest.mark.parametrize(
        "argument",
        [b"", b"  ", b"NAME", b"NAME=", b"=a", b"COLOUR=red", b"NAME=a NAME=b", b"ADDR=example.com",
         b"ADDR=IPV6:192.0.2.1",
         b"ADDR=fe80::1%eth0", b"ADDR=1.2.3", b"PORT=65536", b"PORT=x", b"PORT=-1", b"PROTO=HTTP", b"NAME=a+0Ab",
         b"NAME=a+00", b"NAME=a+7F", b"NAME=\xff", b"NAME=a+", b"NAME=a+4", b"NAME=" + b"a" * 256, b"NAME\xff=a"],
    )  # fmt: skip
    def test_what_is_wrong_raises(self, argument):
        with pytest.raises(ValueError):
            parse_attributes(argument)

    @given(st.binary(max_size=100))
    def test_no_octets_raise_anything_else(self, octets):
        for argument in (octets, b"NAME=" + octets, b"ADDR=" + octets, b"PORT=" + octets):
            try:
                attributes = parse_attributes(argument)
            except ValueError:
                continue
            assert all(value.isprintable() for value in attributes.values())
