"""Making many files and folders durable at once. Blocks; no gevent here.

Syncs that run at the same time share the work of the file system's journal; one after the other each pays for it.
How the kernel is asked is not in here (`kernel_aio`), nor is what is synced when (`steps`). Invariant: whatever was
asked for has been synced, or has an error; in which way makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final, Protocol

from mdacore_relay_maildir.kernel_aio import MAX_SYNCS, KernelAio
from mdacore_relay_maildir.steps import one_by_one


class Context(Protocol):
    """What syncs some descriptors at the same time; see `KernelAio`."""

    def fsync(self, fds: Sequence[int]) -> dict[int, OSError | None]:
        """What became of each that it could sync; at most `MAX_SYNCS`. Blocks."""

    def close(self) -> None:
        """Release what it holds."""


class Syncs:
    """Syncs descriptors, at the same time where the kernel can do that. Any thread may call.

    It keeps as many of the kernel's contexts as were in use at once, until `close`.
    """

    def __init__(self, make_context: Callable[[], Context] = KernelAio) -> None:
        self._make_context = make_context
        self._idle: Final[list[Context]] = []

    def are_parallel_for(self, fd: int) -> bool:
        """Whether files like this one, a folder too, can be synced at the same time; it is synced. Raises OSError."""
        outcomes = self._together([fd])
        if fd in outcomes and (error := outcomes[fd]):
            raise error
        return fd in outcomes

    def __call__(self, fds: Collection[int]) -> dict[int, OSError]:
        """Sync them all; gives the errors of those that may not be durable. Blocks."""
        several = list(fds)
        outcomes: dict[int, OSError | None] = {}
        if len(several) > 1:
            for begin in range(0, len(several), MAX_SYNCS):
                outcomes |= self._together(several[begin : begin + MAX_SYNCS])
        errors = one_by_one([fd for fd in several if fd not in outcomes])
        return errors | {fd: error for fd, error in outcomes.items() if error}

    def close(self) -> None:
        """Release what nobody uses."""
        while self._idle:
            with suppress(OSError):
                self._idle.pop().close()

    def _together(self, fds: list[int]) -> dict[int, OSError | None]:
        try:
            context = self._idle.pop() if self._idle else self._make_context()
        except OSError:
            return {}
        outcomes = context.fsync(fds)
        self._idle.append(context)
        return outcomes
