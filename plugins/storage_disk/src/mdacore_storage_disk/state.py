"""The state of messages as their events make it: one transition for what runs and for what is read after a crash.

Invariant: the state in memory is what its log makes of the message file; `is_taken` alone is not on the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from mdacore import SUSPECT_AFTER, Change, Closing, QueueId, Reply
from mdacore_storage_disk.journal import Amended, Claimed, Event, Released, Remembered, Settled
from mdacore_storage_disk.message import Head, StoredMessage
from mdacore_storage_disk.record import RecordError

HELD_BY_OPERATOR = "held by an operator"


@attrs.define(eq=False)
class Progress:
    """What became of one message's recipients so far.

    Attributes:
        open_numbers: of those without an end.
        closed: those that met their end.
        replies: the last reply of those that were attempted and are still open.
    """

    open_numbers: frozenset[int]
    closed: dict[int, Closing] = attrs.field(factory=dict)
    replies: dict[int, Reply] = attrs.field(factory=dict)

    @classmethod
    def after(cls, message: StoredMessage, events: Iterable[Event]) -> Progress:
        """That of this message; events of others are passed over."""
        progress = cls(frozenset(rcpt.number for rcpt in message.envelope.recipients))
        for event in events:
            if isinstance(event, Settled) and event.queue_id == message.queue_id:
                progress.apply(event)
        return progress

    def apply(self, event: Settled) -> None:
        """One more settlement. An end is never taken back."""
        self.closed = {**event.closed, **self.closed}
        self.open_numbers -= self.closed.keys()
        self.replies = {n: reply for n, reply in {**self.replies, **event.deferred}.items() if n in self.open_numbers}


@attrs.define(eq=False)
class Message:
    """One queued message.

    Attributes:
        acceptance: whose file it is in.
        unsettled: claims that were neither settled nor released.
        is_claimed: the log says so.
        is_taken: it is being claimed or changed; nobody else may.
        is_over: no recipient is left open, or an operator has discarded it.
        progress: known while it is claimed, once it was read.
    """

    queue_id: QueueId
    acceptance: Acceptance
    lane: str
    due_at: float
    held: str
    attempts: int = 0
    epoch: int = 0
    unsettled: int = 0
    is_claimed: bool = False
    is_taken: bool = False
    is_over: bool = False
    must_bounce: bool = False
    is_delay_reported: bool = False
    progress: Progress | None = None

    @property
    def is_free(self) -> bool:
        """Nobody's, and not held."""
        return not (self.is_claimed or self.is_taken or self.is_over or self.held)

    @property
    def is_suspect(self) -> bool:
        """It is to be attempted alone."""
        return self.unsettled >= SUSPECT_AFTER

    def apply(self, event: Event) -> None:
        """It has happened."""
        match event:
            case Claimed():
                self._crash_if_claimed()
                self.is_claimed = True
                self.attempts += 1
                self.epoch += 1
            case Released():
                self.is_claimed = False
                self.attempts -= 1
                self.due_at = self.due_at if event.due_at is None else event.due_at
            case Settled():
                self.is_claimed, self.unsettled = False, 0
                self.is_over = event.ends
                self.due_at, self.held = event.due_at, event.held
                self.is_delay_reported |= event.reports_delay
            case Amended():
                self._amend(event.change, event.at)

    def is_changed_by(self, change: Change, now: float) -> bool:
        """The change would make a difference."""
        if change is Change.HOLD:
            return not self.held
        if change is Change.RELEASE:
            return bool(self.held) or self.is_suspect
        return change is not Change.DUE_NOW or self.due_at > now

    def restart(self) -> None:
        """Whoever had claimed it is dead."""
        self._crash_if_claimed()
        self.is_claimed = False

    def _crash_if_claimed(self) -> None:
        self.unsettled += self.is_claimed

    def _amend(self, change: Change, now: float) -> None:
        match change:
            case Change.HOLD:
                self.held = self.held or HELD_BY_OPERATOR
            case Change.RELEASE:
                self.held, self.unsettled, self.must_bounce = "", 0, False
            case Change.DUE_NOW:
                self.due_at = min(self.due_at, now)
            case Change.BOUNCE:
                self.held, self.unsettled, self.must_bounce = "", 0, True
                self.due_at = min(self.due_at, now)
            case Change.DISCARD:
                self.is_over = True


@attrs.define(eq=False)
class Acceptance:
    """What one call of `write` stored, or one settlement's notices: one message file and its log.

    Attributes:
        shard: the folder in `messages/` that it is in.
        stem: the name of its files without the ending: its first message's id.
        notices: how many its log names.
        log_bytes: how long its log is; the next line goes there.
        memory: what is to be remembered of it once it is over; None = it had no key.
    """

    shard: str
    stem: str
    queue: str
    notice_of: str
    messages: Mapping[QueueId, Message] = attrs.field(factory=dict)
    notices: int = 0
    log_bytes: int = 0
    memory: Remembered | None = None

    @classmethod
    def of(cls, head: Head, shard: str) -> Acceptance:
        """As it was when it was written."""
        ids = tuple(message.queue_id for message in head.messages)
        memory = None
        if head.key:
            memory = Remembered(queue=head.queue, key=head.key, written_at=head.written_at, queue_ids=ids)
        acceptance = cls(shard=shard, stem=ids[0], queue=head.queue, notice_of=head.notice_of, memory=memory)
        acceptance.messages = {message.queue_id: _message(message, acceptance) for message in head.messages}
        return acceptance

    @property
    def is_over(self) -> bool:
        """All its messages are."""
        return all(message.is_over for message in self.messages.values())

    def apply(self, event: Event) -> None:
        """It has happened to one of its messages. Raises RecordError: it has no such message."""
        message = self.messages.get(event.queue_id)
        if message is None:
            raise RecordError(f"its log speaks of {event.queue_id}, which is not in it")
        message.apply(event)
        if isinstance(event, Settled):
            self.notices += len(event.notices)


def _message(stored: StoredMessage, acceptance: Acceptance) -> Message:
    return Message(
        queue_id=stored.queue_id,
        acceptance=acceptance,
        lane=stored.lane,
        due_at=stored.due_at,
        held=stored.held,
        attempts=int(stored.is_claimed),
        epoch=int(stored.is_claimed),
        is_claimed=stored.is_claimed,
    )
