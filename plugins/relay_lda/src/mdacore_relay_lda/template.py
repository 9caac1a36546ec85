"""Templates for the arguments and the environment of a program: text with ``{sender}``, ``{recipient}`` and the like.

Pure. Invariants: a template is read once, when it is made; what is filled in is never looked at again, so braces,
per cent signs and shell characters in an address mean nothing. Filling in never makes, drops or splits an argument.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

import attrs

NAMES = (
    "sender",
    "recipient",
    "original_recipient",
    "user",
    "extension",
    "local",
    "domain",
    "queue_id",
    "client_ip",
    "client_host",
    "client_helo",
    "client_protocol",
    "client_identity",
)
"""What can be filled in."""

RECIPIENT_NAMES = frozenset({"recipient", "original_recipient", "user", "extension", "local", "domain"})
"""What differs from recipient to recipient."""

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|[{}]")
_DOTS = re.compile(r"(?:.*[:=])?\.{1,2}", re.DOTALL)
"""A part of a path that leads out of its folder, also behind ``maildir:`` or ``--dir=``."""


class UnsafeValue(ValueError):
    """A value that must not reach a program, and why."""


@attrs.frozen
class Template:
    """One argument, or one variable's value.

    ``{{`` and ``}}`` stand for the braces themselves. A template with a slash is taken for a path (``/srv/{user}``,
    ``maildir:/srv/{user}``, ``--dir={user}/x``) and takes only plain names: what is filled in has no slash and makes
    no ``.`` or ``..`` (RFC 5321 allows both in a local part).

    Raises:
        ValueError: for a name that is not in `NAMES` or a brace that stands alone; with a sentence for the operator.
    """

    text: str
    _pieces: tuple[tuple[str, str], ...] = attrs.field(init=False, eq=False, repr=False)
    """Literal text and the name after it, either may be empty."""

    @_pieces.default
    def _read(self) -> tuple[tuple[str, str], ...]:
        if "\0" in self.text:
            raise ValueError(f"{self.text!r} has a NUL, which no argument can have")
        return tuple(_pieces(self.text))

    @property
    def names(self) -> frozenset[str]:
        """The names in it."""
        return frozenset(name for _, name in self._pieces if name)

    def expand(self, values: Mapping[str, str], *, allows_dash: bool = False) -> str:
        """Fill in. `values` has every name of `names`.

        Raises:
            UnsafeValue: a value would turn the argument into an option (unless `allows_dash`), or leave its folder.
        """
        expanded = "".join(literal + (values[name] if name else "") for literal, name in self._pieces)
        if expanded.startswith("-") and not self.text.startswith("-") and not allows_dash:
            raise UnsafeValue(f"{self.text!r} would become an option: {expanded[:80]!r}")
        if "/" in self.text:
            self._check_path(values, expanded)
        return expanded

    def _check_path(self, values: Mapping[str, str], expanded: str) -> None:
        has_slash = any("/" in values[name] for name in self.names)
        parts = zip(self.text.split("/"), expanded.split("/"), strict=False)
        if has_slash or any(_DOTS.fullmatch(after) and after != before for before, after in parts):
            raise UnsafeValue(f"{self.text!r} would leave its folder: {expanded[:80]!r}")


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    for match in _PIECE.finditer(text):
        piece, name = match[0], match[1]
        if piece in ("{{", "}}"):
            yield piece[0], ""
        elif name is None and piece in ("{", "}"):
            raise ValueError(f"{text!r}: a brace itself is written twice: {{{{ or }}}}")
        elif name is None:
            yield piece, ""
        elif name in NAMES:
            yield "", name
        else:
            close = difflib.get_close_matches(name, NAMES, 1)
            hint = f"did you mean {{{close[0]}}}?" if close else f"there are {', '.join(NAMES)}"
            raise ValueError(f"{text!r}: nothing is called {{{name}}}; {hint}")
