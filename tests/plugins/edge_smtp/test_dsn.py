"""What DSN's parameters say (RFC 3461 §4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_edge_smtp.protocol import DSN, envelope_id, notify, original_recipient, returns_headers
from mdacore_edge_smtp.protocol.dsn import decode_xtext


def test_without_parameters_nothing_is_said():
    assert ("", (), "", False) == (envelope_id({}), notify({}), original_recipient({}), returns_headers({}))


@pytest.mark.parametrize(("value", "said"), [("HDRS", True), ("hdrs", True), ("FULL", False)])
def test_ret_asks_for_the_header_alone_or_not(value, said):
    assert said is returns_headers({"RET": value})


@pytest.mark.parametrize(
    ("xtext", "text"),
    [("a", "a"), ("a+2Bb", "a+b"), ("+3D+20", "= "), ("+2B41", "+41"), ("utf-8;\\x{FC}", "utf-8;\\x{FC}")],
)
def test_xtext_is_decoded_once(xtext, text):
    assert text == decode_xtext(xtext)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=100))
def test_any_printable_envelope_id_passes_the_table_and_comes_back(text):
    xtext = "".join(char if "!" <= char <= "~" and char not in "+=" else f"+{ord(char):02X}" for char in text)

    assert DSN.mail["ENVID"].fullmatch(xtext)
    assert text == envelope_id({"ENVID": xtext})


@given(st.text("+0123456789ABCDEFabcdef;=x\n\x7f", max_size=40))
def test_what_passes_the_table_is_printable(text):
    if DSN.mail["ENVID"].fullmatch(text):
        assert envelope_id({"ENVID": text}).isprintable()
    if DSN.rcpt["ORCPT"].fullmatch(text):
        assert original_recipient({"ORCPT": text}).isprintable()
