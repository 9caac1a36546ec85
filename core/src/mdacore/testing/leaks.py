"""Leak checks: greenlets, descriptors and children that a block of a test began and did not end. Needs Linux's /proc.

What is only garbage is collected first, and what is about to end gets a bounded number of the hub's iterations; the
clock is waited for only where the caller says so. Greenlets of other threads are theirs.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType

import attrs
import gevent
import greenlet

ROUNDS = 10
"""How often to look again at what seems to have leaked,"""
ITERATIONS = 20
"""each time after so many iterations of the hub and a collection of garbage;"""
PAUSE_S = 0.05
"""and then, while there is patience, after so long."""


@contextlib.contextmanager
def no_leaks(
    *, greenlets: bool = True, descriptors: bool = True, children: bool = True, patience_s: float = 0.0
) -> Iterator[None]:
    """What the block begins it ends: no greenlet runs, no descriptor is open and no child is there that was not before.

    Raises AssertionError with the name of each: what the greenlet runs and where it waits, what the descriptor is open
    on, the child's command line. A block that raises is not looked at. `patience_s` is for what a thread has in hand
    when the block ends, and nobody can wait for: so long may it take.
    """
    gevent.sleep(0)  # the hub runs from now on: it and its descriptors are nobody's leak
    looks = [
        look
        for look, is_wanted in ((_greenlets, greenlets), (_descriptors, descriptors), (_children, children))
        if is_wanted
    ]
    gc.collect()
    before = [look() for look in looks]
    yield
    ends_at = time.monotonic() + patience_s
    for number in count(1):
        leaked = [one for look, known in zip(looks, before, strict=True) for one in _new(look(), known)]
        if not leaked:
            return
        if number > ROUNDS and time.monotonic() >= ends_at:
            raise AssertionError("leaked: " + "; ".join(leaked))
        for _ in range(ITERATIONS):
            gevent.sleep(0)
        if number > ROUNDS:
            gevent.sleep(PAUSE_S)
        gc.collect()


@attrs.frozen
class _Found:
    """Something that could leak; `identity` keeps it from being taken for another one that came later."""

    identity: object
    name: Callable[[], str]


def _new(now: Mapping[int, _Found], before: Mapping[int, _Found]) -> Iterator[str]:
    for key, found in now.items():
        if key not in before or before[key].identity != found.identity:
            yield found.name()


def _descriptors() -> dict[int, _Found]:
    found = {}
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - closed before its entries are read
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            target = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115 - most of them are no paths
            found[number] = _Found(target, partial("descriptor {} on {}".format, number, target))
    return found


def _children() -> dict[int, _Found]:
    found = {}
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the thread has ended
            for pid in map(int, (task / "children").read_text().split()):
                found[pid] = _Found(pid, partial(_command_line, pid))
    return found


def _command_line(pid: int) -> str:
    """What it runs; one that has ended and was not waited for has only a name left."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return f"child {pid}, which was there a moment ago"
    command = b" ".join(words).decode(errors="backslashreplace")
    return f"child {pid}: {command or f'{name}, which has ended and was not waited for'}"


def _greenlets() -> dict[int, _Found]:
    ours = _root(greenlet.getcurrent())
    return {
        id(one): _Found(one, partial(_described, one))
        for one in gc.get_objects()
        if isinstance(one, greenlet.greenlet) and one and _root(one) is ours
    }


def _root(one: greenlet.greenlet) -> greenlet.greenlet:
    while one.parent is not None:
        one = one.parent
    return one


def _described(one: greenlet.greenlet) -> str:
    frame = _own_frame(one.gr_frame)
    where = f", at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}" if frame else ""
    return f"greenlet {one!r}{where}"


def _own_frame(frame: FrameType | None) -> FrameType | None:
    """Where it waits, seen from outside of gevent."""
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "gevent":
        frame = frame.f_back
    return frame
