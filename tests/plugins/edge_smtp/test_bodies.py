"""Where messages end and what comes out of them, whatever the pieces: against a reference that goes line by line."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from mdacore_edge_smtp.protocol.bodies import ChunkReader, DataReader

# Octets in which every end that is almost one comes up often.
AWKWARD = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"x", b"\0", b"\x85"])).map(
    b"".join
)
CUTS = st.lists(st.integers(min_value=0), max_size=8)


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
    @given(AWKWARD, CUTS)
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

    @given(AWKWARD, CUTS)
    def test_normalized_only_crlf_comes_out_and_the_end_is_the_same(self, data, positions):
        octets, is_ended, rest, _ = reference(data)
        reader = DataReader(1 << 20, normalizes=True)

        got, left = b"", b""
        for piece in cut(data, positions):
            if reader.is_ended:
                left += piece
            else:
                got += reader.feed(piece)

        assert is_ended == reader.is_ended
        if is_ended:
            assert rest == reader.rest + left
            assert re.sub(rb"\r\n|\r|\n", b"\r\n", octets) == got
            assert not reader.has_bare_line_end


class TestChunkReader:
    def read(self, pieces: list[bytes], **more) -> tuple[ChunkReader, bytes]:
        reader = ChunkReader(1 << 20, **more)
        return reader, b"".join(map(reader.feed, pieces)) + reader.finish()

    @given(AWKWARD, CUTS)
    def test_octets_come_out_as_they_are_or_a_bare_line_end_is_seen(self, data, positions):
        reader, got = self.read(cut(data, positions))

        is_clean = not re.search(rb"\r(?!\n)|(?<!\r)\n", data)
        assert is_clean is not reader.has_bare_line_end
        if is_clean:
            assert data == got
            assert len(data) == reader.size_bytes

    @given(AWKWARD, CUTS)
    def test_normalized_only_crlf_comes_out(self, data, positions):
        reader, got = self.read(cut(data, positions), normalizes=True)

        assert re.sub(rb"\r\n|\r|\n", b"\r\n", data) == got
        assert len(got) == reader.size_bytes

    def test_nothing_comes_out_once_it_is_too_big(self):
        reader = ChunkReader(10)

        assert b"x" * 10 == reader.feed(b"x" * 10)
        assert b"" == reader.feed(b"y")
        assert reader.is_too_big
        assert 1 == reader.excess_bytes

    def test_to_finish_twice_gives_nothing_more(self):
        reader = ChunkReader(10, normalizes=True)
        reader.feed(b"\r")

        assert [b"\r\n", b""] == [reader.finish(), reader.finish()]
