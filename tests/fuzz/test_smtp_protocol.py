"""The fuzz target holds on its corpus, and on some thousand mutants of it that are the same each time."""

from __future__ import annotations

import os
from random import Random

import pytest

from ..plugins.edge_smtp.reference import Asked
from . import smtp_protocol as target

SEEDS = sorted(target.CORPUS.iterdir())
MUTANTS = int(os.environ.get("MDACORE_FUZZ_MUTANTS", "16000"))
BLOCKS = 4


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.name)
def test_the_protocol_does_with_a_seed_as_the_reference_does(seed):
    """What was once found stays here as a seed."""
    target.check(seed.read_bytes())


@pytest.mark.parametrize("block", range(BLOCKS))
def test_the_protocol_does_with_mutants_as_the_reference_does(block):
    for number, octets in enumerate(target.inputs(MUTANTS // BLOCKS, Random(block))):
        try:
            target.check(octets)
        except Exception as error:
            error.add_note(f"mutant {number} of block {block}: {octets!r}")
            raise


def test_an_input_that_is_too_short_is_a_scenario_all_the_same():
    for length in range(target.HEAD_BYTES + 1):
        target.check(b"0" * length)


def test_the_seeds_reach_every_kind_of_question():
    kinds = {item.kind for path in SEEDS for item in target.observe(target.scenario_of(path.read_bytes())).items
             if isinstance(item, Asked)}  # fmt: skip

    assert {*target.KINDS, "MessageRefused"} == {"", *kinds}
