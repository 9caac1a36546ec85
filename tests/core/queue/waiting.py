"""Waiting for what the queue's greenlets do: bounded, and no longer than it takes."""

from __future__ import annotations

from collections.abc import Callable

import gevent

PATIENCE_S = 60


def wait_until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(PATIENCE_S):
        while not condition():
            gevent.sleep(0.001)


def settlements(bench, count):
    """Wait until this many claims are settled; returns their settlements."""
    wait_until(lambda: len(bench.storage.settled) >= count)
    return [settlement for _, settlement in bench.storage.settled]


def let_run(turns: int = 50) -> None:
    """Whatever can go on without time passing goes on."""
    for _ in range(turns):
        gevent.sleep(0)
