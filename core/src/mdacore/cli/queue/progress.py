"""Progress of long work, on standard error: on a terminal, or where it is asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

EVERY_S = 0.5


class Progress:
    """A line that is written anew, at most twice a second."""

    def __init__(self, what: str, *, is_wanted: bool | None = None) -> None:
        """`is_wanted`: None = where standard error is a terminal."""
        self._what = what
        self._is_wanted = sys.stderr.isatty() if is_wanted is None else is_wanted
        self._shown_at = time.monotonic()
        self._is_shown = False

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The same items, counted as they pass."""
        for number, item in enumerate(items, 1):
            if self._is_wanted and time.monotonic() - self._shown_at >= EVERY_S:
                self._show(number)
            yield item
        self.close()

    def close(self) -> None:
        """End the line, if there is one."""
        if self._is_shown:
            print(file=sys.stderr)
            self._is_shown = False

    def _show(self, number: int) -> None:
        self._shown_at, self._is_shown = time.monotonic(), True
        print(f"\r{self._what}: {number}", end="", file=sys.stderr, flush=True)
