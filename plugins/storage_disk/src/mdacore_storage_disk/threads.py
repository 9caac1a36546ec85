"""How the hub hands work away: threads for what blocks on a disk, greenlets that no interruption reaches, and turns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar, cast

import attrs
import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Group

from mdacore import StorageError
from mdacore.runtime import Threads
from mdacore_storage_disk.record import RecordError

T = TypeVar("T")


def make_threads(count: int) -> Threads:
    """Threads that block on the disk: at most `count` calls at once; after `stop` a call is a StorageError."""
    return Threads(count, stopped=lambda: StorageError("the storage has been stopped"))


class Shield:
    """Runs changes in greenlets of their own: whoever waits for one may be interrupted, the change may not.

    Invariant: the result of a change reaches its caller or, when the caller has left, `abandoned`.
    """

    def __init__(self) -> None:
        self._running = Group()
        self._left = Group()
        self._is_closed = False

    def call(self, change: Callable[[], T], abandoned: Callable[[T], None] = lambda _result: None) -> T:
        """Run it to its end; blocks this greenlet. Raises the StorageError that it raises, or one after `close`."""
        if self._is_closed:
            raise StorageError("the storage has been stopped")
        runner = self._running.spawn(_outcome, change)
        try:
            result, error = runner.get()
        except BaseException:
            self._left.add(cast("gevent.Greenlet[Any, Any]", runner))
            runner.link_value(lambda done: _hand_on(done, abandoned))
            raise
        if error is not None:
            raise error
        return cast(T, result)

    def wait_for_left(self, timeout_s: float) -> None:
        """Block until the changes whose callers have left are made, at most so long."""
        self._left.join(timeout_s)

    def close(self) -> None:
        """Begin nothing more, and wait for what runs."""
        self._is_closed = True
        self._running.join()


class Turns:
    """One at a time for each name."""

    def __init__(self) -> None:
        self._turns: dict[Hashable, _Turn] = {}

    @contextlib.contextmanager
    def of(self, name: Hashable) -> Iterator[None]:
        """Wait for the turn, and hold it. Blocks this greenlet."""
        turn = self._turns.setdefault(name, _Turn())
        turn.users += 1
        try:
            with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[name]


@attrs.define
class _Turn:
    users: int = 0
    lock: BoundedSemaphore = attrs.field(factory=BoundedSemaphore)


def _hand_on(done: gevent.Greenlet[Any, Any], abandoned: Callable[[T], None]) -> None:
    result, error = cast("tuple[T | None, Exception | None]", done.value)
    if error is None:
        abandoned(cast(T, result))


def _outcome(function: Callable[[], T]) -> tuple[T | None, Exception | None]:
    # What is raised in a greenlet goes to standard error. These are the caller's alone; others are bugs.
    try:
        return function(), None
    except (OSError, StorageError, RecordError) as error:
        return None, error
