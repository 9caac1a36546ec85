"""The ledger: who has claimed what, in memory only. What survives a crash is the row's state and its counters.

Invariant: it is changed by the commit thread alone, after the commit; so a claim that is in here is durable, and of
two owners of one message only the one with the ledger's epoch is believed.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Mapping

import attrs

from mdacore import Claim, ClaimLost, QueueId
from mdacore_storage_shelve.record import Progress

_RUN_BITS = 32


@attrs.define
class ActiveClaim:
    """One running claim.

    Attributes:
        open_numbers: of the recipients without an end; None until the message has been read.
        progress: what earlier attempts came to; None = there was none, or the message has not been read.
    """

    number: int
    epoch: int
    body: int
    body_is_file: bool
    open_numbers: frozenset[int] | None = None
    progress: Progress | None = None


class Ledger:
    """The running claims of one run of the store.

    Attributes:
        unused_bodies: body files whose last user may be gone, for Upkeep to look at.
        aside: how many messages are set aside.
    """

    def __init__(self, *, run: int, aside: int) -> None:
        self._claims: dict[QueueId, ActiveClaim] = {}
        self._epochs = itertools.count((run << _RUN_BITS) + 1)
        self.unused_bodies: deque[int] = deque()
        self.aside = aside

    def __len__(self) -> int:
        return len(self._claims)

    def next_epoch(self) -> int:
        """Higher than every one before, in this run and in earlier ones."""
        return next(self._epochs)

    def owned(self, claim: Claim) -> ActiveClaim:
        """The claim as it is kept here. Raises ClaimLost: it is over, or somebody else's by now."""
        active = self._claims.get(claim.queue_id)
        if active is None or active.epoch != claim.epoch:
            raise ClaimLost(f"{claim.queue_id}: this claim is over")
        return active

    def owns(self, claim: Claim) -> bool:
        """The claim is neither over nor somebody else's."""
        active = self._claims.get(claim.queue_id)
        return active is not None and active.epoch == claim.epoch

    def begin(self, claims: Mapping[QueueId, ActiveClaim]) -> None:
        """These are claimed now."""
        self._claims.update(claims)

    def end(self, queue_ids: Iterable[QueueId]) -> None:
        """The claims on these are over."""
        for queue_id in queue_ids:
            del self._claims[queue_id]
