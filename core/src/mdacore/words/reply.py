"""Reply: what one server says to one command, about one recipient or about a whole message.

Pure data; how a reply is written to a socket is an edge's or a relay's business.
Invariant: a Reply that exists can be sent: its code is legal, its enhanced code agrees with it, and its text holds
nothing that could end the line early.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

_ENHANCED = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})")
_REPLY = re.compile(r"([2-5][0-9]{2})(?: +([245]\.[0-9]{1,3}\.[0-9]{1,3}))?(?: +(.*))?", re.DOTALL)
_UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_MAX_TEXT_CHARS = 2000


@attrs.frozen(kw_only=True)
class Reply:
    """A reply of RFC 5321 §4.2 with its enhanced status code (RFC 3463).

    Attributes:
        code: three digits, 200 to 599.
        enhanced: ``"4.3.0"``; its class is the code's first digit. Left out it becomes ``d.0.0``; a 3yz has none.
        text: printable; ``"\\n"`` separates the lines of a reply of many lines.

    Raises:
        ValueError: for a code, an enhanced code or a text that could not be sent.
    """

    code: int = attrs.field()
    enhanced: str = attrs.field()
    text: str = attrs.field(default="")

    @code.validator
    def _check_code(self, _: attrs.Attribute[int], code: int) -> None:
        if not 200 <= code <= 599:
            raise ValueError(f"reply code {code} is not between 200 and 599")

    @enhanced.default
    def _enhanced_of_class(self) -> str:
        return "" if self.code // 100 == 3 else f"{self.code // 100}.0.0"

    @enhanced.validator
    def _check_enhanced(self, _: attrs.Attribute[str], enhanced: str) -> None:
        first = str(self.code // 100)
        if first == "3" and not enhanced:
            return
        match = _ENHANCED.fullmatch(enhanced)
        if match is None or match[1] != first:
            raise ValueError(f"enhanced status code {enhanced!r} does not fit reply code {self.code}")

    @text.validator
    def _check_text(self, _: attrs.Attribute[str], text: str) -> None:
        if _UNSAFE.search(text) or len(text) > _MAX_TEXT_CHARS:
            raise ValueError(f"reply text is not printable or too long: {text[:80]!r}")

    @classmethod
    def parse(cls, line: str) -> Reply:
        """Read ``"550 5.7.1 Relaying denied"``; the enhanced code and the text may be left out.

        Raises:
            ValueError: if the line is not a reply.
        """
        match = _REPLY.fullmatch(line)
        if match is None:
            raise ValueError(f"not an SMTP reply: {line[:80]!r}")
        given: dict[str, Any] = {"enhanced": match[2]} if match[2] else {}
        return cls(code=int(match[1]), text=match[3] or "", **given)

    @property
    def is_success(self) -> bool:
        """2yz: done."""
        return self.code < 300

    @property
    def is_transient(self) -> bool:
        """4yz: the same may work later."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        """5yz: the same will not work later."""
        return self.code >= 500

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


def printable(text: str, max_chars: int = 500) -> str:
    """Make foreign text fit for a Reply, a notice or a person: one line, no control characters, cut at `max_chars`."""
    cleaned = _UNSAFE.sub(" ", text.replace("\n", " ")).strip()
    return cleaned if len(cleaned) <= max_chars else cleaned[: max_chars - 1] + "…"
