"""Replies on the wire (RFC 5321 §4.2, RFC 2034)."""

from __future__ import annotations

import pytest

from mdacore import Reply
from mdacore_edge_smtp.protocol import replies
from mdacore_edge_smtp.protocol.replies import encode, encode_lines


class TestEncode:
    def test_code_enhanced_code_and_text_stand_in_one_line(self):
        assert b"550 5.7.1 No\r\n" == encode(Reply(code=550, enhanced="5.7.1", text="No"))

    def test_a_3yz_has_no_enhanced_code(self):
        assert b"354 Go on\r\n" == encode(Reply(code=354, text="Go on"))

    def test_a_reply_without_text_is_a_line_still(self):
        assert b"250 2.0.0 \r\n" == encode(Reply(code=250))

    def test_every_line_of_many_has_the_enhanced_code(self):
        """RFC 2034 §4."""
        assert b"550-5.7.1 a\r\n550 5.7.1 b\r\n" == encode(Reply(code=550, enhanced="5.7.1", text="a\nb"))

    def test_what_is_not_ascii_becomes_a_question_mark(self):
        assert b"550 5.7.1 caf?\r\n" == encode(Reply(code=550, enhanced="5.7.1", text="café"))
        assert b"550-5.7.1 ?\r\n550 5.7.1 b\r\n" == encode(Reply(code=550, enhanced="5.7.1", text="é\nb"))

    def test_a_long_text_is_cut_into_lines_of_at_most_512_octets(self):
        """RFC 5321 §4.5.3.1.5."""
        lines = encode(Reply(code=550, enhanced="5.123.123", text="x" * 1999)).splitlines(keepends=True)

        assert all(len(line) <= 512 for line in lines)
        assert [b"550-"] * (len(lines) - 1) + [b"550 "] == [line[:4] for line in lines]
        assert 1999 == b"".join(lines).count(b"x")

    def test_lines_without_an_enhanced_code_are_for_the_greeting_and_ehlo(self):
        assert b"250-mx\r\n250 SIZE\r\n" == encode_lines(250, "", ["mx", "SIZE"])


@pytest.mark.parametrize("reply", [reply for reply in vars(replies).values() if isinstance(reply, Reply)], ids=str)
def test_every_reply_of_the_protocol_fits_one_line(reply):
    assert 1 == encode(reply).count(b"\r\n")
