"""Result: how a process ended. Pure data; what it means for a recipient is in `verdict`."""

from __future__ import annotations

import re

import attrs

from mdacore import printable

MAX_TEXT_CHARS = 300

_TERMINAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


@attrs.frozen(kw_only=True)
class Result:
    """How a process ended.

    Attributes:
        status: its exit status; None = it did not exit by itself.
        signal: the number of the signal that killed it; 0 = none.
        is_overdue: it was ended because its time was up.
        output: the first octets of what it wrote to its standard output and error, in their order.
    """

    status: int | None = None
    signal: int = 0
    is_overdue: bool = False
    output: bytes = b""

    @property
    def said(self) -> str:
        """The output on one line, for people: no control characters or terminal sequences, `MAX_TEXT_CHARS` at most."""
        text = _TERMINAL_SEQUENCE.sub("", self.output.decode("utf-8", "replace"))
        return printable(" ".join(printable(text, len(text) + 1).split()), MAX_TEXT_CHARS)

    def __str__(self) -> str:
        if self.is_overdue:
            return "overdue"
        return f"signal {self.signal}" if self.status is None else f"status {self.status}"
