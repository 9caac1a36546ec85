"""How messages to the operator speak of values and of words that do not fit. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SHOWN_CHARS = 60


def show(value: object) -> str:
    """A value from a configuration, short enough for a message."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return repr(value if len(value) <= MAX_SHOWN_CHARS else value[: MAX_SHOWN_CHARS - 1] + "…")
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    return f"a {type(value).__name__}"


def misfit(expected: str, value: object, hint: str = "") -> ValueError:
    """To be raised where a value has not the type that a key wants."""
    return ValueError(f"expected {expected}, got {show(value)}{hint}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'local'?"``, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def suggest(word: str, known: Iterable[str]) -> str:
    """The same, or else what there is: ``"; there is local, smarthost"``."""
    choices = list(known)
    return did_you_mean(word, choices) or (f"; there is {', '.join(choices)}" if choices else "")
