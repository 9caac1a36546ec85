"""Renewal: keeps the claims of a storage whose claims run out, and lets go of those that were lost.

Where a claim is a lease, an attempt may take longer than one; nobody else may attempt the message meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from mdacore import events
from mdacore.contracts import Claim, QueueStorage
from mdacore.queue import storages
from mdacore.queue.delivery import Delivery
from mdacore.queue.wiring import QueueWiring
from mdacore.runtime import Fence
from mdacore.words import MdaError


class Renewal:
    """That of one queue's claims."""

    def __init__(self, wiring: QueueWiring, delivery: Delivery, storage: Fence) -> None:
        self._storage: QueueStorage = wiring.storage
        self._storage_fence = storage
        self._delivery = delivery
        self._clock = wiring.clock
        self._log = wiring.log

    def run(self, every_s: float) -> None:
        """Renew until interrupted; sooner again when it failed, for a claim that is not renewed is lost."""
        wait_s = every_s
        while True:
            self._clock.sleep(wait_s)
            wait_s = (
                every_s if self._renew([job.claim for job in self._delivery.lanes.in_hand.values()]) else every_s / 4
            )

    def _renew(self, claims: Sequence[Claim]) -> bool:
        if not claims:
            return True
        try:
            kept = self._storage_fence.call(storages.renew, self._storage, claims)
        except MdaError as error:
            self._log.error(events.QUEUE_RENEW_FAILED, error=str(error), claims=len(claims))
            return False
        for claim in claims:
            if (claim.queue_id, claim.epoch) not in kept:
                self._delivery.lose(claim)
        return True
