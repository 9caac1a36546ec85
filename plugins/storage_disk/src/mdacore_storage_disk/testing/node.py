"""Node: a file or a folder in memory, as it is seen and as it is durable, with what happened to it between the two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

Write = tuple[int, bytes | None]
"""Octets that were put at an offset, or the size to which the file was cut, and None."""


@attrs.define(eq=False)
class Node:
    """A file or a folder.

    Attributes:
        data: the file's octets as they are seen.
        durable: those that a loss of power is sure to leave.
        writes: what was done to them since they were the same, in order.
        names: the folder's, as they are seen.
        durable_names: those that a loss of power is sure to leave.
        changes: what was done to them since they were the same, in order; None = the name was removed.
    """

    is_folder: bool
    data: bytes = b""
    durable: bytes = b""
    writes: list[Write] = attrs.field(factory=list)
    names: dict[str, Node] = attrs.field(factory=dict)
    durable_names: dict[str, Node] = attrs.field(factory=dict)
    changes: list[tuple[str, Node | None]] = attrs.field(factory=list)

    def do(self, write: Write) -> None:
        """Write to the file, or cut it."""
        self.writes.append(write)
        self.data = replayed(self.data, [write])

    def put(self, name: str, node: Node | None) -> None:
        """Give a name to a node, or take it away."""
        self.changes.append((name, node))
        if node is None:
            del self.names[name]
        else:
            self.names[name] = node

    def sync(self) -> None:
        """The octets are durable."""
        self.durable, self.writes = self.data, []

    def sync_names(self) -> None:
        """The names are durable."""
        self.durable_names, self.changes = dict(self.names), []

    def copy(self, copies: dict[int, Node]) -> Node:
        """The same again, with everything below it; `copies` are those made so far."""
        if id(self) not in copies:
            copy = copies[id(self)] = Node(is_folder=self.is_folder, data=self.data, durable=self.durable)
            copy.writes = list(self.writes)
            copy.names = {name: node.copy(copies) for name, node in self.names.items()}
            copy.durable_names = {name: node.copy(copies) for name, node in self.durable_names.items()}
            copy.changes = [(name, None if node is None else node.copy(copies)) for name, node in self.changes]
        return copies[id(self)]

    def everything(self) -> Iterator[Node]:
        """This and all below it, also what only a name of the past leads to."""
        found: dict[int, Node] = {}
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if id(node) not in found:
                found[id(node)] = node
                waiting += [*node.names.values(), *node.durable_names.values()]
                waiting += [child for _, child in node.changes if child is not None]
        return iter(found.values())


def replayed(data: bytes, writes: Iterable[Write]) -> bytes:
    """These octets after these writes; a gap is filled with zeros."""
    for offset, octets in writes:
        if octets is None:
            data = data[:offset]
        else:
            data = data[:offset].ljust(offset, b"\0") + octets + data[offset + len(octets) :]
    return data
