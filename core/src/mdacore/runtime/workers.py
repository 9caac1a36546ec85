"""Workers: greenlets that are used again.

A greenlet is quick to switch to and slow to make: its stack is memory that is mapped and unmapped, 17 us of the 22 us
that a greenlet costs which waits once. So one that has done its work takes the next.
Invariants: work that was given is begun, whatever strikes a greenlet at rest; no work finds what another has bound in
its log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVarTuple

import gevent
from gevent.event import Event
from gevent.hub import Waiter
from greenlet import GreenletExit

from mdacore import log

Args = TypeVarTuple("Args")

IDLE_MAX = 64
"""How many greenlets at rest are kept."""


class Workers:
    """Runs each function in a greenlet of its own for as long as it takes, as `gevent.spawn` does."""

    def __init__(self) -> None:
        self._busy: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._none_busy = Event()
        self._is_closed = False

    def run(self, function: Callable[[*Args], None], *args: *Args) -> None:
        """Begin this soon, in another greenlet. Never blocks."""
        if self._idle:
            worker = self._idle.pop()
            worker.task = function, args
            gevent.get_hub().loop.run_callback(worker.waiter.switch, None)
        else:
            worker = _Worker()
            worker.task = function, args
            worker.greenlet = gevent.spawn(self._work, worker)
        self._busy.add(worker)

    def join(self, timeout_s: float) -> bool:
        """Wait until all that was begun has ended; True if it did."""
        if self._busy:
            self._none_busy.clear()
            self._none_busy.wait(timeout_s)
        return not self._busy

    def kill(self, is_meant: Callable[..., bool] = lambda *_: True) -> None:
        """Interrupt, by GreenletExit, what is being done with arguments that are meant. Does not wait.

        What has not begun goes on: it would never end.
        """
        begun = (worker for worker in self._busy if worker.task is None)
        gevent.killall([worker.greenlet for worker in begun if is_meant(*worker.args)], block=False)

    def close(self) -> None:
        """End the greenlets at rest, and every other once it has done its work."""
        self._is_closed = True
        gevent.killall([worker.greenlet for worker in self._idle], block=False)

    def _work(self, worker: _Worker) -> None:
        while worker.task is not None:
            (function, worker.args), worker.task = worker.task, None
            try:
                function(*worker.args)
            finally:
                self._busy.discard(worker)
                if not self._busy:
                    self._none_busy.set()
            if self._is_closed or len(self._idle) >= IDLE_MAX:
                return
            log.unbind_all()
            self._rest(worker)

    def _rest(self, worker: _Worker) -> None:
        """Wait for the next task; interrupted before there is one, this greenlet ends."""
        worker.waiter = Waiter()
        self._idle.append(worker)
        try:
            worker.waiter.get()
        except (GreenletExit, gevent.Timeout):  # the timer may be one that an earlier task has left behind
            if worker.task is None:
                self._idle.remove(worker)


class _Worker:
    """One greenlet, and what it is to do next."""

    __slots__ = ("args", "greenlet", "task", "waiter")

    greenlet: gevent.Greenlet[..., None]
    waiter: Waiter[None]
    task: tuple[Callable[..., None], tuple[object, ...]] | None
    args: tuple[object, ...]
