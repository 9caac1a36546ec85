"""Threads: a few native threads beside the hub, for what would block it: the disk's syncs, SQLite, a C library.

gevent's ThreadPool does the same with a watcher for each call and with locks made in Python; here the calls go through
one queue made in C, and come back all together whenever the hub looks: a call costs 36 us there and a third of it here.
Invariants: calls begin in their order; one that its greenlet has given up before it began is never made; one that has
begun goes on by itself, and counts as in hand until its end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Generic, ParamSpec, TypeVar, cast

import attrs
import gevent
from gevent.event import Event
from gevent.hub import Waiter
from gevent.monkey import get_original

P = ParamSpec("P")
T = TypeVar("T")


@attrs.define(eq=False)
class _Call(Generic[T]):
    """One call: the greenlet may give it up, the thread leaves the outcome."""

    function: Callable[[], T]
    waiter: Waiter[None] = attrs.field(factory=Waiter)
    is_given_up: bool = False
    result: T | None = None
    error: BaseException | None = None

    def make(self) -> None:
        if self.is_given_up:
            return
        try:
            self.result = self.function()
        except BaseException as error:  # noqa: BLE001 - raised in the greenlet that asked
            self.error = error


def _stopped() -> Exception:
    return RuntimeError("these threads have been stopped")


class Threads:
    """At most so many threads, each started when all the others are busy; the first by the first call.

    They belong to the hub that made this, and last until `stop`; `stopped` makes what a later call raises.
    """

    def __init__(self, max_threads: int, *, stopped: Callable[[], Exception] = _stopped) -> None:
        self._max = max_threads
        self._stopped = stopped
        self._count = 0
        self._in_hand = 0
        self._is_stopped = False
        make_queue = get_original("queue", "SimpleQueue")
        self._todo, self._ended = make_queue(), make_queue()
        self._done: deque[_Call[object]] = deque()
        self._wake = gevent.get_hub().loop.async_()
        self._idle = Event()
        self._idle.set()

    @property
    def in_hand(self) -> int:
        """How many calls have not ended, those included that were given up."""
        return self._in_hand

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call this in a thread; blocks this greenlet only. Interrupted, it does not wait for the thread any more.

        Raises what it raises; after `stop`, what `stopped` makes: by default a RuntimeError.
        """
        if self._is_stopped:
            raise self._stopped()
        call: _Call[T] = _Call(partial(function, *args, **kwargs) if args or kwargs else function)
        self._begin(cast("_Call[object]", call))
        try:
            call.waiter.get()
        finally:
            call.is_given_up = True
        if call.error is not None:
            raise call.error
        return cast(T, call.result)

    def join(self) -> None:
        """Wait until nothing is in hand."""
        self._idle.wait()

    def stop(self, limit_s: float | None = None) -> None:
        """End the threads after what is in hand; those that take longer than `limit_s` are left alone. Idempotent."""
        if self._is_stopped:
            return
        self._is_stopped = True
        for _ in range(self._count):
            self._todo.put(None)
        gevent.with_timeout(limit_s, self.join, timeout_value=None)
        if not self._in_hand:
            for _ in range(self._count):
                self._ended.get()  # they have nothing to do any more: this takes no time
            self._wake.close()

    def _begin(self, call: _Call[object]) -> None:
        if self._count < min(self._max, self._in_hand + 1):
            get_original("_thread", "start_new_thread")(self._run, ())
            self._count += 1
        if not self._in_hand:  # what is sent to a watcher that is not started is lost
            self._wake.start(self._finish)
            self._idle.clear()
        self._in_hand += 1
        self._todo.put(call)

    def _finish(self) -> None:
        """In the hub: let the greenlets go on whose calls have ended."""
        while self._done:
            call = self._done.popleft()
            self._in_hand -= 1
            if not self._in_hand:
                self._wake.stop()
                self._idle.set()
            call.waiter.switch(None)

    def _run(self) -> None:
        while (call := self._todo.get()) is not None:
            call.make()
            self._done.append(call)
            self._wake.send()
        self._ended.put(None)
