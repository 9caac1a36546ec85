"""Where command lines end, whatever the pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_edge_smtp.protocol.framing import BareLineFeed, LineBuffer, LineTooLong

# Octets in which every end that is almost one comes up often.
AWKWARD = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"x", b"\0", b"\x85"])).map(
    b"".join
)


def cut(data: bytes, positions: list[int]) -> list[bytes]:
    bounds = [0, *sorted({position % (len(data) + 1) for position in positions}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds) if start < end]


class TestLineBuffer:
    def lines(self, pieces: list[bytes], max_line_bytes: int = 64) -> list[bytes | str]:
        buffer = LineBuffer(max_line_bytes)
        found: list[bytes | str] = []
        for piece in pieces:
            buffer.append(piece)
            while True:
                try:
                    line = buffer.next_line()
                except BareLineFeed:
                    line = "bare"
                except LineTooLong:
                    return [*found, "too long"]
                if line is None:
                    break
                found.append(line)
        return found

    def test_lines_come_out_without_their_crlf(self):
        assert [b"a", b"", b"b"] == self.lines([b"a\r\n\r\nb\r\nc"])

    def test_a_line_may_come_in_pieces(self):
        assert [b"abc"] == self.lines([b"a", b"bc\r", b"\n"])

    @pytest.mark.parametrize("data", [b"NOOP\nMAIL\r\nb\r\n", b"\nMAIL\r\nb\r\n", b"a\n\n\n\r\nb\r\n", b"a\n\r\nb\r\n"])
    def test_a_line_with_a_bare_lf_is_one_line_in_error_up_to_its_crlf(self, data):
        """Case 7: never two commands."""
        assert ["bare", b"b"] == self.lines([data])

    def test_a_bare_lf_is_reported_when_it_comes(self):
        assert ["bare"] == self.lines([b"NOOP\n"])

    def test_a_bare_cr_does_not_end_a_line(self):
        assert [b"a\rb"] == self.lines([b"a\rb\r\n"])

    def test_a_line_of_the_limit_is_accepted_and_one_more_octet_is_too_long(self):
        assert [b"a" * 62] == self.lines([b"a" * 62 + b"\r\n"])
        assert ["too long"] == self.lines([b"a" * 63 + b"\r\n"])

    def test_a_line_that_cannot_end_within_the_limit_is_too_long_before_it_ends(self):
        assert [] == self.lines([b"a" * 63])
        assert ["too long"] == self.lines([b"a" * 64])

    def test_what_is_skipped_is_limited_as_well(self):
        assert ["bare", "too long"] == self.lines([b"\n" + b"a" * 64])

    @given(AWKWARD, st.lists(st.integers(min_value=0), max_size=8))
    def test_the_lines_are_the_same_however_the_octets_are_cut(self, data, positions):
        assert self.lines([data], 16) == self.lines(cut(data, positions), 16)

    @given(AWKWARD)
    def test_they_are_the_same_one_octet_at_a_time(self, data):
        assert self.lines([data], 16) == self.lines([data[i : i + 1] for i in range(len(data))], 16)

    def test_take_gives_what_no_line_has_used(self):
        buffer = LineBuffer(64)
        buffer.append(b"a\r\nbc")
        buffer.next_line()

        assert b"bc" == buffer.take()
        assert b"" == buffer.take()

    def test_take_some_gives_no_more_than_is_asked_for_and_leaves_the_rest(self):
        buffer = LineBuffer(64)
        buffer.append(b"a\r\nbcd")
        buffer.next_line()

        assert [b"b", b"cd", b""] == [buffer.take_some(1), buffer.take_some(5), buffer.take_some(5)]
        assert buffer.is_used_up

    def test_a_long_line_may_have_its_own_limit(self):
        buffer = LineBuffer(8)
        buffer.append(b"a" * 20 + b"\r\n" + b"b" * 20)

        buffer.limit_bytes = 22

        assert b"a" * 20 == buffer.next_line()
        with pytest.raises(LineTooLong):
            buffer.next_line()

    def test_what_is_next_is_found_in_any_case(self):
        buffer = LineBuffer(8)
        buffer.append(b"auth x")

        assert buffer.starts_with(b"AUTH ")
        assert not buffer.starts_with(b"AUTH X Y")

    def test_normalized_a_bare_lf_ends_a_line_and_a_bare_cr_does_not(self):
        buffer = LineBuffer(64, normalizes=True)
        buffer.append(b"a\nb\r\n\nc\rd\n")

        assert [b"a", b"b", b"", b"c\rd", None] == [buffer.next_line() for _ in range(5)]
