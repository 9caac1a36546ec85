"""Groups: what comes while one group is being done forms the next, so that one round of syncs serves many.

What is done, and how it is synced, is not in here (`steps`, `syncs`). Invariants: the hub never waits for the disk; no
group is larger than its limit; what is given up before its group begins is never begun; one that takes long keeps the
others waiting for a moment only, while there are threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, ParamSpec, TypeVar

import gevent
from gevent.hub import Waiter

from mdacore.runtime import Threads
from mdacore_relay_maildir.steps import Steps, Sync, alone, together

PATIENCE_S: Final = 0.05
"""How long the next group waits for the one before it, which takes some milliseconds on a disk that is well."""

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Entry(Generic[T]):
    """Somebody's steps, and the greenlet that waits for them."""

    __slots__ = ("steps", "waiter")

    def __init__(self, steps: Steps[T]) -> None:
        self.steps = steps
        self.waiter: Waiter[T] = Waiter()

    def wake(self, outcome: T | Exception) -> None:
        """In the hub: let it go on."""
        if isinstance(outcome, Exception):
            self.waiter.throw(outcome)
        else:
            self.waiter.switch(outcome)


class Groups(Generic[T]):
    """Does steps in groups, each in a thread, for the greenlets of the hub that made this.

    With a `max_group` of 1 each is done by itself, as many at once as there are threads.
    """

    def __init__(self, max_threads: int, max_group: int, sync: Sync) -> None:
        self._max_threads = max_threads
        self._max_group = max_group
        self._sync = sync
        self._threads = Threads(max_threads)
        self._waiting: list[_Entry[T]] = []
        self._running = 0
        self._in_company = 0  # how many are in a thread that counts as one
        self._is_due = self._is_patient = self._is_stopped = False
        self._loop = gevent.get_hub().loop
        self._patience = self._loop.timer(PATIENCE_S)

    @property
    def in_hand(self) -> int:
        """How many wait or are being done; those that were given up too, once they have begun."""
        return len(self._waiting) + self._threads.in_hand + self._in_company

    def do(self, steps: Steps[T], *, is_long: bool = False) -> T:
        """Do these with others, or by themselves if they are long; returns the result when the whole group is through.

        Blocks this greenlet only. Interrupted, it does not wait any more, and what has begun goes on by itself.

        Raises:
            RuntimeError: after `stop`; and whatever the steps raise.
        """
        if is_long or self._max_group == 1 or self._is_stopped:
            return self._threads.call(alone, steps, self._sync)
        entry = _Entry(steps)
        self._waiting.append(entry)
        self._begin_soon()
        try:
            return entry.waiter.get()
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call something else in one of the threads; as `Threads.call`."""
        return self._threads.call(function, *args, **kwargs)

    def join(self) -> None:
        """Wait until no thread has anything in hand."""
        self._threads.join()

    def stop(self, limit_s: float) -> None:
        """Begin nothing more, and end the threads; those that take longer than `limit_s` are left alone. Idempotent.

        Whoever waits for a group that has not begun has to be interrupted.
        """
        self._is_stopped = True
        self._patience.close()
        self._threads.stop(limit_s)

    def _begin_soon(self) -> None:
        """When whoever is ready to go on has had his turn: fewer, larger groups."""
        if not self._is_due:
            self._is_due = True
            self._loop.run_callback(self._begin)

    def _begin(self) -> None:
        """In the hub: begin a group if none is being done, and else see to it that nobody waits long for that."""
        self._is_due = False
        if not self._waiting or self._is_stopped:
            return
        if not self._running:
            self._spawn()
        elif not self._is_patient:
            self._is_patient = True
            self._patience.start(self._end_patience)

    def _end_patience(self) -> None:
        self._stop_patience()
        if self._waiting and self._running < self._max_threads:
            self._spawn()

    def _stop_patience(self) -> None:
        if self._is_patient:
            self._is_patient = False
            self._patience.stop()

    def _spawn(self) -> None:
        self._running += 1
        gevent.spawn(self._do_group)

    def _do_group(self) -> None:
        group, self._waiting = self._waiting[: self._max_group], self._waiting[self._max_group :]
        self._begin_soon()  # for those who are left
        self._loop.run_callback(_wake, group, self._outcomes(group))
        self._running -= 1
        if not self._is_stopped:
            self._stop_patience()
            self._begin_soon()  # after those who have just been told, and may have more to do

    def _outcomes(self, group: list[_Entry[T]]) -> list[T | Exception]:
        if not group:  # they have left
            return []
        company = len(group) - 1
        self._in_company += company
        try:
            return self._threads.call(together, [entry.steps for entry in group], self._sync)
        except Exception as error:  # noqa: BLE001 - raised in the greenlets that wait
            return [error] * len(group)
        finally:
            self._in_company -= company


def _wake(group: list[_Entry[T]], outcomes: list[T | Exception]) -> None:
    for entry, outcome in zip(group, outcomes, strict=True):
        entry.wake(outcome)
