"""Where spamd is, as an operator writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdacore_policy_spamassassin.address import TcpAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:783", TcpAddress("127.0.0.1", 783)),
        ("[::1]:783", TcpAddress("::1", 783)),
        ("spamd.example.com:65535", TcpAddress("spamd.example.com", 65_535)),
        ("unix:/run/spamd.sock", UnixAddress(Path("/run/spamd.sock"))),
        ("unix:spamd.sock", UnixAddress(Path("spamd.sock"))),
    ],
)
def test_an_address_is_read_and_written_alike(text, address):
    assert address == parse_address(text)
    assert text == str(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1",
        ":783",
        "783",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1: 783",
        "127.0.0.1:٧٨٣",
        "::1:783",
        "[::1]",
        "[127.0.0.1]:783",
        "[example.com]:783",
        "a..b:783",
        "a b:783",
        f"{'a' * 64}.example.com:783",
        "unix:",
        "unix:/run/\0",
        "/run/spamd.sock",
    ],
)
def test_what_is_no_address_is_refused_with_the_forms_there_are(text):
    with pytest.raises(ValueError, match="is not of the form"):
        parse_address(text)
