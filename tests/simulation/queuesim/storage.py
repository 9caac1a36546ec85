"""The storage that the queue gets: the disk behind faults, waits, interruptions and the process's death.

Each call has a before and an after; in each it may take turns, and the process may die there. What the contract allows
to be raised is raised before, or for an outcome that is unknown on either side. An interrupted call may still be
carried out, as a commit that has begun is; what it gave to nobody is then given back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import gevent

from mdacore import (
    Change,
    Claim,
    ClaimLost,
    Health,
    NewMessage,
    OutcomeUnknown,
    Query,
    QueuedMessage,
    QueueEntry,
    QueueId,
    Reply,
    Settlement,
    StorageError,
    StorageFull,
)
from mdacore.contracts import PeekedMessage
from queuesim.disk import Disk
from queuesim.faults import Chance, Mortal

T = TypeVar("T")

CHANGING = ("error", "full", "unknown", "weird_before", "weird_after", "hang", "hang")
READING = ("error", "weird_before", "hang")


class SimulatedStorage:
    """A QueueStorage of one life of the process; the disk outlives it.

    Attributes:
        troubled: whose result or claim a fault has hit; a stop need not have recorded those.
    """

    durability = "An accepted message survives everything that this simulation does."
    spool_path: Path | None = None

    def __init__(
        self, disk: Disk, life: Mortal, chance: Chance, faults: float, *, renew_every_s: float | None = None
    ) -> None:
        self.renew_every_s = renew_every_s
        self._disk = disk
        self._life = life
        self._chance = chance
        self._faults = faults
        self.troubled: set[QueueId] = set()

    def start(self) -> None: ...

    def start_reading(self) -> None: ...

    def drain(self, grace_s: float) -> bool:
        return True

    def stop(self) -> None: ...

    def health(self) -> Health:
        return Health()

    def refusal(self, size_bytes: int) -> Reply | None:
        return None

    def write(self, messages: Sequence[NewMessage], *, queue: str, key: str = "") -> Sequence[Claim | QueueId]:
        return self._change(lambda: self._disk.write(messages))

    def claim(self, queue: str, limit: int, *, full_lanes: Collection[str] = ()) -> Sequence[Claim]:
        return self._change(lambda: self._disk.claim(limit, full_lanes))

    def has_suspect(self, queue: str) -> bool:
        fault = self._fault(READING)
        self._wait(fault)
        self._refuse(fault)
        return self._disk.has_suspect()

    def claim_suspect(self, queue: str) -> Claim | None:
        return self._change(lambda: self._disk.claim_suspect())

    def release(self, claim: Claim, *, due_at: float | None = None) -> None:
        self._change(lambda: self._disk.release(claim, due_at), claim)

    def settle(self, claim: Claim, settlement: Settlement) -> Sequence[QueueId]:
        return self._change(lambda: self._disk.settle(claim, settlement), claim)

    def read(self, claim: Claim) -> QueuedMessage:
        fault = self._fault(READING)
        self._wait(fault)
        self._refuse(fault)
        row = self._disk.owned(claim)
        return QueuedMessage(
            envelope=row.envelope,
            accepted_at=row.accepted_at,
            must_bounce=row.must_bounce,
            queue_id=row.queue_id,
            is_delay_reported=row.is_delay_reported,
        )

    def renew(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        return self._change(lambda: self._disk.renew(claims), is_giving=False)

    def wait(self, queue: str, timeout_s: float) -> None:
        self._life.point()
        fault = self._fault(("error", "weird_before", "early"))
        self._refuse(fault)
        if fault != "early":
            self._disk.changed.wait(min(timeout_s, self._disk.next_due_in_s()))
            self._disk.changed.clear()
        self._life.point()

    def entries(self, query: Query) -> Iterator[QueueEntry]:
        raise NotImplementedError("the simulated operator asks the disk")

    def peek(self, queue_id: QueueId) -> PeekedMessage | None:
        raise NotImplementedError("the simulated operator asks the disk")

    def amend(self, query: Query, change: Change) -> Sequence[QueueId]:
        raise NotImplementedError("the simulated operator asks the disk")

    def _change(self, effect: Callable[[], T], claim: Claim | None = None, *, is_giving: bool = True) -> T:
        self._life.point()  # the dead ask for nothing
        fault = self._fault(CHANGING)
        if fault and claim is not None:
            self.troubled.add(claim.queue_id)
        try:
            self._wait(fault)
        except BaseException:
            if is_giving and self._chance.strikes(0.5):
                self._carry_out_later(effect)
            raise
        self._refuse(fault)
        if fault == "unknown" and self._chance.strikes(0.5):
            raise OutcomeUnknown("simulated: not stored")
        result = effect()
        try:
            self._wait("")
        except BaseException:
            if is_giving:
                self._give_back_later(result)
            raise
        if fault in ("unknown", "weird_after"):
            if is_giving:
                self._orphan(result)
            raise OutcomeUnknown("simulated: stored") if fault == "unknown" else self._chance.weird()
        return result

    def _fault(self, kinds: tuple[str, ...]) -> str:
        return "" if self._life.is_calm else self._chance.fault(self._faults, kinds)

    def _wait(self, fault: str) -> None:
        self._life.point()
        self._chance.turns(fault)
        self._life.point()

    def _refuse(self, fault: str) -> None:
        if fault == "error":
            raise StorageError("simulated")
        if fault == "full":
            raise StorageFull
        if fault == "weird_before":
            raise self._chance.weird()

    def _carry_out_later(self, effect: Callable[[], object]) -> None:
        """The commit had begun: it goes on without its caller, and without the process."""
        if self._life.is_dead:
            _unless_lost(effect)
            return

        def carry_out() -> None:
            self._chance.turns()
            result: object = None

            def note_result() -> None:
                nonlocal result
                result = effect()

            _unless_lost(note_result)
            self._give_back_later(result)

        gevent.spawn(carry_out)

    def _give_back_later(self, result: object) -> None:
        """Claims that reached nobody: the storage gives them back itself, if the process lives on."""
        claims = _claims(result)
        if not claims or self._life.is_dead:
            return

        def give_back() -> None:
            self._chance.turns()
            for claim in claims:
                if not self._life.is_dead:
                    _unless_lost(partial(self._disk.release, claim))

        gevent.spawn(give_back)

    def _orphan(self, result: object) -> None:
        for claim in _claims(result):
            self._disk.rows[claim.queue_id].is_orphan = True


def _claims(result: object) -> list[Claim]:
    given = result if isinstance(result, list) else [result]
    return [one for one in given if isinstance(one, Claim)]


def _unless_lost(effect: Callable[[], object]) -> None:
    try:
        effect()
    except ClaimLost:
        return
