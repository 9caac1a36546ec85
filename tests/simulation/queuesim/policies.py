"""Policies that change, split, drop, hold and refuse by chance, and fail like everybody else."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import gevent

from mdacore import Attempt, Deferral, Discard, Envelope, Hold, Rejection
from queuesim.disk import Disk
from queuesim.faults import Chance, Mortal
from queuesim.ledger import Ledger, mailbox_of, token_of
from queuesim.relay import LATER, NEVER

DEADLINE_S = 20.0


class SimulatedPolicies:
    """A queue policy and a relay policy of one life."""

    def __init__(self, disk: Disk, life: Mortal, chance: Chance, ledger: Ledger, faults: float) -> None:
        self._disk = disk
        self._life = life
        self._chance = chance
        self._ledger = ledger
        self._faults = faults

    def at_queue(self, envelope: Envelope) -> Sequence[Envelope]:
        """A QueuePolicy."""
        self._misbehave()
        match (
            "pass"
            if self._life.is_calm
            else self._chance.choice(("pass", "pass", "split", "move", "drop", "hold", "refuse", "defer"))
        ):
            case "split":
                return [envelope.with_recipients([recipient]) for recipient in envelope.recipients]
            case "move":
                return [envelope.with_recipients(attrs.evolve(one, address=_moved(one)) for one in envelope.recipients)]
            case "drop" if self._chance.strikes(0.3):
                dropped = {mailbox_of(recipient.address) for recipient in envelope.recipients}
                self._ledger.discarded[token_of(envelope)] |= dropped
                raise Discard("simulated")
            case "hold" if self._chance.strikes(0.3):
                raise Hold("simulated")
            case "refuse" if self._chance.strikes(0.3):
                raise Rejection(NEVER)
            case "defer" if self._chance.strikes(0.3):
                raise Deferral(LATER)
        return [envelope]

    def at_relay(self, envelope: Envelope, attempt: Attempt) -> Envelope:
        """A RelayPolicy."""
        self._misbehave()
        verdict = self._chance.choice(("", "", "", "", "discard", "hold", "reject", "defer"))
        row = self._disk.rows.get(attempt.queue_id)
        if not verdict or row is None or self._life.is_calm or not self._chance.strikes(0.3):
            return envelope.with_content(envelope.content.prepend(b"X-Sim: yes\r\n"))
        if row.attempts == attempt.number:  # else this claim is over, and its result will not be recorded
            self._ledger.turns[row.queue_id, row.epoch].verdict = verdict
        raise {
            "discard": Discard("simulated"),
            "hold": Hold("simulated"),
            "reject": Rejection(NEVER),
            "defer": Deferral(LATER),
        }[verdict]

    def _misbehave(self) -> None:
        self._life.point()
        self._chance.turns()
        self._life.point()
        fault = "" if self._life.is_calm else self._chance.fault(self._faults, ("raise", "overrun"))
        if fault == "raise":
            raise self._chance.weird()
        if fault == "overrun":
            gevent.sleep(3 * DEADLINE_S)


def _moved(recipient: object) -> str:
    address: str = recipient.address  # type: ignore[attr-defined] # a Recipient
    return f"{mailbox_of(address)}@two.test"
