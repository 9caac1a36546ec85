"""The relays: what becomes of a recipient stands in its address; the rest is chance.

A relay tells the ledger when somebody has his mail, and what it is about to return; between the two anything may
happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import gevent

from mdacore import Attempt, DestinationDown, Envelope, Health, Recipient, Reply, domain_of
from queuesim.disk import Disk
from queuesim.faults import Chance, Mortal
from queuesim.ledger import Ledger

OK = Reply.parse("250 2.0.0 Delivered")
LATER = Reply.parse("451 4.2.1 Mailbox busy")
NEVER = Reply.parse("550 5.1.1 No such user")
DOWN = Reply.parse("451 4.4.1 Connection refused")
ODD = Reply(code=354, text="go ahead")
FAULTS = ("raise_before", "raise_after", "overrun", "too_few", "too_many", "rubbish", "odd", "stubborn", "exit")


class SimulatedRelay:
    """One relay instance of one life of the process; with `by_domain` each domain is a destination."""

    def __init__(
        self,
        disk: Disk,
        life: Mortal,
        chance: Chance,
        ledger: Ledger,
        *,
        faults: float,
        by_domain: bool,
        is_down: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._disk = disk
        self._life = life
        self._chance = chance
        self._ledger = ledger
        self._faults = faults
        self._by_domain = by_domain
        self._is_down = is_down

    def start(self) -> None: ...

    def drain(self, grace_s: float) -> bool:
        return True

    def stop(self) -> None: ...

    def health(self) -> Health:
        return Health()

    def destination(self, envelope: Envelope) -> str:
        if not self._life.is_calm and self._chance.strikes(self._faults / 10):
            raise self._chance.weird()
        return domain_of(envelope.recipients[0].address) if self._by_domain else ""

    def attempt(self, envelope: Envelope, attempt: Attempt) -> Mapping[int, Reply]:
        self._life.point()
        row = self._disk.rows.get(attempt.queue_id)
        epoch = self._ledger.attempt_begins(row, envelope, attempt)
        try:
            return self._attempt(envelope, attempt, epoch)
        finally:
            if not self._life.is_dead and row is not None and epoch is not None:
                self._ledger.attempt_ends(row)

    def _attempt(self, envelope: Envelope, attempt: Attempt, epoch: int | None) -> Mapping[int, Reply]:
        fault = "" if self._life.is_calm else self._chance.fault(self._faults, FAULTS)
        self._wait()
        row = self._disk.rows.get(attempt.queue_id)
        if row is not None and self._is_down(row.lane):
            self._ledger.found_down(row.lane)
            raise DestinationDown(DOWN)
        if fault == "raise_before":
            raise self._chance.weird()
        replies: dict[int, Reply] = {}
        for recipient in envelope.recipients:
            replies[recipient.number] = reply = self._reply(recipient)
            if reply.is_success:
                row = self._disk.rows.get(attempt.queue_id)
                self._ledger.delivered(row, envelope, (attempt.queue_id, recipient.number), epoch)
            if self._chance.strikes(0.2):
                self._wait()
        self._wait()
        self._fail(fault, attempt)
        told = self._told(fault, replies)
        if isinstance(told, dict):
            heard = {number: reply for number, reply in told.items() if number in replies and reply != ODD}
            self._ledger.reported(attempt.queue_id, epoch, heard)
        return told

    def _wait(self) -> None:
        self._life.point()
        self._chance.turns()
        self._life.point()

    def _reply(self, recipient: Recipient) -> Reply:
        behaviour = recipient.address.partition("@")[0].rpartition(".")[2]
        if behaviour == "poison":
            self._life.die(is_poisoned=True)
        if behaviour == "never":
            return NEVER
        if behaviour == "stuck":
            return LATER
        if behaviour == "hang" and not self._life.is_calm:
            gevent.sleep(1e6)
        if behaviour == "later" and not self._life.is_calm and self._chance.strikes(0.6):
            return LATER
        return OK

    def _fail(self, fault: str, attempt: Attempt) -> None:
        if fault == "raise_after":
            raise self._chance.weird()
        if fault == "exit":
            raise gevent.GreenletExit
        if fault == "overrun":
            gevent.sleep(attempt.deadline_s * 3)
        if fault == "stubborn":
            try:
                gevent.sleep(attempt.deadline_s * 3)
            except BaseException:  # noqa: BLE001 - a plugin that swallows what interrupts it
                self._life.point()

    def _told(self, fault: str, replies: dict[int, Reply]) -> Mapping[int, Reply]:
        if fault == "too_few":
            return dict(list(replies.items())[1:])
        if fault == "too_many":
            return {**replies, 77: OK}
        if fault == "odd":
            return {**replies, next(iter(replies)): ODD}
        return [OK] if fault == "rubbish" else replies  # type: ignore[return-value] # on purpose
