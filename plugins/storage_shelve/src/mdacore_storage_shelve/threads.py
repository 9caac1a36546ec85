"""A few threads for what blocks on a disk. After `close` a call is refused, where a bare pool would wait for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from gevent.threadpool import ThreadPool

from mdacore import StorageError

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """At most `count` calls at once; more wait for their turn, in order."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPool(count)
        self._is_closed = False

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in a thread; blocks this greenlet only. Raises what it raises; StorageError after `close`.

        Interrupted, the greenlet goes on without the result and the thread finishes all the same.
        """
        if self._is_closed:
            raise StorageError("the storage has been stopped")
        result, error = self._pool.apply(_outcome, (function, args, kwargs))
        if error is not None:
            raise error
        return cast(T, result)

    def close(self) -> None:
        """Finish what runs and end the threads. Idempotent."""
        self._is_closed = True
        self._pool.join()
        self._pool.kill()


def _outcome(function: Callable[..., T], args: Any, kwargs: Any) -> tuple[T | None, Exception | None]:
    # The pool would write what is raised to standard error. These are the caller's alone; any other is a bug.
    try:
        return function(*args, **kwargs), None
    except (OSError, sqlite3.Error, StorageError, ValueError) as error:
        return None, error
