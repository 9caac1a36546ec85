"""What a loss of power may leave, as POSIX, ext4 and xfs permit. Pure.

Of the writes to a file that no sync has covered any may be there: whole, cut, without their beginning, or as zeros. Of
the changes to a name that no sync of its folder has covered the last may be there, an earlier one or none, whatever
became of other names: also of the other one of a rename. Nothing else follows from anything.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence

import attrs

from mdacore_storage_disk.testing.node import Node, Write, replayed

SECTOR_BYTES = 512


@attrs.define
class Outcome:
    """One way in which a loss of power may end: of files that are not as they are durable, and of names, by node."""

    data: dict[int, bytes] = attrs.field(factory=dict)
    names: dict[tuple[int, str], Node | None] = attrs.field(factory=dict)


@attrs.frozen
class _Choice:
    """What may end in different ways; the first is that nothing had been done, the last that everything was."""

    node: int
    name: str | None
    ends: Sequence[bytes | Node | None]


def outcomes(root: Node, *, at_most: int, seed: int) -> Iterator[Node]:
    """All that may be left of this tree, or some of it if there is more than `at_most`.

    The some are: nothing, everything, everything or nothing but one thing, and others by chance.
    """
    choices = list(_choices(root))
    for picks in _picks([len(choice.ends) for choice in choices], at_most=at_most, seed=seed):
        outcome = Outcome()
        for choice, pick in zip(choices, picks, strict=True):
            end = choice.ends[pick]
            if choice.name is not None:
                outcome.names[choice.node, choice.name] = end if isinstance(end, Node) else None
            elif isinstance(end, bytes):
                outcome.data[choice.node] = end
        yield _left(root, outcome, {})


def _choices(root: Node) -> Iterator[_Choice]:
    for node in root.everything():
        if node.writes:
            yield _Choice(id(node), None, list(dict.fromkeys(_contents(node))))
        for name in dict.fromkeys(name for name, _ in node.changes):
            history = [node.durable_names.get(name), *(value for changed, value in node.changes if changed == name)]
            yield _Choice(id(node), name, list(dict.fromkeys(history)))


def _contents(node: Node) -> Iterator[bytes]:
    yield node.durable
    for index, write in enumerate(node.writes):
        before, after = node.writes[:index], node.writes[index + 1 :]
        yield replayed(node.durable, [write])
        yield replayed(node.durable, before)
        yield replayed(node.durable, before + after)
        for torn in _torn(write):
            yield replayed(node.durable, [*before, torn])
            yield replayed(node.durable, [*before, torn, *after])
    yield node.data


def _torn(write: Write) -> Iterator[Write]:
    offset, octets = write
    if octets:
        for cut in {max(1, len(octets) // 2), max(1, len(octets) - 1), min(SECTOR_BYTES, len(octets))}:
            yield offset, octets[:cut]
            yield offset, octets[:cut] + bytes(len(octets) - cut)
            yield offset, bytes(cut) + octets[cut:]
        yield offset, bytes(len(octets))


def _picks(sizes: Sequence[int], *, at_most: int, seed: int) -> Iterator[Sequence[int]]:
    if math.prod(sizes) <= at_most:
        yield from itertools.product(*map(range, sizes))
        return
    nothing, everything = [0 for _ in sizes], [size - 1 for size in sizes]
    yield from (nothing, everything)[:at_most]
    singles = [
        [*base[:index], pick, *base[index + 1 :]]
        for base in (nothing, everything)
        for index, size in enumerate(sizes)
        for pick in range(size)
        if pick != base[index]
    ]
    chance = random.Random(seed)  # noqa: S311 - a test's, to be repeated
    few = chance.sample(singles, min(len(singles), max(0, at_most - 2) * 2 // 3))
    yield from few
    for _ in range(at_most - len(few) - 2):
        yield [chance.randrange(size) for size in sizes]


def _left(node: Node, outcome: Outcome, copies: dict[int, Node]) -> Node:
    if id(node) not in copies:
        data = outcome.data.get(id(node), node.durable)
        copy = copies[id(node)] = Node(is_folder=node.is_folder, data=data, durable=data)
        names: dict[str, Node | None] = dict(node.durable_names)
        names |= {name: end for (owner, name), end in outcome.names.items() if owner == id(node)}
        copy.names = {name: _left(child, outcome, copies) for name, child in names.items() if child is not None}
        copy.durable_names = dict(copy.names)
    return copies[id(node)]
