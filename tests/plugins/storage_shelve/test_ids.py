"""QueueIds: numbers as text, and nothing else as a number."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_storage_shelve.ids import MAX_NUMBER, QueueIds

QUEUE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{9,63}")
IDS = QueueIds.of_store(uuid.UUID("0123456789abcdef0123456789abcdef"))
numbers = st.integers(0, MAX_NUMBER)


class TestEncode:
    @given(numbers)
    def test_every_number_comes_back(self, number):
        assert number == IDS.decode(IDS.encode(number))

    @given(numbers, numbers)
    def test_case_072_ids_are_of_one_length_in_one_case_and_sorted_as_their_numbers(self, one, other):
        first, second = IDS.encode(one), IDS.encode(other)

        assert QUEUE_ID.fullmatch(first)
        assert len(first) == len(second)
        assert first == first.lower()
        assert (one < other) == (first < second)


class TestDecode:
    @given(st.text())
    def test_case_072_any_other_text_is_no_id(self, text):
        assert IDS.decode(text) is None or IDS.encode(IDS.decode(text)) == text

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text + "\n",
            lambda text: text.upper(),
            lambda text: text[:-1],
            lambda text: text + "0",
            lambda text: "../../" + text[6:],
            lambda text: text[:-1] + "u",
            lambda text: text[:-1] + "\0",
            lambda text: text[:-1] + "٣",
            lambda text: "--help" + text[6:],
            lambda text: text * 25,
            lambda _: "",
        ],
    )
    def test_case_072_another_spelling_is_no_id(self, change):
        assert IDS.decode(change(IDS.encode(123456789))) is None

    def test_case_072_another_stores_id_is_no_id(self):
        other = QueueIds.of_store(uuid.UUID("f123456789abcdef0123456789abcdef"))

        assert IDS.decode(other.encode(1)) is None
