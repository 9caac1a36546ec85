"""QueueIds: fixed-length text for a number and a branch, and nothing else."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_storage_disk.ids import ALPHABET, BRANCH_CHARS, MAX_BRANCHES, NUMBER_CHARS, QueueIds

IDS = QueueIds.of_store(uuid.UUID(int=0x12345678 << 96))
OTHERS = QueueIds.of_store(uuid.UUID(int=0x87654321 << 96))
NUMBERS = st.integers(0, 32**NUMBER_CHARS - 1)
BRANCHES = st.integers(0, MAX_BRANCHES - 1)


class TestIdOf:
    @given(NUMBERS, BRANCHES)
    def test_split_gives_back_what_it_was_made_of(self, number, branch):
        assert (number, branch) == IDS.split(IDS.id_of(number, branch))

    @given(NUMBERS, BRANCHES)
    def test_it_is_what_the_contract_wants(self, number, branch):
        assert re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{9,63}", IDS.id_of(number, branch))

    @given(st.tuples(NUMBERS, BRANCHES), st.tuples(NUMBERS, BRANCHES))
    def test_text_is_sorted_as_the_numbers_are(self, first, second):
        assert (first < second) == (IDS.id_of(*first) < IDS.id_of(*second))

    def test_a_notice_begins_as_its_original_does(self):
        assert IDS.id_of(77, 0)[:-BRANCH_CHARS] == IDS.id_of(77, 1)[:-BRANCH_CHARS]


class TestSplit:
    """Case 72."""

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "../../etc/passwd",
            "--help-me-please-",
            "x" * 300,
            IDS.id_of(1, 0) + "\n",
            IDS.id_of(1, 0).upper() if IDS.id_of(1, 0).upper() != IDS.id_of(1, 0) else "U" * 17,
            IDS.id_of(1, 0)[:-1],
            IDS.id_of(1, 0)[:-1] + "\0",
            IDS.id_of(1, 0)[:-1] + "/",
            IDS.id_of(1, 0)[:-1] + "u",
            OTHERS.id_of(1, 0),
        ],
    )
    def test_case_072_other_text_is_no_id(self, text):
        assert IDS.split(text) is None

    def test_case_072_no_two_letters_differ_in_case_only(self):
        assert 32 == len(set(ALPHABET.lower()))
