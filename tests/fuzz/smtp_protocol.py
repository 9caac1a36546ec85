"""A target for coverage-guided fuzzing: the state machine of edge_smtp against its reference, in any conversation.

    pip install atheris        # Linux, CPython 3.11 to 3.13; it needs nothing else
    python tests/fuzz/smtp_protocol.py -max_total_time=3600 NEW_FOLDER tests/fuzz/corpus/smtp_protocol

What is found is written to a file ``crash-…``; with that file as its only argument the program shows what is wrong.
Options are libFuzzer's. An input is four octets that choose a scenario, ``0000`` is the plainest, and then what the
client sends. Nothing here needs atheris but `main`: the test beside this file runs the same inputs without.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import attrs

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    import atheris
except ImportError:
    pass
else:
    if __name__ == "__main__":
        with atheris.instrument_imports(include=["mdacore_edge_smtp.protocol", "tests.plugins.edge_smtp.reference"]):
            import tests.plugins.edge_smtp.protocol_proof  # noqa: F401 - for good: what is imported is not imported anew

from tests.plugins.edge_smtp.protocol_proof import observe
from tests.plugins.edge_smtp.reference import KINDS, OFFERS, Rules, Scenario, expected, pieces_of

HERE = Path(__file__).resolve().parent
DICTIONARY = HERE / "smtp_protocol.dict"
CORPUS = HERE / "corpus" / "smtp_protocol"
HEAD_BYTES = 4
MAX_BYTES = 4096

_PATIENT = Rules(max_errors=12, max_idle_commands=20, max_messages=6, max_line_bytes=600, max_recipients=4)
RULES = (
    _PATIENT,
    Rules(),
    attrs.evolve(_PATIENT, is_normalizing=True),
    attrs.evolve(_PATIENT, is_strict_sync=True),
    attrs.evolve(_PATIENT, max_message_size_bytes=2000),
)
_ANSWERS = (0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 5, 6, 7)
_MOODY_ANSWERS = (0, 2, 4, 5, 6, 7)


def scenario_of(data: bytes) -> Scenario:
    """Every input is one; the same input is always the same one."""
    flags, rules, cut, answers = ((octet - ord("0")) % 256 for octet in data[:HEAD_BYTES].ljust(HEAD_BYTES, b"0"))
    chance = Random(answers)
    moody_about = chance.choice(("", *KINDS))
    return Scenario(
        pieces=_cut(data[HEAD_BYTES:MAX_BYTES], cut),
        rules=RULES[rules % len(RULES)],
        offers=rules // len(RULES) % len(OFFERS),
        is_lmtp=bool(flags & 1),
        speaks_first=bool(flags & 2),
        has_handshake=not flags & 4,
        choices=tuple(chance.choices(_MOODY_ANSWERS if moody_about else _ANSWERS, k=9)) if answers else (),
        moody_about=moody_about,
    )


def _cut(octets: bytes, how: int) -> tuple[bytes, ...]:
    if how == 1:
        return tuple(octets.splitlines(keepends=True)) or (b"",)
    sizes = {0: [], 2: [1]}.get(how)
    return pieces_of(octets, Random(how).choices(range(1, 60), k=5) if sizes is None else sizes)


def check(data: bytes) -> None:
    """Raises AssertionError where the protocol and the reference differ, and whatever the protocol raises."""
    scenario = scenario_of(data)
    seen = observe(scenario, is_nosy=bool((data[:1] or b"0")[0] & 8))
    problem = expected(scenario).difference(seen)
    assert not problem, f"{problem}\n{b''.join(scenario.pieces)!r}\n{scenario}"


def mutant(data: bytes, others: list[bytes], chance: Random) -> bytes:
    """Another input, made blindly: for machines without atheris. `others` are words and inputs."""
    if chance.random() < 0.5:
        data = chance.randbytes(HEAD_BYTES) + data[HEAD_BYTES:]
    for _ in range(chance.randint(1, 4)):
        begin = chance.randint(0, len(data))
        end = min(len(data), begin + chance.choice((0, 0, 1, 2, 8, 40)))
        other = chance.choice(others)[chance.choice((0, HEAD_BYTES)) :]
        new = (other, other, data[begin:end] * 2, b"", bytes([chance.randrange(256)]))
        data = data[:begin] + chance.choice(new) + data[end:]
    return data


def inputs(count: int, chance: Random) -> Iterator[bytes]:
    """So many mutants of the seeds."""
    seeds = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    others = seeds + words() * 2
    for _ in range(count):
        yield mutant(chance.choice(seeds), others, chance)


def words() -> list[bytes]:
    """Of the dictionary, which libFuzzer reads too."""
    lines = [line for line in DICTIONARY.read_text("ascii").splitlines() if line.startswith('"')]
    return [line[1:-1].encode("ascii").decode("unicode_escape").encode("latin-1") for line in lines]


def main() -> None:
    """Never returns."""
    if "atheris" not in sys.modules:
        sys.exit("atheris is missing: pip install atheris")
    atheris.Setup([sys.argv[0], f"-dict={DICTIONARY}", f"-max_len={MAX_BYTES}", *sys.argv[1:]], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
