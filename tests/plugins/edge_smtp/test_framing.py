"""Where lines and messages end, whatever the pieces: against a reference that goes octet by octet."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_edge_smtp.protocol.framing import BareLineFeed, DataReader, LineBuffer, LineTooLong

# Octets in which every end that is almost one comes up often.
AWKWARD = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"x", b"\0", b"\x85"])).map(
    b"".join
)


def reference(data: bytes) -> tuple[bytes, bool, bytes, bool]:
    """What RFC 5321 §4.5.2 says, line by line: the octets, whether they end, what is left, whether all is CRLF."""
    lines = data.split(b"\r\n")
    whole, partial = lines[:-1], lines[-1]
    if b"." not in whole:
        return b"", False, b"", False
    end = whole.index(b".")
    message = whole[:end]
    rest = b"\r\n".join([*whole[end + 1 :], partial])
    is_clean = not any(b"\r" in line or b"\n" in line for line in message)
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in message), True, rest, is_clean


def cut(data: bytes, positions: list[int]) -> list[bytes]:
    bounds = [0, *sorted({position % (len(data) + 1) for position in positions}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds) if start < end]


def read(pieces: list[bytes], max_size_bytes: int = 1 << 20) -> tuple[DataReader, bytes, bytes]:
    """The reader after these pieces, what it gave, and what it left."""
    reader = DataReader(max_size_bytes)
    octets, rest = b"", b""
    for piece in pieces:
        if reader.is_ended:
            rest += piece
        else:
            octets += reader.feed(piece)
    return reader, octets, reader.rest + rest


class TestDataReader:
    @given(AWKWARD, st.lists(st.integers(min_value=0), max_size=8))
    def test_it_agrees_with_the_reference_however_the_octets_are_cut(self, data, positions):
        octets, is_ended, rest, is_clean = reference(data)

        reader, got, left = read(cut(data, positions))

        assert is_ended == reader.is_ended
        if is_ended:
            assert rest == left
            assert is_clean is not reader.has_bare_line_end
            if is_clean:
                assert octets == got
                assert len(octets) == reader.size_bytes

    @given(AWKWARD)
    def test_one_octet_at_a_time_is_the_same_as_all_at_once(self, data):
        whole, at_once, rest_of_whole = read([data])
        bytewise, one_by_one, rest_of_bytewise = read([data[i : i + 1] for i in range(len(data))])

        assert whole.is_ended == bytewise.is_ended
        if whole.is_ended:
            assert rest_of_whole == rest_of_bytewise
            assert whole.has_bare_line_end == bytewise.has_bare_line_end
            if not whole.has_bare_line_end:
                assert at_once == one_by_one

    @given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\r", b"").replace(b"\n", b""))))
    def test_a_message_that_was_stuffed_comes_out_as_it_was(self, lines):
        message = b"".join(line + b"\r\n" for line in lines)
        stuffed = b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines)

        reader, octets, rest = read([stuffed + b".\r\n" + b"QUIT\r\n"])

        assert reader.is_ended
        assert not reader.has_bare_line_end
        assert message == octets
        assert b"QUIT\r\n" == rest

    def test_a_dot_alone_at_once_is_an_empty_message(self):
        """Case 5: the CRLF of DATA counts as the one before it."""
        reader, octets, _ = read([b".\r\n"])

        assert reader.is_ended
        assert b"" == octets
        assert 0 == reader.size_bytes

    def test_a_dot_in_the_middle_of_a_line_is_only_a_dot(self):
        assert b"a.\r\nb\r\n" == read([b"a.\r\nb\r\n.\r\n"])[1]

    def test_it_holds_no_more_than_the_beginning_of_an_end(self):
        reader = DataReader(1 << 20)

        given_out = b"".join(reader.feed(b"x" * 1000) for _ in range(100))

        assert 100_000 == len(given_out)
        assert b"" == reader._held

    @given(AWKWARD, st.integers(min_value=0, max_value=6))
    def test_a_message_is_too_big_exactly_if_its_octets_are_more_than_the_limit(self, data, limit):
        octets, is_ended, rest, is_clean = reference(data)

        reader, got, left = read([data[i : i + 1] for i in range(len(data))], limit)

        if is_ended and is_clean:
            assert (len(octets) > limit) is reader.is_too_big
            assert max(0, len(octets) - limit) == reader.excess_bytes
            assert rest == left
            assert len(got) <= limit

    def test_nothing_comes_out_once_it_is_too_big(self):
        reader = DataReader(10)

        assert b"" == reader.feed(b"x" * 11)
        assert b"" == reader.feed(b"y" * 11)


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
