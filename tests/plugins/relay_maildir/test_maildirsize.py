"""The file maildirsize: read and written as Maildir++ describes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_relay_maildir.maildirsize import (
    MAX_BYTES,
    Limits,
    Record,
    Usage,
    is_counted,
    parse,
    render,
    render_change,
    size_in,
)

amounts = st.integers(0, 10**15)


def used(size_bytes: int, messages: int) -> Usage:
    return Usage(size_bytes=size_bytes, messages=messages)


class TestLimits:
    @pytest.mark.parametrize(
        ("limits", "usage", "expected"),
        [
            (Limits(), used(10**15, 10**9), True),
            (Limits(size_bytes=100), used(100, 10**9), True),
            (Limits(size_bytes=100), used(101, 1), False),
            (Limits(messages=2), used(10**15, 2), True),
            (Limits(messages=2), used(1, 3), False),
            (Limits(size_bytes=100, messages=2), used(100, 3), False),
        ],
    )
    def test_limit_itself_is_still_within(self, limits: Limits, usage: Usage, expected: bool) -> None:
        assert expected == limits.hold(usage)


class TestParse:
    @pytest.mark.parametrize(
        "data",
        [
            b"1000S,10C\n300 3\n",
            b"1000S,10C\n100 1\n300 3\n-100 -1\n",
            b"10C,1000S\n300 3\n",
            b"1000S,10C,7X\n300 3\n",
            b"1000S,10C\n         300            3\n",
            b"1000S,10C\n300 3\n5000 1",
        ],
    )
    def test_lines_are_added_up(self, data: bytes) -> None:
        """Courier pads its lines; unknown kinds of limits are ignored; the last line is not whole yet."""
        record = parse(data)

        assert record is not None
        assert (Limits(size_bytes=1000, messages=10), used(300, 3)) == (record.limits, record.usage)

    def test_number_of_lines_is_told(self) -> None:
        assert Record(limits=Limits(size_bytes=9), usage=used(2, 2), lines=2) == parse(b"9S\n1 1\n1 1\n")

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\n",
            b"1000S",
            b"1000S\n",
            b"1000S\n300",
            b"300 3\n",
            b"nonsense\n300 3\n",
            b"1000S\n300\n",
            b"1000S\n300 3 3\n",
            b"1000S\n300 x\n",
            b"1000S\n300 3\n\x00\x00\n",
            b"1000S\n\n300 3\n",
            b"1000S\n300 3\n-400 -1\n",
            b"1000S\n300 3\n0 -4\n",
            b"1000S\n" + b"9" * 19 + b" 1\n",
            b"1000S\n" + b"1 1\n" * MAX_BYTES,
        ],
    )
    def test_what_cannot_be_trusted_must_be_counted_anew(self, data: bytes) -> None:
        assert parse(data) is None

    @given(data=st.one_of(st.binary(max_size=200), st.text("0123456789SC, -\n", max_size=60).map(str.encode)))
    def test_any_content_gives_a_sane_record_or_none(self, data: bytes) -> None:
        record = parse(data)

        assert record is None or min(record.usage.size_bytes, record.usage.messages, record.lines - 1) >= 0


class TestRender:
    @pytest.mark.parametrize(
        ("limits", "first"),
        [
            (Limits(size_bytes=1000, messages=10), b"1000S,10C"),
            (Limits(size_bytes=1000), b"1000S"),
            (Limits(messages=10), b"10C"),
        ],
    )
    def test_file_is_the_quota_and_the_sum(self, limits: Limits, first: bytes) -> None:
        assert first + b"\n300 3\n" == render(limits, used(300, 3))

    def test_change_is_one_line(self) -> None:
        assert b"2840 1\n" == render_change(used(2840, 1))

    @given(st.builds(Limits, size_bytes=amounts, messages=st.integers(1, 10**9)), st.lists(st.tuples(amounts, amounts)))
    def test_what_is_written_is_read_again(self, limits: Limits, changes: list[tuple[int, int]]) -> None:
        total = used(0, 0)
        data = render(limits, total)
        for change in changes:
            total += used(*change)
            data += render_change(used(*change))

        assert Record(limits=limits, usage=total, lines=len(changes) + 1) == parse(data)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("1.M2P3.host,S=2840", 2840),
            ("1.M2P3.host,S=2840,W=2900:2,S", 2840),
            ("1.M2P3.host,W=2900,S=2840:2,", 2840),
            ("1.M2P3.host", None),
            ("1.M2P3.host,S=", None),
            ("1.M2P3.host,S=28x", None),
            ("1.M2P3.host:2,S", None),
        ],
    )
    def test_size_is_read_from_the_name(self, name: str, expected: int | None) -> None:
        assert expected == size_in(name)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("1.M2P3.host", True),
            ("1.M2P3.host:2,RS", True),
            ("1.M2P3.host,S=5:2,ST", False),
            ("1.M2P3.hosT", True),
            (".hidden", False),
        ],
    )
    def test_message_that_is_marked_as_deleted_does_not_count(self, name: str, expected: bool) -> None:
        assert expected == is_counted(name)
