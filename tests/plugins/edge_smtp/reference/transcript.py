"""Transcript: what came of a conversation, in words that belong neither to the protocol nor to the reference."""

from __future__ import annotations

from typing import Literal

import attrs


@attrs.frozen
class Said:
    """One reply; `enhanced` is ``""`` where there is none. `lines` is the text, None = whatever it likes."""

    code: int
    enhanced: str = ""
    lines: tuple[str, ...] | None = None


@attrs.frozen
class Asked:
    """A question to the caller, or a message that the protocol refused (`MessageRefused`), with what is in it."""

    kind: str
    details: tuple[object, ...] = ()


@attrs.define
class Message:
    """The octets of a message that was welcome; `is_exact` = all of these came out, else some first part of them."""

    octets: bytes = b""
    is_exact: bool = True

    def allows(self, octets: bytes) -> bool:
        """Whether a protocol may have handed out just these."""
        return self.octets == octets if self.is_exact else self.octets.startswith(octets)


@attrs.define
class Transcript:
    """What was said and asked, in this order; the messages; and how it ended.

    Attributes:
        end: ``"waiting"`` for the client, or ``"closed"``.
        error_count, is_message_open: as the protocol tells them; after the end of the connection they do not matter.
    """

    items: list[Said | Asked] = attrs.field(factory=list)
    messages: list[Message] = attrs.field(factory=list)
    end: Literal["", "waiting", "closed"] = ""
    error_count: int = 0
    is_message_open: bool = False

    def difference(self, seen: Transcript) -> str:
        """In which point another transcript is not one that this one allows; ``""`` = in none."""
        for number, (ours, theirs) in enumerate(zip(self.items, seen.items, strict=False)):
            if not _agree(ours, theirs):
                return f"item {number}: expected {ours}, seen {theirs}"
        if len(self.items) != len(seen.items):
            count = min(len(self.items), len(seen.items))
            return f"item {count}: expected {self.items[count:]}, seen {seen.items[count:]}"
        return self._other_difference(seen)

    def _other_difference(self, seen: Transcript) -> str:
        if len(self.messages) != len(seen.messages):
            return f"messages: expected {len(self.messages)}, seen {len(seen.messages)}"
        for number, (ours, theirs) in enumerate(zip(self.messages, seen.messages, strict=True)):
            if not ours.allows(theirs.octets):
                return f"message {number}: expected {ours}, seen {theirs.octets!r}"
        if self.end != seen.end:
            return f"expected {self.end}, seen {seen.end}"
        if self.end == "waiting" and self._counts() != seen._counts():
            return f"error count and open message: expected {self._counts()}, seen {seen._counts()}"
        return ""

    def _counts(self) -> tuple[int, bool]:
        return self.error_count, self.is_message_open


def _agree(ours: Said | Asked, theirs: Said | Asked) -> bool:
    if isinstance(ours, Said) and ours.lines is None and isinstance(theirs, Said):
        return (ours.code, ours.enhanced) == (theirs.code, theirs.enhanced)
    return ours == theirs
