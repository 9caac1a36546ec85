"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore.words import parse_seconds, parse_size


class TestParseSeconds:
    @pytest.mark.parametrize(
        ("text", "expected_s"),
        [("500ms", 0.5), ("90s", 90), ("5m", 300), ("2h", 7200), ("5d", 432_000), ("1w", 604_800), ("1.5h", 5400),
         (" 5 m ", 300), ("0s", 0)],
    )  # fmt: skip
    def test_number_with_a_unit(self, text: str, expected_s: float) -> None:
        assert expected_s == pytest.approx(parse_seconds(text))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "s",
            "5",
            "5x",
            "5M",
            "-5m",
            "5  m",
            "1e3s",
            "1_0s",
            ".5s",
            "5.s",
            "٣s",
            "inf s",
            "nan",
            "5m5s",
            "9" * 400 + "s",
        ],
    )
    def test_what_is_no_duration_is_refused_with_a_sentence(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a duration like"):
            parse_seconds(text)


class TestParseSize:
    @pytest.mark.parametrize(
        ("text", "expected_bytes"),
        [("10B", 10), ("1KB", 1000), ("1KiB", 1024), ("25MB", 25_000_000), ("1GiB", 2**30), ("1.5KB", 1500),
         ("2kib", 2048), ("3 mb", 3_000_000)],
    )  # fmt: skip
    def test_number_with_a_unit(self, text: str, expected_bytes: int) -> None:
        assert expected_bytes == parse_size(text)

    @pytest.mark.parametrize("text", ["", "10", "MB", "10M", "-1KB", "1KBB", "٣KB", "9" * 400 + "GB"])
    def test_what_is_no_size_is_refused_with_a_sentence(self, text: str) -> None:
        """The long one would be an OverflowError, which nobody expects from a configuration."""
        with pytest.raises(ValueError, match="is not a size like"):
            parse_size(text)

    @given(st.integers(0, 10**15 - 1))
    def test_bytes_are_exact(self, size_bytes: int) -> None:
        assert size_bytes == parse_size(f"{size_bytes}B")
