"""Suspects: messages during whose attempts the process has died before. Each is attempted with nothing else in hand, so
that the next crash tells whose fault it is; a message that ends the process even then, and again, is held.

While a suspect is attempted new mail is accepted and waits in the storage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from gevent.lock import BoundedSemaphore

from mdacore import events
from mdacore.contracts import SUSPECT_AFTER, Claim, Settlement
from mdacore.queue import storages
from mdacore.queue.delivery import Delivery
from mdacore.queue.lane import Job
from mdacore.queue.wiring import QueueWiring
from mdacore.runtime import Fence
from mdacore.words import QueueId

ALONE_MAX: Final = 2
"""How often the process may end while a message is attempted alone: once may be somebody's kill -9."""
LOOK_EVERY_S: Final = 60.0
"""How often suspects are looked for after the start: other nodes may die."""


class Isolation:
    """All queues of one process: what one of them attempts alone no other may disturb."""

    def __init__(self) -> None:
        self._turn = BoundedSemaphore(1)
        self._deliveries: list[Delivery] = []

    def add(self, delivery: Delivery) -> None:
        """One more queue's."""
        self._deliveries.append(delivery)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While this lasts no queue claims anything; it begins once none has anything in hand. Blocks until then."""
        with self._turn:
            self._pause(True)
            try:
                for delivery in self._deliveries:
                    delivery.wait_until_empty()
                yield
            finally:
                self._pause(False)

    def _pause(self, is_paused: bool) -> None:
        for delivery in self._deliveries:
            delivery.lanes.is_paused = is_paused
            delivery.room_changed.set()


class Suspects:
    """Those of one queue."""

    def __init__(self, wiring: QueueWiring, delivery: Delivery, storage: Fence, isolation: Isolation) -> None:
        self._name = wiring.name
        self._storage = wiring.storage
        self._storage_fence = storage
        self._delivery = delivery
        self._isolation = isolation
        self._clock = wiring.clock
        self._log = wiring.log
        self._look_at = float("-inf")
        isolation.add(delivery)

    def attempt(self) -> None:
        """Attempt all there are, if it is time to look. Blocks until they are through. Raises MdaError."""
        if self._clock.monotonic() < self._look_at:
            return
        self._look_at = self._clock.monotonic() + LOOK_EVERY_S
        if not self._storage_fence.call(storages.has_suspect, self._storage, self._name):
            return
        with self._isolation.alone():  # and only then claimed: from the claim on a crash counts
            seen: set[QueueId] = set()
            while (claim := self._claim()) is not None:
                if claim.queue_id in seen:  # given back, since its relay is switched off: it comes first for ever
                    self._delivery.release(claim)
                    return
                seen.add(claim.queue_id)
                self._attempt_alone(claim)

    def _claim(self) -> Claim | None:
        return self._storage_fence.call(storages.claim_suspect, self._storage, self._name)

    def _attempt_alone(self, claim: Claim) -> None:
        if claim.unsettled >= SUSPECT_AFTER + ALONE_MAX:
            reason = f"{claim.unsettled} attempts have ended the service, the last {ALONE_MAX} while nothing else ran"
            self._log.error(events.QUEUE_HELD, queue_id=claim.queue_id, reason=reason)
            self._delivery.settle(claim, Settlement(held=reason))
            return
        self._log.warning(events.QUEUE_ISOLATED, queue_id=claim.queue_id, unsettled=claim.unsettled)
        self._delivery.attempt_now(Job(claim=claim))
        self._delivery.wait_until_empty()
