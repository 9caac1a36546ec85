"""QueueStorage: the durable memory of one or more queues.

What it acknowledged survives as its `durability` sentence says. Every change is one atomic step. One contract serves a
storage of one process and one that many nodes share: there a claim is a lease, and its epoch is checked with every
change (fencing).
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from mdacore.contracts.component import Component
from mdacore.words import Envelope, QueueId, Recipient, Reply


@attrs.frozen(kw_only=True)
class NewMessage:
    """What `write` is given for one message.

    Attributes:
        envelope: recipients numbered, at least one. Parts of a split share one body object.
        lane: ``"<relay instance>/<destination>"``: the unit of concurrency, back-off and suspension.
        due_at: epoch seconds of its first attempt.
        held: why it is stored as held; ``""`` = it is not.
        claim: hand the first attempt to the writer at once (ignored when held).
    """

    envelope: Envelope
    lane: str
    due_at: float
    held: str = ""
    claim: bool = False


@attrs.frozen(kw_only=True)
class Claim:
    """The right to attempt one message, once, and to settle it.

    Attributes:
        attempt: this attempt's number, from 1; already counted durably.
        epoch: the fencing token: of two claims on one message the later has the higher one.
        unsettled: how many claims before this one were neither settled nor released (crashes). From `SUSPECT_AFTER` on
            the message is attempted alone.
    """

    queue_id: QueueId
    queue: str
    lane: str
    attempt: int
    epoch: int = 0
    unsettled: int = 0


@attrs.frozen(kw_only=True)
class QueuedMessage:
    """What a claim gives the right to read.

    Attributes:
        envelope: with only the recipients that are still open; its body stays readable until the claim is settled.
        accepted_at: epoch seconds; a message's lifetime counts from here.
        queue_id: whose it is, as the record itself says; the queue refuses another's. None = the storage cannot say.
        must_bounce: an operator has decided (`Change.BOUNCE`): nothing is attempted, its recipients have failed.
        is_delay_reported: a settlement of it had `reports_delay`.
    """

    envelope: Envelope
    accepted_at: float
    must_bounce: bool = False
    queue_id: QueueId | None = None
    is_delay_reported: bool = False


class Outcome(enum.Enum):
    """What became of one recipient, for good."""

    DELIVERED = "delivered"
    BOUNCED = "bounced"
    DISCARDED = "discarded"


@attrs.frozen(kw_only=True)
class Closing:
    """The end of one recipient.

    Attributes:
        reply: what decided it.
        notice: ``"sent"``, or ``"suppressed: <why>"``; ``""`` where none was asked for: always so for DISCARDED, never
            for BOUNCED.
    """

    outcome: Outcome
    reply: Reply
    notice: str = ""


@attrs.frozen(kw_only=True)
class Settlement:
    """The result of one claim, recorded in one atomic step.

    Attributes:
        closed: by recipient number. When no recipient is left open the message is removed.
        deferred: the reply of each recipient that stays open, by number.
        due_at: epoch seconds of the next attempt; used only when some stay open.
        held: why the message is held from now on; ``""`` = it is not.
        notices: messages to store in the same step, in `notice_queue`.
        notice_queue: the queue that the notices belong to; ``""`` = the claim's.
        reports_delay: the sender is told that the message is late; from now on it `is_delay_reported`.
    """

    closed: Mapping[int, Closing] = attrs.field(factory=dict)
    deferred: Mapping[int, Reply] = attrs.field(factory=dict)
    due_at: float = 0.0
    held: str = ""
    notices: Sequence[NewMessage] = ()
    notice_queue: str = ""
    reports_delay: bool = False


class State(enum.Enum):
    """Where a queued message is."""

    DUE = "due"
    """Waiting for its time, or for a free lane."""
    ACTIVE = "active"
    """Claimed: an attempt is running."""
    HELD = "held"
    """Attempted only after an operator has released it."""


@attrs.frozen(kw_only=True)
class QueueEntry:
    """What an operator sees of one message.

    Attributes:
        recipients: those still open: address, and the last reply it got (None before the first attempt).
        size_bytes: of the body as it was received.
        due_at: epoch seconds of its next attempt.
        attempts: made so far, the running one included.
        held: why; ``""`` = it is not.
    """

    queue_id: QueueId
    queue: str
    lane: str
    state: State
    sender: str
    recipients: Sequence[tuple[str, Reply | None]]
    size_bytes: int
    accepted_at: float
    due_at: float
    attempts: int
    held: str = ""


@attrs.frozen(kw_only=True)
class PeekedMessage:
    """What an operator may read of one message, whoever has claimed it.

    Attributes:
        message: as a claim reads it. A body in a file may be gone by the time that it is read: its message has ended.
        closed: the recipients that have met their end, as far as the storage still knows them.
    """

    message: QueuedMessage
    closed: Sequence[tuple[Recipient, Closing]] = ()


@attrs.frozen(kw_only=True)
class Query:
    """Which entries: those that fit all that is given (`fits` says how). Nothing given: all.

    Attributes:
        attempts: made so far, exactly so many.
    """

    queue: str = ""
    queue_ids: Collection[QueueId] = ()
    states: Collection[State] = ()
    sender: str | None = None
    recipient: str = ""
    domain: str = ""
    attempts: int | None = None
    limit: int | None = None


class Change(enum.Enum):
    """What an operator may do to messages that nobody has claimed."""

    HOLD = "hold"
    RELEASE = "release"
    DUE_NOW = "due_now"
    BOUNCE = "bounce"
    """Failed for good at the next claim, which comes now: the queue writes the notice."""
    DISCARD = "discard"


SUSPECT_AFTER = 2
"""From so many claims on that ended without being settled or released, a message is a suspect."""


class QueueStorage(Component, Protocol):
    """A component that remembers. Its methods may be called from any greenlet of the hub that started it.

    Unless it says otherwise a method blocks the calling greenlet, never the hub, and raises:
        StorageFull: no room; nothing was changed.
        StorageError: it failed; nothing was changed.
        OutcomeUnknown: the commit had begun; it may have been changed.
    When the calling greenlet is interrupted (killed, or by a Timeout) the change happens whole or not at all.
    """

    @property
    def durability(self) -> str:
        """One honest sentence: what an accepted message survives, and on what condition."""

    @property
    def spool_path(self) -> Path | None:
        """Where edges put large bodies, on the same file system; exists from `start` to `stop`. None: no such place."""

    @property
    def renew_every_s(self) -> float | None:
        """How often claims have to be renewed; None where they last as long as the process does."""

    def start_reading(self) -> None:
        """Instead of `start`, for reading beside whoever owns the store: takes no lock, creates and changes nothing.

        After it only `entries`, `peek`, `durability` and `stop` may be called. Raises StorageError if there is none.
        """

    def refusal(self, size_bytes: int) -> Reply | None:
        """Why a message of this size could not be stored now, from memory; None = it could. Never blocks."""

    def write(self, messages: Sequence[NewMessage], *, queue: str, key: str = "") -> Sequence[Claim | QueueId]:
        """Store all of them or none; durable on return. Gives a Claim where one was asked for, else the id, in order.

        A FileBody is linked or copied: the file that it names still belongs to the caller. A body shared by several
        messages is stored once. A `key` seen in the last 48 h stores nothing and gives the same ids, never claims.
        """

    def claim(self, queue: str, limit: int, *, full_lanes: Collection[str] = ()) -> Sequence[Claim]:
        """At most `limit` messages that are due, nobody's, not held, in no full lane and no suspects (`claim_suspect`);
        the longest due first.

        The attempt is counted durably before this returns. Empty = nothing to do now.
        """

    def has_suspect(self, queue: str) -> bool:
        """Whether `claim_suspect` would find one. Changes nothing."""

    def claim_suspect(self, queue: str) -> Claim | None:
        """One message that is due, of those of which `SUSPECT_AFTER` claims have ended in a crash; None = no such.

        Those with the fewest crashes come first. The attempt is counted as `claim` does. One that is settled and still
        open is no suspect any more.
        """

    def release(self, claim: Claim, *, due_at: float | None = None) -> None:
        """Give a claim back, the attempt uncounted: due as before, or at `due_at` (epoch seconds). Raises ClaimLost.

        It need not be durable: a crash may take it back, and the claim is then one that was never settled. Many that
        are given back at the same time should not cost a sync each.
        """

    def read(self, claim: Claim) -> QueuedMessage:
        """The claimed message. Raises ClaimLost; StorageError if its record is damaged: it is then set aside, with its
        reason in the log, and is no longer claimed.
        """

    def settle(self, claim: Claim, settlement: Settlement) -> Sequence[QueueId]:
        """Record a result in ONE atomic step, durable on return; the claim is over. Returns the ids of the notices.

        Raises ClaimLost: a late owner's result; nothing was changed.
        """

    def renew(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Keep these claims; those that were lost are missing in the result. A storage of one process returns all."""

    def wait(self, queue: str, timeout_s: float) -> None:
        """Block until there may be something to claim in this queue, at most `timeout_s`. May return early."""

    def entries(self, query: Query) -> Iterator[QueueEntry]:
        """Stream what fits, by arrival, in pages of one short transaction each: memory does not grow with the queue."""

    def peek(self, queue_id: QueueId) -> PeekedMessage | None:
        """One message with its body, claimed or not; None = there is none. Changes nothing.

        Raises StorageError if its record is damaged.
        """

    def amend(self, query: Query, change: Change) -> Sequence[QueueId]:
        """Change all that fit and nobody has claimed; gives their ids. Durable on return; pages as `entries` does.

        `states` and `attempts` are looked at in the step that changes the message: whoever gives those that it has seen
        changes nothing that has been changed since. Whoever may change very many asks for some ids at a time.
        """
