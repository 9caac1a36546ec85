"""Places: how many attempts of a proxy queue run at once in each lane, and who waits for one. In memory only.

Invariants: a lane never runs more than its relay allows at once; a lane that nobody uses is forgotten.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import attrs
from gevent.lock import Semaphore

from mdacore.queue.routing import relay_of
from mdacore.queue.wiring import BoundRelay


@attrs.define(eq=False)
class _Lane:
    """`users` run in it or wait for it."""

    free: Semaphore
    users: int = 0


class Places:
    """Those of one queue."""

    def __init__(self, relays: Mapping[str, BoundRelay]) -> None:
        self._relays = relays
        self._lanes: dict[str, _Lane] = {}

    @property
    def full(self) -> list[str]:
        """The lanes that have no place free."""
        return sorted(name for name, lane in self._lanes.items() if lane.free.locked())

    def __len__(self) -> int:
        return len(self._lanes)

    @contextlib.contextmanager
    def place(self, lane_name: str, wait_s: float) -> Iterator[bool]:
        """A place in this lane for as long as the block lasts; False = there was none within `wait_s`."""
        lane = self._lanes.get(lane_name)
        if lane is None:
            lane = self._lanes[lane_name] = _Lane(Semaphore(self._relays[relay_of(lane_name)].concurrency))
        lane.users += 1
        has_place = False
        try:
            has_place = lane.free.acquire(timeout=wait_s)
            yield has_place
        finally:
            if has_place:
                lane.free.release()
            lane.users -= 1
            if not lane.users:
                del self._lanes[lane_name]
