"""Turns: how many deliveries into one mailbox run at once, so that a slow user cannot hold all places of the relay.

Invariant: a delivery waits for its turn `wait_s` at most, and not at all while the mailbox has not moved for that long:
mail for a user whose program hangs is deferred at once, and leaves the places to the others.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import attrs
from gevent.lock import Semaphore

from mdacore import Clock


@attrs.define
class _Mailbox:
    free: Semaphore
    users: int = 0
    """Those who have a turn or wait for one."""
    taken_at: float = 0.0
    """Monotonic time when a turn was last taken: while none is free, since when nothing has moved."""


class Turns:
    """A few turns for each key. What is kept in memory are the keys in use."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._mailboxes: dict[Hashable, _Mailbox] = {}

    def __len__(self) -> int:
        """How many keys are in use."""
        return len(self._mailboxes)

    @contextmanager
    def turn(self, key: Hashable, wait_s: float) -> Iterator[bool]:
        """Hold a turn while the block runs, if there was one; the value says so. Blocks this greenlet."""
        mailbox = self._mailboxes.get(key)
        if mailbox is None:
            mailbox = self._mailboxes[key] = _Mailbox(Semaphore(self._limit))
        mailbox.users += 1
        try:
            has_turn = self._take(mailbox, wait_s)
            try:
                yield has_turn
            finally:
                if has_turn:
                    mailbox.free.release()
        finally:
            mailbox.users -= 1
            if not mailbox.users:
                del self._mailboxes[key]

    def _take(self, mailbox: _Mailbox, wait_s: float) -> bool:
        if not mailbox.free.acquire(blocking=False):
            has_moved = self._clock.monotonic() - mailbox.taken_at < wait_s
            if not has_moved or not mailbox.free.acquire(timeout=wait_s):
                return False
        mailbox.taken_at = self._clock.monotonic()
        return True
