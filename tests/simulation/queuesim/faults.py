"""Chance, and what it makes go wrong: one random source for a whole run, asked in an order that the seed decides."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol, TypeVar

import gevent

T = TypeVar("T")

HANG_MAX_S = 120.0


class Foreign(gevent.Timeout):
    """Somebody else's timer."""


WEIRD: tuple[Callable[[], BaseException], ...] = (
    lambda: RuntimeError("weird"),
    lambda: OSError(5, "weird"),
    lambda: Foreign(7),
    lambda: SystemExit(3),
    lambda: KeyError("weird"),
    lambda: MemoryError(),
)
"""What a plugin might raise though its contract knows nothing of it."""


class Mortal(Protocol):
    """The life of a process, as those see it who may be where it ends."""

    is_dead: bool
    is_calm: bool

    def die(self, *, is_poisoned: bool = False) -> None:
        """The process dies. Raises GreenletExit."""

    def point(self) -> None:
        """A place where the process may die. Raises GreenletExit if it does, or has."""


class Chance:
    """Decides what goes wrong, how long things take, and who is quicker."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"run {seed}")
        self.choice = self._random.choice
        self.uniform = self._random.uniform

    def strikes(self, probability: float) -> bool:
        """True with this probability."""
        return self._random.random() < probability

    def fault(self, probability: float, kinds: tuple[str, ...]) -> str:
        """One of these kinds, or ``""``."""
        return self.choice(kinds) if self.strikes(probability) else ""

    def weird(self) -> BaseException:
        """Something that nobody expects."""
        return self.choice(WEIRD)()

    def turns(self, fault: str = "") -> None:
        """Let others go on for a while, or not at all; for long if the fault is to hang."""
        if fault == "hang":
            gevent.sleep(self.uniform(1.0, HANG_MAX_S))
            return
        how = self._random.random()
        if how < 0.4:
            return
        if how < 0.7:
            for _ in range(self.choice((1, 1, 2, 5))):
                gevent.sleep(0)
        else:
            gevent.sleep(self.uniform(0.0005, 0.05))
