"""Runs tests/dialogue/*.txt against sessions in memory: each read whole and one octet at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdacore.testing import run_dialogue

DIALOGUES = sorted((Path(__file__).parents[2] / "dialogue").glob("*.txt"))


@pytest.mark.parametrize("piece_bytes", [0, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogue(path, piece_bytes, make_wire, handoff):
    wire = make_wire(max_message_size_bytes=10_000)

    run_dialogue(path, wire.peer(), handoff=handoff, piece_bytes=piece_bytes)


def test_there_are_dialogues():
    assert len(DIALOGUES) >= 5
