"""Content: header edits on a body that is never written again, against a reference that splits lines naively."""

from __future__ import annotations

import email
import email.policy
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore.words import Content, FileBody, MemoryBody, PrependField, RemoveFields, with_lf
from mdacore.words.content import CHUNK_SIZE_BYTES, HeaderEdit

NAMES = [b"Subject", b"subject", b"To", b"X-A", b"X-A-B", b"Received"]
LINES = st.sampled_from(
    [
        b"Subject: hello",
        b"SUBJECT:loud",
        b"sub",
        b"Subject : obsolete",
        b"To:",
        b"X-A: 1",
        b"x-a-b:\t2: Subject: no",
        b"Received: from a",
        b"\tSubject: folded",
        b" ",
        b"",
        b"From me@example.com Wed Nov 15 06:13:20 2023",
        b">From quoted",
        b"Subject hello",
        b": no name",
        b"na\xc3\xafve: 8-bit name",
        b"X-A: 8-bit \xff\x00 value",
        b".",
    ]
)
FIELDS = st.sampled_from([b"Subject: new\r\n", b"X-A: new\r\n\tfolded\r\n", b"Date: today\r\n"])
EDITS: st.SearchStrategy[list[HeaderEdit]] = st.lists(
    st.one_of(
        FIELDS.map(PrependField),
        st.sampled_from(NAMES).map(RemoveFields),
        st.builds(RemoveFields, st.sampled_from(NAMES), st.sets(st.integers(0, 3), min_size=1).map(sorted)),
    ),
    max_size=5,
)
MESSAGES = st.builds(
    lambda lines, has_end: b"\r\n".join(lines) + (b"\r\n" if has_end else b""),
    st.lists(LINES, max_size=8),
    st.booleans(),
)


class PiecesBody:
    """A body in small pieces, whatever size is asked for, so that every line end comes to lie across two of them."""

    def __init__(self, data: bytes, piece_bytes: int) -> None:
        self._body = MemoryBody(data)
        self._piece_bytes = piece_bytes
        self.size_bytes = len(data)

    def chunks(self, size_bytes: int = CHUNK_SIZE_BYTES) -> Iterator[bytes]:
        return self._body.chunks(self._piece_bytes)


def whole(content: Content) -> bytes:
    return b"".join(content.chunks())


def split_message(message: bytes) -> tuple[list[bytes], bytes]:
    """The reference: the fields, each with its folded lines, and the rest. A `From ` line on top counts as a field."""
    lines = [line + b"\r\n" for line in message.split(b"\r\n")]
    lines[-1] = lines[-1].removesuffix(b"\r\n")
    blocks: list[bytes] = []
    while lines and lines[0]:
        line = lines[0]
        is_from_line = not blocks and line.startswith((b"From ", b">From ")) and line.endswith(b"\r\n")
        is_folded = bool(blocks) and line[:1] in (b" ", b"\t")
        if is_folded:
            blocks[-1] += line
        elif is_from_line or name_of(line):
            blocks.append(line)
        else:
            break
        lines.pop(0)
    return blocks, b"".join(lines)


def name_of(block: bytes) -> bytes:
    """The field's name in lower case; empty if this is none."""
    name, colon, _ = block.partition(b":")
    name = name.rstrip(b" \t")
    is_name = bool(colon) and all(33 <= octet <= 126 for octet in name)
    return name.lower() if is_name else b""


def edited(message: bytes, edits: Sequence[HeaderEdit]) -> bytes:
    """The reference for edits."""
    blocks, rest = split_message(message)
    starts_with_body = not blocks and rest[:2] not in (b"", b"\r\n")
    for edit in edits:
        if isinstance(edit, PrependField):
            blocks.insert(0, edit.field)
        else:
            named = [block for block in range(len(blocks)) if name_of(blocks[block]) == edit.name]
            gone = named if edit.at is None else [block for place, block in enumerate(named) if place in edit.at]
            blocks = [block for number, block in enumerate(blocks) if number not in gone]
    return b"".join(blocks) + (b"\r\n" if starts_with_body and blocks else b"") + rest


class TestBody:
    @given(data=st.binary(max_size=40), piece_bytes=st.integers(1, 50))
    def test_pieces_in_memory_are_full_but_for_the_last(self, data: bytes, piece_bytes: int) -> None:
        pieces = list(MemoryBody(data).chunks(piece_bytes))

        assert data == b"".join(pieces)
        assert all(len(piece) == piece_bytes for piece in pieces[:-1])

    def test_file_gives_its_octets_in_pieces(self, tmp_path: Path) -> None:
        path = tmp_path / "body"
        path.write_bytes(b"abcdefg")

        assert [b"abc", b"def", b"g"] == list(FileBody(path, 7).chunks(3))

    @pytest.mark.parametrize("written", [b"", b"half a mess", b"more than the whole message"])
    def test_file_that_has_changed_its_length_is_an_error_at_its_end(self, tmp_path: Path, written: bytes) -> None:
        """A relay that reads to the end never takes half a message for a whole one."""
        path = tmp_path / "body"
        path.write_bytes(written)

        with pytest.raises(OSError, match="lacks"):
            list(FileBody(path, len(b"a whole message")).chunks())

    def test_repr_shows_no_content(self) -> None:
        assert "secret" not in repr(MemoryBody(b"secret"))


class TestEdits:
    @given(message=MESSAGES, edits=EDITS)
    def test_any_message_with_any_edits_equals_the_reference(self, message: bytes, edits: list[HeaderEdit]) -> None:
        content = Content(MemoryBody(message), tuple(edits))

        assert edited(message, edits) == whole(content)
        assert len(whole(content)) == content.size_bytes

    @given(message=MESSAGES, edits=EDITS, piece_bytes=st.integers(6, 20))
    def test_header_in_pieces_equals_the_header_at_once(
        self, message: bytes, edits: list[HeaderEdit], piece_bytes: int
    ) -> None:
        message = b"A: b\r\n" + message

        content = Content(PiecesBody(message, piece_bytes), tuple(edits))

        assert edited(message, edits) == whole(content)

    @given(message=MESSAGES, edits=EDITS)
    def test_no_piece_is_empty_once_there_are_edits(self, message: bytes, edits: list[HeaderEdit]) -> None:
        """An empty piece would end a chunked transfer early."""
        pieces = list(Content(MemoryBody(message), (PrependField(b"X: y\r\n"), *edits)).chunks())

        assert all(pieces)

    def test_without_edits_the_bytes_that_came_in_come_out(self) -> None:
        message = b"\x00\xff any\r\nthing \x0b\r\n" * 10_000

        assert message == whole(Content(MemoryBody(message)))

    def test_edits_make_a_copy(self) -> None:
        content = Content(MemoryBody(b"A: 1\r\n\r\n"))

        content.prepend(b"B: 2\r\n").remove(b"a")

        assert Content(MemoryBody(b"A: 1\r\n\r\n")) == content

    def test_last_prepended_field_is_on_top(self) -> None:
        content = Content(MemoryBody(b"\r\nbody")).prepend(b"A: 1\r\n").prepend(b"B: 2\r\n")

        assert b"B: 2\r\nA: 1\r\n\r\nbody" == whole(content)

    def test_removal_at_places_leaves_the_others_of_that_name(self) -> None:
        content = Content(MemoryBody(b"A: 0\r\nB: 0\r\na : 1\r\n 1\r\nA: 2\r\n\r\nA: 3\r\n")).remove(b"a", at=(0, 1, 3))

        assert b"B: 0\r\nA: 2\r\n\r\nA: 3\r\n" == whole(content)

    def test_places_are_those_of_fields_when_it_is_made(self) -> None:
        content = Content(MemoryBody(b"A: old\r\nA: older\r\n\r\n")).prepend(b"A: new\r\n").remove(b"A", at=[1])

        assert [b" new\r\n", b" older\r\n"] == content.prepend(b"B: 1\r\n").fields(b"A")

    @pytest.mark.parametrize("at", [(), (-1,), (1, 0), (2, 2), ("0",), (0, 1.5)])
    def test_what_are_no_places_cannot_be_removed(self, at: Sequence[int]) -> None:
        with pytest.raises(ValueError, match=r"not places|not in rising order"):
            Content(MemoryBody(b"")).remove(b"A", at=at)

    def test_removal_takes_only_what_stands_there_when_it_is_made(self) -> None:
        content = Content(MemoryBody(b"A: old\r\n\r\n")).remove(b"A").prepend(b"A: new\r\n")

        assert b"A: new\r\n\r\n" == whole(content)

    @pytest.mark.parametrize(
        "field",
        [
            b"",
            b"A: b",
            b"A: b\r\n\r\n",
            b"A: b\r\nC: d\r\n",
            b"A: b\r\nbody\r\n",
            b"A b: c\r\n",
            b": b\r\n",
            b"A: b\nC: d\r\n",
        ],
    )
    def test_what_is_not_one_field_cannot_be_prepended(self, field: bytes) -> None:
        with pytest.raises(ValueError, match="not one header field"):
            Content(MemoryBody(b"")).prepend(field)

    @pytest.mark.parametrize("name", [b"", b"A:", b"A b", b"A\r\n", b"\xe4"])
    def test_what_is_no_name_cannot_be_removed(self, name: bytes) -> None:
        with pytest.raises(ValueError, match="not a header field name"):
            Content(MemoryBody(b"")).remove(name)


class TestMessagesWithoutHeader:
    """Case 54: what was received stays byte for byte, and new fields do not run into it."""

    @pytest.mark.parametrize(
        ("received", "expected"),
        [
            pytest.param(b"", b"A: 1\r\n", id="empty message"),
            pytest.param(b"\r\n", b"A: 1\r\n\r\n", id="only the empty line"),
            pytest.param(b"\r\n\r\n\r\n", b"A: 1\r\n\r\n\r\n\r\n", id="only line ends"),
            pytest.param(b"\r\nbody\r\n", b"A: 1\r\n\r\nbody\r\n", id="empty header"),
            pytest.param(b"body\r\n", b"A: 1\r\n\r\nbody\r\n", id="first line is body"),
            pytest.param(b"body", b"A: 1\r\n\r\nbody", id="first line is body and not ended"),
            pytest.param(b" x\r\n", b"A: 1\r\n\r\n x\r\n", id="first line would continue our field"),
            pytest.param(b"\r", b"A: 1\r\n\r\n\r", id="half a line end"),
            pytest.param(b"B: 2", b"A: 1\r\nB: 2", id="a field and nothing after it"),
            pytest.param(b"B: 2\r\nbody\r\n", b"A: 1\r\nB: 2\r\nbody\r\n", id="no empty line after the header"),
            pytest.param(b"From x y\r\nB: 2\r\n\r\n", b"A: 1\r\nFrom x y\r\nB: 2\r\n\r\n", id="mbox line on top"),
        ],
    )
    def test_case_054_prepended_field_is_not_glued_to_the_body(self, received: bytes, expected: bytes) -> None:
        content = Content(MemoryBody(received)).prepend(b"A: 1\r\n")

        assert expected == whole(content)
        assert whole(content).endswith(received)

    @given(message=MESSAGES)
    def test_case_054_what_was_received_is_the_end_of_what_comes_out(self, message: bytes) -> None:
        assert whole(Content(MemoryBody(message)).prepend(b"A: 1\r\n")).endswith(message)

    def test_removal_from_a_message_without_header_adds_nothing(self) -> None:
        assert b"body\r\n" == whole(Content(MemoryBody(b"body\r\n")).remove(b"A"))

    def test_field_that_is_added_and_removed_again_leaves_no_empty_line(self) -> None:
        assert b"body\r\n" == whole(Content(MemoryBody(b"body\r\n")).prepend(b"A: 1\r\n").remove(b"A"))


class TestFields:
    @given(message=MESSAGES, name=st.sampled_from(NAMES))
    def test_any_name_in_any_message_equals_the_reference(self, message: bytes, name: bytes) -> None:
        blocks, _ = split_message(message)

        found = Content(MemoryBody(message)).fields(name)

        assert [block.partition(b":")[2] for block in blocks if name_of(block) == name.lower()] == found

    @given(
        fields=st.lists(
            st.tuples(st.sampled_from([b"To", b"TO", b"X-To", b"Cc"]), st.sampled_from([b"a", b"b\r\n\tTo: c"]))
        )
    )
    def test_python_email_finds_the_same_fields(self, fields: list[tuple[bytes, bytes]]) -> None:
        message = b"".join(b"%s: %s\r\n" % field for field in fields) + b"\r\nTo: body\r\n"

        parsed = email.message_from_bytes(message, policy=email.policy.compat32)

        expected = [value.replace("\r\n", "").strip() for value in parsed.get_all("to", [])]
        found = Content(MemoryBody(message)).fields(b"To")
        assert expected == [value.replace(b"\r\n", b"").strip().decode() for value in found]

    def test_values_stand_as_they_are(self) -> None:
        content = Content(MemoryBody(b"A:  1 \r\n\t2\r\nB: 3\r\na :4\r\n\r\nA: 5\r\n"))

        assert [b"  1 \r\n\t2\r\n", b"4\r\n"] == content.fields(b"A")

    def test_edits_count(self) -> None:
        content = Content(MemoryBody(b"A: 1\r\nB: 2\r\n\r\n")).remove(b"b").prepend(b"A: 0\r\n")

        assert [b" 0\r\n", b" 1\r\n"] == content.fields(b"a")
        assert [] == content.fields(b"B")

    @pytest.mark.parametrize(
        "message",
        [
            b"B: 1\r\n\r\nDate: x\r\n",
            b"body\r\nDate: x\r\n\r\n",
            b"\r\nDate: x\r\n",
            b"B: 1\r\n Date: x\r\n\r\n",
            b"X-Date: x\r\n\r\n",
        ],
    )
    def test_what_only_looks_like_the_field_does_not_count(self, message: bytes) -> None:
        assert [] == Content(MemoryBody(message)).fields(b"Date")

    @pytest.mark.parametrize("offset", range(-4, 5))
    def test_file_whose_header_ends_near_a_piece_s_end(self, tmp_path: Path, offset: int) -> None:
        head = b"A: ".ljust(CHUNK_SIZE_BYTES + offset - 4, b"x") + b"\r\n"
        path = tmp_path / "body"
        path.write_bytes(head + b"B: 2\r\n\r\nB: body\r\n")

        content = Content(FileBody(path, path.stat().st_size))

        assert head + b"B: 2\r\n" == content.header
        assert [b" 2\r\n"] == content.fields(b"B")

    def test_long_body_without_a_line_end_is_not_read_to_find_a_header(self, tmp_path: Path) -> None:
        path = tmp_path / "body"
        path.write_bytes(b"x" * CHUNK_SIZE_BYTES)

        assert b"" == Content(FileBody(path, 10 * CHUNK_SIZE_BYTES)).header


class TestHeaderBombs:
    @pytest.mark.parametrize(
        "unit",
        [
            b"A: b\r\n",
            b"A: b\r\n" + b" c\r\n" * 10,
            b"A:" + b"b" * 999_000 + b"\r\n",
            b"A" * 60_000 + b" :\r\n",
            b"A :" + b"\t" * 9_000,
        ],
    )
    def test_case_053_time_for_a_header_is_linear_in_its_size(self, unit: bytes) -> None:
        """Twice the size takes at most about twice the time; a generous factor keeps a busy machine out of it."""

        def cpu_s(size_bytes: int) -> float:
            content = Content(MemoryBody(unit * (size_bytes // len(unit)))).remove(b"B")
            before_s = time.thread_time()
            for _ in content.chunks():
                pass
            content.fields(b"A")
            return time.thread_time() - before_s

        small_s = min(cpu_s(1_000_000) for _ in range(3))
        large_s = min(cpu_s(4_000_000) for _ in range(3))

        assert large_s < 4 * 3 * small_s + 0.05
        assert large_s < 4 * 2.0


class TestWithLf:
    @given(data=st.text("\r\nab", max_size=30).map(str.encode), cuts=st.lists(st.integers(0, 30), max_size=6))
    def test_any_cuts_give_what_one_piece_gives(self, data: bytes, cuts: list[int]) -> None:
        edges = [0, *sorted(cuts), len(data)]
        pieces = [data[start:end] for start, end in pairwise(edges)]

        assert data.replace(b"\r\n", b"\n") == b"".join(with_lf(pieces))

    @given(data=st.text("\r\nab", max_size=30).map(str.encode))
    def test_one_byte_at_a_time_gives_what_one_piece_gives(self, data: bytes) -> None:
        pieces = [data[index : index + 1] for index in range(len(data))]

        assert data.replace(b"\r\n", b"\n") == b"".join(with_lf(pieces))
