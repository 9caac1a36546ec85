"""LeasingStorage: a QueueStorage as many nodes share one: a claim is a lease with an epoch, by the storage's clock.

Invariant: a claim is good until its lease runs out, and not a moment longer: whatever a late owner asks for is
ClaimLost, also while nobody else has taken the message yet. Nothing survives the process.
"""

from __future__ import annotations

from collections.abc import Sequence

from mdacore.contracts import Claim, Clock
from mdacore.testing.memory import Memory, MemoryStorage, _Row
from mdacore.words import QueueId

LEASE_S = 60.0


class LeasingStorage(MemoryStorage):
    """One node's handle onto a memory that others may share (`node`). A node that dies gives nothing back.

    `clock` is the storage's own: that of the database, not of a node. A lease is `lease_s` seconds from the claim, and
    again from each `renew`. A lease that ran out counts as unsettled, as a crash does.
    """

    def __init__(self, clock: Clock, *, lease_s: float = LEASE_S, memory: Memory | None = None) -> None:
        super().__init__(clock, memory)
        self._lease_s = lease_s

    @property
    def renew_every_s(self) -> float | None:
        return self._lease_s / 4

    def node(self) -> LeasingStorage:
        """Another node's handle onto the same memory, not started."""
        return LeasingStorage(self._clock, lease_s=self._lease_s, memory=self._memory)

    def renew(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        self._fail("renew")
        kept = super().renew(claims)
        for claim in kept:
            self._rows[claim.queue_id].lease_ends_at = self._lease_end()
        return kept

    def crash(self) -> None:
        """The node is gone: the others get what it had claimed when its leases run out, not now."""

    @property
    def _rows(self) -> dict[QueueId, _Row]:
        """As every method sees them: what had a lease that ran out is nobody's."""
        now = self._clock.now()
        for row in self._memory.rows.values():
            if row.is_claimed and row.lease_ends_at <= now:
                row.is_claimed = False
                row.unsettled += 1
        return self._memory.rows

    def _claim(self, queue_id: QueueId) -> Claim:
        claim = super()._claim(queue_id)
        self._memory.rows[queue_id].lease_ends_at = self._lease_end()
        return claim

    def _lease_end(self) -> float:
        return self._clock.now() + self._lease_s
