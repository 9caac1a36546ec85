"""Work that has to wait for the disk in some places, written as if it were alone, and done alone or with others.

A generator gives descriptors wherever it goes on only when they are durable. Several of them go side by side, so that
one round of syncs serves all. Invariants: a step is never begun before what the one before it gave is durable; the
failure of one is the failure of that one alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

Steps = Generator[tuple[int, ...], None, T]
"""Gives descriptors to be synced, and returns the result. Where a sync failed, its OSError is thrown in."""

Sync = Callable[[Collection[int]], dict[int, OSError]]
"""Syncs descriptors, each a different one; returns the errors by descriptor."""


def one_by_one(fds: Collection[int]) -> dict[int, OSError]:
    """Sync them in turn, by this thread. Blocks."""
    errors = {}
    for fd in fds:
        try:
            os.fsync(fd)
        except OSError as error:
            errors[fd] = error
    return errors


def alone(steps: Steps[T], sync: Sync = one_by_one) -> T:
    """Do these by themselves. Blocks; raises what they raise."""
    (outcome,) = together([steps], sync)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def together(several: Iterable[Steps[T]], sync: Sync) -> list[T | Exception]:
    """Do them side by side; returns the result of each, or what it raised. Blocks; raises nothing of theirs."""
    walks = [_Walk(steps) for steps in several]
    going, errors = walks, dict[int, OSError]()
    while going := [walk for walk in going if walk.goes_on(errors)]:
        errors = sync(dict.fromkeys(fd for walk in going for fd in walk.fds))  # each once, in their order
    return [walk.outcome for walk in walks]


class _Walk(Generic[T]):
    """One of them on its way."""

    outcome: T | Exception

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.fds: tuple[int, ...] = ()

    def goes_on(self, errors: Mapping[int, OSError]) -> bool:
        """Do the next step; whether there is something to be synced after it."""
        error = next((errors[fd] for fd in self.fds if fd in errors), None) if errors else None
        try:
            self.fds = self._steps.throw(error) if error else next(self._steps)
        except StopIteration as end:
            self.outcome = end.value
            return False
        except Exception as failure:  # noqa: BLE001 - raised where these steps were asked for
            self.outcome = failure
            return False
        return True
