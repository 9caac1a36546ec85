"""Waiting for what the edge's greenlets do: bounded, and no longer than it takes."""

from __future__ import annotations

from collections.abc import Callable

import gevent

PATIENCE_S = 60.0


def settle() -> None:
    """Let everybody run until all wait for something. What waits for a thread or a process is not through by then."""
    for _ in range(5):
        gevent.idle()


def wait_for(condition: Callable[[], object]) -> None:
    """For what `settle` is not enough for, and for all that is asserted next."""
    with gevent.Timeout(PATIENCE_S):
        while not condition():
            gevent.sleep(0.001)  # a peer's packet: there is nothing to wait on but the loop
