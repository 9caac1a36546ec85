"""The file ``maildirsize``: what a maildir may hold and what it does hold, as Maildir++ has it written. Pure.

The first line is the quota (``10000000S,1000C``: bytes and messages), the others are sums and changes that add up to
what is used (``2840 1``, ``-2840 -1``). https://www.courier-mta.org/imap/README.maildirquota.html
"""

from __future__ import annotations

import re

import attrs

MAX_BYTES = 5120
"""A file of this size is not read but counted anew, says Maildir++: so errors do not live for ever."""

_LIMIT = re.compile(rb"([0-9]{1,18})([A-Z])")
_CHANGE = re.compile(rb"\s*(-?[0-9]{1,18})\s+(-?[0-9]{1,18})\s*")
_SIZE_IN_NAME = re.compile(r",S=([0-9]{1,18})(?=[:,]|\Z)")
_FLAGS = re.compile(r":2,([A-Za-z]*)")


@attrs.frozen(kw_only=True)
class Usage:
    """Bytes and messages in a maildir."""

    size_bytes: int = 0
    messages: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(size_bytes=self.size_bytes + other.size_bytes, messages=self.messages + other.messages)


@attrs.frozen(kw_only=True)
class Limits:
    """How much a maildir may hold; 0 = any amount."""

    size_bytes: int = 0
    messages: int = 0

    def hold(self, usage: Usage) -> bool:
        """Whether this much is within the limits."""
        is_too_large = 0 < self.size_bytes < usage.size_bytes
        is_too_many = 0 < self.messages < usage.messages
        return not (is_too_large or is_too_many)


@attrs.frozen(kw_only=True)
class Record:
    """What a maildirsize says; `lines` is how many of them add up to `usage`."""

    limits: Limits
    usage: Usage
    lines: int


def parse(data: bytes) -> Record | None:
    """Read a whole file; None if it must be counted anew.

    A last line without its end is being written by somebody, and does not count yet.
    """
    first, *changes = data[: data.rfind(b"\n") + 1].splitlines() or [b""]
    limits = {match[2]: int(match[1]) for part in first.split(b",") if (match := _LIMIT.fullmatch(part.strip()))}
    matches = [_CHANGE.fullmatch(line) for line in changes]
    if len(data) >= MAX_BYTES or not limits or not matches or not all(matches):
        return None
    used = Usage(
        size_bytes=sum(int(match[1]) for match in matches if match),
        messages=sum(int(match[2]) for match in matches if match),
    )
    if used.size_bytes < 0 or used.messages < 0:
        return None
    allowed = Limits(size_bytes=limits.get(b"S", 0), messages=limits.get(b"C", 0))
    return Record(limits=allowed, usage=used, lines=len(matches))


def render(limits: Limits, usage: Usage) -> bytes:
    """A new file."""
    amounts = ((limits.size_bytes, "S"), (limits.messages, "C"))
    quota = ",".join(f"{amount}{letter}" for amount, letter in amounts if amount)
    return f"{quota}\n".encode() + render_change(usage)


def render_change(usage: Usage) -> bytes:
    """One more line."""
    return f"{usage.size_bytes} {usage.messages}\n".encode()


def size_in(file_name: str) -> int | None:
    """The size that a message's file has in its name: ``…,S=2840`` or ``…,S=2840:2,S``."""
    match = _SIZE_IN_NAME.search(file_name)
    return int(match[1]) if match else None


def is_counted(file_name: str) -> bool:
    """Whether a file in ``new`` or ``cur`` is a message that counts; one marked as deleted (``T``) does not."""
    flags = _FLAGS.search(file_name)
    return not file_name.startswith(".") and not (flags and "T" in flags[1])
