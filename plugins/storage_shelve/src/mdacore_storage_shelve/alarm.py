"""Alarms: wake whoever waits for something to claim. On the hub, in memory, without a query.

Invariant: an alarm's time is never later than the due time of the first free message that the last claim left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import gevent
from gevent.event import Event

from mdacore import Clock
from mdacore_storage_shelve import schema
from mdacore_storage_shelve.jobs import Amend, AmendedRow, ClaimDue, Claimed, Job, MessageRow, Release, Settle, Write


class Alarm:
    """One queue's: knows when there may be something to claim; at first, that there may be something now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_due_at = float("-inf")
        self._rings = Event()

    def looked(self, next_due_at: float) -> None:
        """A claim has taken what it could; this is when there may be more."""
        self._next_due_at = next_due_at

    def offer(self, due_at: float) -> None:
        """A message is free from now on and due then."""
        if due_at < self._next_due_at:
            self._next_due_at = due_at
            self._rings.set()

    def wait(self, timeout_s: float) -> None:
        """Block until a message may be due, at most `timeout_s`."""
        ends_at = self._clock.monotonic() + timeout_s
        while (delay_s := min(self._next_due_at - self._clock.now(), ends_at - self._clock.monotonic())) > 0:
            self._rings.clear()
            timer = gevent.spawn(self._ring_in, delay_s)
            try:
                self._rings.wait()
            finally:
                timer.kill(block=False)

    def _ring_in(self, delay_s: float) -> None:
        self._clock.sleep(delay_s)
        self._rings.set()


class Alarms:
    """Those of all queues of one storage."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alarms: dict[str, Alarm] = {}

    def of(self, queue: str) -> Alarm:
        """The alarm of this queue."""
        alarm = self._alarms.get(queue)
        if alarm is None:
            alarm = self._alarms[queue] = Alarm(self._clock)
        return alarm

    def announce(self, job: Job[object], result: object) -> None:
        """This job was committed with this result."""
        match job:
            case Write():
                self._offer(job.messages)
            case Settle():
                self._offer(job.notices)
                if job.deferred is not None and job.deferred.state == schema.FREE:
                    self.of(job.claim.queue).offer(job.deferred.due_at)
            case Release():
                self.of(job.claim.queue).offer(self._clock.now() if job.due_at is None else job.due_at)
            case ClaimDue():
                self.of(job.queue).looked(cast(Claimed, result).next_due_at)
            case Amend():
                for queue in {row.queue for row in cast(Sequence[AmendedRow], result)}:
                    self.of(queue).offer(job.now)  # perhaps too early: the claim that follows finds out

    def _offer(self, rows: Iterable[MessageRow]) -> None:
        for row in rows:
            if row.state == schema.FREE:
                self.of(row.queue).offer(row.due_at)
