"""What really happened, written down by the simulated world, and what must hold of it at every step.

Nothing in here asks the queue: it is told by the disk, the relays, the edges and the log.
Invariants checked: I0 (a 250 means stored, a refusal means never), I2 (one end for each recipient, as the relay said,
and in the log), no delivery after an end, duplicates only with an excuse, lanes within their concurrency, and a notice
in the same step for each bounce that says ``sent``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from mdacore import (
    Attempt,
    Claim,
    Closing,
    Envelope,
    Outcome,
    QueueId,
    Recipient,
    Reply,
    Settlement,
    split_address,
)
from mdacore.contracts import SUSPECT_AFTER
from mdacore.queue.suspension import REVIEW_EVERY_S
from mdacore.testing import CapturedLog
from queuesim.plan import Message

if TYPE_CHECKING:
    from queuesim.disk import Row

EVENTS = {
    "queue.delivered": Outcome.DELIVERED,
    "queue.bounced": Outcome.BOUNCED,
    "queue.discarded": Outcome.DISCARDED,
}
NAMED = re.compile(r"^Final-Recipient: (?:rfc822|utf-8); (\S+)\r\nAction: (\S+)\r$", re.M)
"""Whom a notice speaks of, and what has become of them."""
Place = tuple[QueueId, int]
"""One recipient of one stored message."""
NOT_REPORTED = "the relay never said so"
PAUSE_MAX_S = 990.0
"""The longest pause of a suspension."""
DOWN_WITHIN_S = 50.0
DOWN_MAX = 8
"""How often a destination may be found down in so short a time: what runs when it goes down, and one probe."""

LOOKED_AT_WITHIN_S = REVIEW_EVERY_S + 2 * PAUSE_MAX_S + 60.0
"""For how long what is due may wait until it is claimed, however much waits before it."""
LOOKS_MAX = 40
"""How often one message may be claimed in a siege: twice for each probe."""


@attrs.define
class Delivery:
    """One time that a relay gave a recipient his mail.

    Attributes:
        excuse: why it may be repeated; ``""`` = it may not.
    """

    epoch: int | None
    excuse: str = ""
    is_settled: bool = False


@attrs.define
class Turn:
    """What one claim has heard from relays and policies so far."""

    replies: dict[int, Reply] = attrs.field(factory=dict)
    verdict: str = ""
    began: bool = False


@attrs.define
class Ledger:
    """The account of one simulation.

    Attributes:
        problems: violations found where nothing could be raised.
        deliveries: by stored recipient.
        ends: by stored recipient; each is written once.
        refused: tokens of messages that must never be stored from now on, and why.
        discarded: by token, mailboxes that a queue policy has dropped.
    """

    concurrency: int
    now: Callable[[], float]
    monotonic: Callable[[], float]
    has_leases: bool
    is_poison: bool
    is_siege: bool
    log: CapturedLog = attrs.field(factory=CapturedLog)
    problems: list[str] = attrs.field(factory=list)
    trace: list[str] = attrs.field(factory=list)
    deliveries: dict[Place, list[Delivery]] = attrs.field(factory=lambda: defaultdict(list))
    delivered_at: dict[str, float] = attrs.field(factory=dict)
    ends: dict[Place, Closing] = attrs.field(factory=dict)
    places: dict[tuple[str, str], Place] = attrs.field(factory=dict)
    stored: set[str] = attrs.field(factory=set)
    accepted: dict[str, Message] = attrs.field(factory=dict)
    refused: dict[str, str] = attrs.field(factory=dict)
    discarded: dict[str, set[str]] = attrs.field(factory=lambda: defaultdict(set))
    running: Counter[str] = attrs.field(factory=Counter)
    turns: dict[tuple[QueueId, int], Turn] = attrs.field(factory=lambda: defaultdict(Turn))
    said: set[tuple[Outcome, QueueId, str, str]] = attrs.field(factory=set)
    unknown: set[str] = attrs.field(factory=set)
    alone: QueueId | None = None
    down: dict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))
    _read_to: int = 0

    def note(self, text: str) -> None:
        """One line of the trace: the same seed writes the same lines."""
        self.trace.append(text)

    def must(self, is_so: bool, otherwise: str) -> None:
        """Write down what must not be; the simulation ends with it."""
        if not is_so:
            self.problems.append(otherwise)
            self.note(f"VIOLATION {otherwise}")

    # edges

    def replied(self, message: Message, replies: Sequence[Reply]) -> None:
        """What the client was told."""
        self.note(f"{message.token} replied {replies[0]}")
        self.must(len(replies) == len(message.recipients), f"{message.token}: {len(replies)} replies")
        self.must(len(set(replies)) == 1, f"{message.token}: replies differ though there is a storage")
        if replies[0].is_success:
            self.accepted[message.token] = message
            for mailbox in mailboxes(message):
                is_there = (message.token, mailbox) in self.places or mailbox in self.discarded[message.token]
                self.must(is_there, f"I0: {message.token} was answered {replies[0]}, and {mailbox} is not stored")
        else:
            self.unanswered(message, f"answered {replies[0]}")

    def unanswered(self, message: Message, why: str) -> None:
        """The client was refused, or its edge has left: if it may be stored all the same, the log has said so."""
        self.note(f"{message.token} {why}")
        self._read_log()
        if message.token not in self.unknown:
            self.must(message.token not in self.stored, f"I0: {message.token} was {why}, and is stored")
            self.refused[message.token] = why

    # the disk

    def inserted(self, row: Row) -> None:
        """A message became durable."""
        token = name_of(row.envelope, row.queue_id)
        self.note(f"{row.queue_id} stored: {token} lane={row.lane} {[r.address for r in row.envelope.recipients]}")
        self.must(token not in self.refused, f"I0: {token} was {self.refused.get(token)}, and is stored later")
        self.stored.add(token)
        for recipient in row.envelope.recipients:
            key = (token, mailbox_of(recipient.address))
            self.must(key not in self.places, f"I2: {key} is stored twice")
            self.places[key] = (row.queue_id, recipient.number)

    def claimed(self, row: Row, waited_s: float) -> None:
        """A claim begins, of what was due and nobody's for so long."""
        if self.is_siege:
            self.must(waited_s <= LOOKED_AT_WITHIN_S, f"{row.queue_id} waited {waited_s:.0f} s until it was looked at")
            self.must(row.epoch <= LOOKS_MAX, f"{row.queue_id} was claimed {row.epoch} times")

    def releasing(self, row: Row, claim: Claim, due_at: float | None) -> None:
        """A claim is given back as if it had not been."""
        self.note(f"{row.queue_id} released" + ("" if due_at is None else f" for {due_at - self.now():.0f} s"))
        for number in (rcpt.number for rcpt in row.envelope.recipients):
            given = [one for one in self.deliveries[row.queue_id, number] if one.epoch == claim.epoch]
            self.must(
                all(one.excuse for one in given), f"{row.queue_id}#{number} was delivered, and its claim given back"
            )

    def settling(self, row: Row, claim: Claim, settlement: Settlement) -> None:
        """A result is being recorded: it is what the relay said, about each open recipient."""
        ends = {number: (end.outcome.value, end.reply.code, end.notice) for number, end in settlement.closed.items()}
        self.note(f"{row.queue_id} settled: {ends} deferred={sorted(settlement.deferred)} held={settlement.held!r}")
        open_numbers = {rcpt.number for rcpt in row.envelope.recipients}
        closed, deferred = set(settlement.closed), set(settlement.deferred)
        self.must(closed | deferred <= open_numbers, f"{row.queue_id}: settles who is not open")
        self.must(not closed & deferred, f"{row.queue_id}: both closed and deferred")
        if closed or deferred:
            self.must(closed | deferred == open_numbers, f"{row.queue_id}: somebody is neither closed nor deferred")
        turn = self.turns[row.queue_id, claim.epoch]
        for number, closing in settlement.closed.items():
            self._check_end(row, claim, turn, number, closing)
        for number in open_numbers - closed:
            reply = turn.replies.get(number)
            is_open = reply is None or not (reply.is_success or reply.is_permanent)
            self.must(is_open, f"{row.queue_id}#{number}: the relay said {reply}, and it stays open")
        if settlement.held:
            is_innocent = self.is_poison and not row.envelope.recipients[0].address.startswith("poison")
            is_suspect = row.unsettled > SUSPECT_AFTER and not is_innocent
            self.must(turn.verdict == "hold" or is_suspect, f"{row.queue_id} is held, and no policy said so")
        self._check_notices(row, settlement)
        self.ended(row, settlement.closed)

    def settled(self, row: Row, settlement: Settlement, notices: Sequence[QueueId]) -> None:
        """The same step has stored these notices."""
        wanted = len(settlement.notices)
        self.must(wanted == len(notices), f"{row.queue_id}: {len(notices)} notices stored instead of {wanted}")

    def ended(self, row: Row, closed: Mapping[int, Closing]) -> None:
        """These recipients have met their end."""
        for number, closing in closed.items():
            self.must((row.queue_id, number) not in self.ends, f"I2: {row.queue_id}#{number} ends twice")
            self.ends[row.queue_id, number] = closing

    def died(self, rows: Mapping[QueueId, Row]) -> None:
        """The process is gone: what was delivered under a claim that is still open may be delivered again."""
        self.running.clear()
        self.down.clear()
        self.alone = None
        for row in rows.values():
            if row.is_claimed:
                self.excuse(row, "the process died")

    # relays and policies

    def attempt_begins(self, row: Row | None, envelope: Envelope, attempt: Attempt) -> int | None:
        """A relay is asked to deliver: only for who is open, under the current claim, in a lane that has room.

        Returns the claim's epoch; None = the claim was a lease that has run out, and nobody has noticed yet.
        """
        name = f"{attempt.queue_id} attempt {attempt.number}"
        self.note(f"{name} begins")
        if row is None or not row.is_claimed or row.attempts != attempt.number:
            self.must(self.has_leases, f"{name}: nobody has claimed it")
            return None
        self.must(self.alone is None, f"{name} begins while {self.alone} is to be alone")
        if row.is_suspect:
            self.must(not +self.running, f"{name} is a suspect, and not alone: {+self.running}")
            self.alone = row.queue_id
        self.running[row.lane] += 1
        self.must(self.running[row.lane] <= self.concurrency, f"lane {row.lane}: {self.running[row.lane]} at once")
        for recipient in envelope.recipients:
            place = (row.queue_id, recipient.number)
            self.must(place not in self.ends, f"I2: {place} is attempted after its end")
            is_theirs = self.places.get((name_of(envelope, row.queue_id), mailbox_of(recipient.address))) == place
            self.must(is_theirs, f"{name}: #{recipient.number} is not {recipient.address}")
        numbers = {rcpt.number for rcpt in envelope.recipients}
        self.must(numbers == {rcpt.number for rcpt in row.envelope.recipients}, f"{name}: not all who are open")
        turn = self.turns[row.queue_id, row.epoch]
        self.must(not turn.began, f"{name}: one claim, two attempts")
        turn.began = True
        return row.epoch

    def attempt_ends(self, row: Row) -> None:
        """The relay has returned, raised or been interrupted."""
        self.running[row.lane] -= 1
        if self.alone == row.queue_id:
            self.alone = None

    def found_down(self, lane: str) -> None:
        """An attempt has found that the lane's destination is down: rarely, since it is left alone then."""
        self.note(f"{lane} is down")
        now, found = self.monotonic(), self.down[lane]
        found.append(now)
        lately = sum(now - at_s < DOWN_WITHIN_S for at_s in found)
        self.must(lately <= DOWN_MAX, f"{lane} is down, and was tried {lately} times in {DOWN_WITHIN_S:.0f} s")

    def delivered(self, row: Row | None, envelope: Envelope, place: Place, epoch: int | None) -> None:
        """A recipient has his mail. Until the relay has said so, it may come again."""
        self.note(f"{place} delivered")
        is_current = row is not None and row.is_claimed and row.epoch == epoch
        self.must(is_current or self.has_leases, f"{place} is delivered under a claim that is over")
        for earlier in self.deliveries[place] if is_current else ():
            self.must(bool(earlier.excuse), f"duplicate: {place} is delivered again")
        excuse = NOT_REPORTED if is_current else "its lease ran out"
        self.deliveries[place].append(Delivery(epoch=epoch, excuse=excuse))
        self.delivered_at.setdefault(token_of(envelope), self.now())

    def reported(self, queue_id: QueueId, epoch: int | None, replies: Mapping[int, Reply]) -> None:
        """The relay has returned this to the queue."""
        self.note(f"{queue_id} reported {[(n, r.code) for n, r in sorted(replies.items())]}")
        if epoch is None:
            return
        self.turns[queue_id, epoch].replies.update(replies)
        for number, reply in replies.items():
            for delivery in self.deliveries[queue_id, number]:
                if delivery.epoch == epoch and delivery.excuse == NOT_REPORTED and reply.is_success:
                    delivery.excuse = ""

    # the end

    def check_all(self, rows: Mapping[QueueId, Row]) -> None:
        """I0 and I2 at the end: each stored recipient has ended, or is held; each accepted one was stored."""
        for token, message in self.accepted.items():
            for mailbox in mailboxes(message):
                is_known = (token, mailbox) in self.places or mailbox in self.discarded[token]
                self.must(is_known, f"I0: {token} for {mailbox} is lost")
        for key, place in self.places.items():
            row = rows.get(place[0])
            is_open = row is not None and any(rcpt.number == place[1] for rcpt in row.envelope.recipients)
            is_held = is_open and row is not None and bool(row.held)
            self.must((place in self.ends) != is_held, f"I2: {key} at {place} has no end")
            self._check_deliveries(place)

    def _check_deliveries(self, place: Place) -> None:
        end = self.ends.get(place)
        settled = [one for one in self.deliveries[place] if one.is_settled]
        wanted = 1 if end is not None and end.outcome is Outcome.DELIVERED else 0
        self.must(len(settled) == wanted, f"{place}: {len(settled)} deliveries on record, its end is {end}")
        for one in self.deliveries[place]:
            self.must(one.is_settled or bool(one.excuse), f"{place}: a delivery that nobody recorded")

    def _check_end(self, row: Row, claim: Claim, turn: Turn, number: int, closing: Closing) -> None:
        name = f"{row.queue_id}#{number}"
        reply = turn.replies.get(number)
        if closing.outcome is Outcome.DELIVERED:
            self.must(reply is not None and reply.is_success, f"{name} is delivered, and the relay said {reply}")
            for delivery in self.deliveries[row.queue_id, number]:
                delivery.is_settled |= delivery.epoch == claim.epoch
        elif closing.outcome is Outcome.DISCARDED:
            self.must(turn.verdict == "discard", f"{name} is discarded, and no policy said so")
        elif closing.reply.enhanced == "5.4.7":
            self.must(claim.attempt > 1 or row.lane in self.down, f"{name} expired at its first attempt")
            self.must(reply is None or reply.is_transient, f"{name} expired, and the relay said {reply}")
        else:
            has_reason = row.must_bounce or turn.verdict == "reject" or (reply is not None and reply.is_permanent)
            self.must(has_reason, f"{name} bounced with {closing.reply}, and the relay said {reply}")
        self._read_log()
        address = next((one.address for one in row.envelope.recipients if one.number == number), "nobody")
        said = (closing.outcome, row.queue_id, address, closing.notice)
        self.must(said in self.said, f"I2: the log does not say that {name} is {closing.outcome.value}")

    def _check_notices(self, row: Row, settlement: Settlement) -> None:
        """A notice speaks of exactly those whose end, or delay, says that one was sent (RFC 3461 §4.1)."""
        named: set[tuple[str, str]] = set()
        for notice in settlement.notices:
            addresses = [one.address for one in notice.envelope.recipients]
            self.must(notice.envelope.sender == "", f"{row.queue_id}: a notice with a sender")
            self.must(addresses == [row.envelope.sender], f"{row.queue_id}: a notice for {addresses}")
            named |= set(NAMED.findall(b"".join(notice.envelope.content.chunks()).decode()))
        wanted: set[tuple[str, str]] = set()
        for recipient in row.envelope.recipients:
            closing = settlement.closed.get(recipient.number)
            if closing is None:
                is_late = settlement.reports_delay and _wishes(row.envelope, recipient, "DELAY")
                wanted |= {(recipient.address, "delayed")} if is_late else set()
                continue
            action = "failed" if closing.outcome is Outcome.BOUNCED else "delivered"
            is_due = closing.outcome is not Outcome.DISCARDED and _wishes(
                row.envelope, recipient, "FAILURE" if action == "failed" else "SUCCESS"
            )
            says = closing.notice == "sent"
            self.must(
                is_due == says, f"{row.queue_id}#{recipient.number}: due={is_due}, and it says {closing.notice!r}"
            )
            wanted |= {(recipient.address, action)} if is_due else set()
        self.must(named == wanted, f"{row.queue_id}: notices of {sorted(named)} instead of {sorted(wanted)}")
        self.must(not (settlement.reports_delay and row.is_delay_reported), f"{row.queue_id}: a second warning")

    def excuse(self, row: Row, excuse: str) -> None:
        """What was delivered under its present claim, which is over without a result, may be delivered again."""
        for recipient in row.envelope.recipients:
            for delivery in self.deliveries[row.queue_id, recipient.number]:
                if delivery.epoch == row.epoch and not delivery.is_settled:
                    delivery.excuse = delivery.excuse or excuse

    def _read_log(self) -> None:
        events, start = self.log.events, self._read_to
        self._read_to = len(events)
        for line in events[start:]:
            if line.event in EVENTS and "queue_id" in line.bound:
                for address in line.fields["rcpts"]:  # type: ignore[attr-defined] # a list of addresses
                    notice = str(line.fields.get("notice", ""))
                    self.said.add((EVENTS[line.event], QueueId(str(line.bound["queue_id"])), address, notice))
            elif line.event == "queue.accept_unknown":
                self.unknown.add(str(line.bound["session_id"]))


def mailbox_of(address: str) -> str:
    """Who it is, also after a policy has changed the domain: a local part names one recipient of one message."""
    return split_address(address)[0]


def mailboxes(message: Message) -> set[str]:
    """Of all recipients, duplicates once."""
    return {mailbox_of(address) for address, _ in message.recipients}


def _wishes(envelope: Envelope, recipient: Recipient, what: str) -> bool:
    """RFC 3461 §4.1: who says nothing wishes to hear of failures, and here of delays too."""
    if not envelope.sender:
        return False
    return what in recipient.notify if recipient.notify else what != "SUCCESS"


def is_notice(envelope: Envelope) -> bool:
    """The queue has made it."""
    return envelope.client.edge == "queue"


def token_of(envelope: Envelope) -> str:
    """Which client's message this is, or is a notice about."""
    return str(envelope.client.session_id)


def name_of(envelope: Envelope, queue_id: QueueId) -> str:
    """Which message this is: a client's token, and for a notice its own id, since there may be many about one."""
    return f"notice {queue_id}" if is_notice(envelope) else token_of(envelope)
