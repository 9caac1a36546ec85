"""Virtual time: an event loop for gevent whose clock stands still while anything is ready to run, and jumps when not.

Everything that waits on the hub waits in virtual time: `gevent.sleep`, deadlines, `Event.wait(timeout)`, `joinall`. The
code under test is not patched and cannot tell. There are no descriptors, threads or signals in here.

Invariant: two runs with the same seed run the same callbacks in the same order. Callbacks run first in, first out, as
in gevent; timers by time, and those of one moment in the order in which they were started.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterator

import gevent
from gevent.hub import Hub, set_hub

MAX_CALLBACKS_AT_ONCE = 50_000
"""Callbacks without any time passing: more than this is a busy loop."""


class BusyLoop(BaseException):
    """Something runs on and on while time stands still."""


class _Callback:
    """What `run_callback` returns: gevent asks whether it still waits, and may take it back."""

    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args

    def stop(self) -> None:
        self.callback = None

    close = stop

    @property
    def pending(self) -> bool:
        return self.callback is not None

    def __bool__(self) -> bool:
        return self.pending


class _Timer:
    """A timer watcher, as far as gevent uses one."""

    pending = False

    def __init__(self, loop: VirtualLoop, after_s: float) -> None:
        self._loop = loop
        self.after_s = max(0.0, after_s)
        self.callback: Callable[..., object] | None = None
        self.args: tuple[object, ...] = ()
        self.due: tuple[float, int] | None = None

    def start(self, callback: Callable[..., object], *args: object, update: object = None) -> None:
        self.callback, self.args = callback, args
        self._loop.add(self)

    def stop(self) -> None:
        self.callback, self.due = None, None

    close = stop

    @property
    def active(self) -> bool:
        return self.callback is not None

    def __enter__(self) -> _Timer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class VirtualLoop:
    """The event loop of one simulation.

    Attributes:
        started: every greenlet that was ever started on it, in that order.
    """

    default = False
    error_handler = None

    def __init__(self) -> None:
        self._now_s = 0.0
        self._ready: deque[_Callback] = deque()
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = itertools.count()
        self.started: dict[gevent.Greenlet[..., object], int] = {}

    # what gevent calls

    def run_callback(self, function: Callable[..., object], *args: object) -> _Callback:
        owner = getattr(function, "__self__", None)
        if isinstance(owner, gevent.Greenlet):
            self.started.setdefault(owner, len(self.started))
        callback = _Callback(function, tuple(self._in_order(arg) for arg in args))
        self._ready.append(callback)
        return callback

    def timer(self, after: float, repeat: float = 0.0, ref: bool = True, priority: object = None) -> _Timer:
        return _Timer(self, after)

    def add(self, timer: _Timer) -> None:
        timer.due = (self._now_s + timer.after_s, next(self._order))
        heapq.heappush(self._timers, (*timer.due, timer))

    def now(self) -> float:
        return self._now_s

    def update_now(self) -> None: ...

    def destroy(self) -> None: ...

    def _format(self) -> str:
        return f"virtual time {self._now_s:.3f} s"

    def run(self) -> None:
        """Until nothing waits any more: gevent then raises LoopExit in the main greenlet."""
        while True:
            self._run_ready()
            timer = self._next_timer()
            if timer is None:
                return
            callback, args = timer.callback, timer.args
            timer.stop()
            self._call(callback, args)

    # what a simulation asks

    @property
    def active_timers(self) -> int:
        """How many timers wait."""
        return sum(timer.due == (due_s, number) for due_s, number, timer in self._timers)

    @property
    def running(self) -> list[gevent.Greenlet[..., object]]:
        """Greenlets that have been started and have not ended, oldest first."""
        self.started = {one: number for one, number in self.started.items() if not one.ready()}
        return list(self.started)

    def _run_ready(self) -> None:
        count = 0
        while self._ready:
            count += 1
            if count > MAX_CALLBACKS_AT_ONCE:
                count = 0  # whoever catches it may go on
                self._ready.clear()
                gevent.get_hub().parent.throw(BusyLoop(f"still {self._now_s:.3f} s"))
            callback = self._ready.popleft()
            function = callback.callback
            callback.stop()
            if function is not None:
                self._call(function, callback.args)

    def _next_timer(self) -> _Timer | None:
        while self._timers:
            due_s, number, timer = heapq.heappop(self._timers)
            if timer.due == (due_s, number):
                self._now_s = due_s
                return timer
        return None

    def _call(self, function: Callable[..., object] | None, args: tuple[object, ...]) -> None:
        try:
            if function is not None:
                function(*args)
        except BaseException:  # noqa: BLE001 - as gevent's own loops do: the hub says what becomes of it
            gevent.get_hub().handle_error(function, *sys.exc_info())

    def _in_order(self, arg: object) -> object:
        """`gevent.killall` gets its greenlets from a set, in the order of their addresses: not the same in two runs."""
        if isinstance(arg, list) and arg and all(isinstance(one, gevent.Greenlet) for one in arg):
            return sorted(arg, key=lambda one: self.started.get(one, -1))
        return arg


class VirtualHub(Hub):
    """A hub on a virtual loop; what greenlets die of is kept, not printed."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(loop)
        self.errors: list[BaseException] = []

    def handle_error(self, context: object, _: object, value: object, tb: object) -> None:
        if isinstance(value, BaseException) and not isinstance(value, gevent.GreenletExit):
            self.errors.append(value)


@contextlib.contextmanager
def virtual_hub() -> Iterator[VirtualHub]:
    """While this lasts, this thread's hub is a new one on a new loop, and time is virtual."""
    before = gevent.get_hub()
    hub = VirtualHub(VirtualLoop())
    set_hub(hub)
    try:
        yield hub
    finally:
        set_hub(before)
        hub.destroy(destroy_loop=True)


class VirtualClock:
    """The Clock contract over a virtual loop; `jump` sets the wall clock alone, as an administrator does."""

    EPOCH_S = 1_700_000_000.0

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._offset_s = self.EPOCH_S

    def now(self) -> float:
        return self._loop.now() + self._offset_s

    def monotonic(self) -> float:
        return self._loop.now()

    def sleep(self, delay_s: float) -> None:
        gevent.sleep(delay_s)

    def jump(self, delay_s: float) -> None:
        """Move the wall clock on or back."""
        self._offset_s += delay_s
