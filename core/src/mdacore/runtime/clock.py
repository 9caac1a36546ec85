"""The system's clock, as the Clock contract wants it."""

from __future__ import annotations

import time

import gevent


class SystemClock:
    """Wall time, monotonic time and a cooperative sleep."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def sleep(self, delay_s: float) -> None:
        gevent.sleep(delay_s)
