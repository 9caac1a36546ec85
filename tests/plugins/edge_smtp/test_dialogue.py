"""Runs tests/dialogue/*.txt: whole conversations as text, each read whole and one octet at a time.

``C:`` is a line of the client, CRLF is added; ``C~`` octets as they are, with Python's escapes. ``S:`` is a line of the
server, in which ``*`` stands for anything; ``S!`` says that the server has closed. ``M:`` is a message handed off,
``sender -> recipient, recipient``. ``#`` begins a comment. Lines of the client that follow each other go out together.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path

import pytest

DIALOGUES = sorted((Path(__file__).parents[2] / "dialogue").glob("*.txt"))


def steps(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Consecutive lines of one speaker: ``("C", [("C:", "NOOP"), ...])``."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for speaker, group in groupby(lines, key=lambda line: line[0]):
        yield speaker, [(line[:2], line[2:].removeprefix(" ")) for line in group]


def octets(mark: str, text: str) -> bytes:
    if mark == "C:":
        return text.encode() + b"\r\n"
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")


def is_as_expected(expected: list[str], lines: list[str]) -> bool:
    return len(expected) == len(lines) and all(map(fnmatchcase, lines, expected))


@pytest.mark.parametrize("piece_bytes", [0, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogue(path, piece_bytes, make_wire, handoff):
    wire = make_wire(max_message_size_bytes=10_000)
    lines = wire.send()
    messages: list[str] = []

    for speaker, said in steps(path.read_text()):
        if speaker == "C":
            assert [] == lines
            lines = wire.send(b"".join(octets(*each) for each in said), piece_bytes=piece_bytes)
        elif speaker == "S":
            expected = [text for mark, text in said if mark == "S:"]
            assert is_as_expected(expected, lines), (expected, lines)
            assert wire.is_closed is any(mark == "S!" for mark, _ in said)
            lines = []
        else:
            messages += [text for _, text in said]
            assert messages == [
                f"{envelope.sender} -> {', '.join(recipient.address for recipient in envelope.recipients)}"
                for envelope in handoff.envelopes
            ]

    assert [] == lines
    assert len(messages) == len(handoff.envelopes)


def test_there_are_dialogues():
    assert len(DIALOGUES) >= 5
