"""Changes: file or log first, then the index. Each runs in a greenlet that nobody interrupts.

Invariant: of two changes to one acceptance the second begins when the first has ended, on the disk and in memory; of
two ends of one claim the first counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import attrs
import gevent

from mdacore import (
    Change,
    Claim,
    ClaimLost,
    Clock,
    EventLog,
    NewMessage,
    OutcomeUnknown,
    Query,
    QueueId,
    Settlement,
    StorageError,
)
from mdacore.runtime import Threads
from mdacore_storage_disk import events
from mdacore_storage_disk.files import LOG, MESSAGE
from mdacore_storage_disk.index import Index
from mdacore_storage_disk.intake import Intake
from mdacore_storage_disk.journal import Amended, Claimed, Event, Released
from mdacore_storage_disk.keys import Keys
from mdacore_storage_disk.listing import is_as_asked
from mdacore_storage_disk.loader import Loader
from mdacore_storage_disk.settling import settled
from mdacore_storage_disk.state import Message
from mdacore_storage_disk.store import Store
from mdacore_storage_disk.threads import Turns

LOADING_LIMIT_S: Final = 60.0
"""What cannot be answered before the store has been read waits so long at most."""


class Changes:
    """Those of one open store.

    Attributes:
        over: acceptances whose files are to be removed.
    """

    def __init__(
        self,
        store: Store,
        index: Index,
        keys: Keys,
        *,
        intake: Intake,
        loader: Loader,
        threads: Threads,
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._files = store.files
        self._quarantine = store.quarantine
        self._index = index
        self._keys = keys
        self._intake = intake
        self._loader = loader
        self._threads = threads
        self._turns = Turns()
        self._clock = clock
        self._log = log
        self.over = loader.over

    def write(self, messages: Sequence[NewMessage], queue: str, key: str) -> Sequence[Claim | QueueId]:
        """As `QueueStorage.write`."""
        with self._turns.of((queue, key)) if key else contextlib.nullcontext():
            if key:
                self._loader.wait(LOADING_LIMIT_S)
                if known := self._keys.find(queue, key, self._clock.now()):
                    return known
            acceptance = self._intake.write(messages, queue=queue, key=key)
            self._keys.remember(acceptance.memory)
        self._index.add(acceptance)
        return [_claim_on(one) if one.is_claimed else one.queue_id for one in acceptance.messages.values()]

    def claim(self, queue: str, limit: int, full_lanes: Collection[str]) -> Sequence[Claim]:
        """As `QueueStorage.claim`, of what is loaded."""
        self._files.refuse_if_broken()
        return self._claims_on(self._index.take(queue, limit, full_lanes))

    def claim_suspect(self, queue: str) -> Sequence[Claim]:
        """As `QueueStorage.claim_suspect`, of what is loaded: one or none."""
        self._files.refuse_if_broken()
        suspect = self._index.suspect(queue)
        if suspect is None:
            return ()
        suspect.is_taken = True
        return self._claims_on([suspect])

    def release(self, claim: Claim, due_at: float | None) -> None:
        """As `QueueStorage.release`; durable, since no line of a log is written before the one above it is.

        After a crash in the middle the claim is one that was never settled, and its message due as before.
        """
        with self._end_of(claim) as message:
            self._happen(message, Released(queue_id=message.queue_id, at=self._clock.now(), due_at=due_at))

    def settle(self, claim: Claim, settlement: Settlement) -> Sequence[QueueId]:
        """As `QueueStorage.settle`; the claim has been read, if the settlement speaks of recipients."""
        with self._end_of(claim) as message:
            event = settled(message, settlement, at=self._clock.now())
            if not settlement.notices:
                self._happen(message, event)
                return ()
            notices = self._intake.write_notices(
                settlement.notices,
                queue=settlement.notice_queue or claim.queue,
                original=message.queue_id,
                of=message.acceptance,
            )
            try:
                self._happen(message, attrs.evolve(event, notices=tuple(notices.messages)))
            except OutcomeUnknown:  # the log may name them; the next start finds out
                raise
            except StorageError:
                self._threads.call(self._files.withdraw, notices)
                raise
        self._index.add(notices)
        return tuple(notices.messages)

    def amend(self, queue_ids: Sequence[QueueId], query: Query, change: Change) -> Sequence[QueueId]:
        """Change those of these that nobody has claimed and that are in a state and at an attempt that was asked for.

        Gives the ids of those. Raises StorageError: not all of them were changed.
        """
        messages = [message for message in map(self._index.get, queue_ids) if message is not None]
        runners = [gevent.spawn(self._amend_one, message, query, change) for message in messages]
        results = [runner.get() for runner in runners]
        for result in results:
            if isinstance(result, StorageError):
                raise result
        return [message.queue_id for message, result in zip(messages, results, strict=True) if result is True]

    def set_aside(self, message: Message, reason: str) -> None:
        """Move the files of this message to `corrupt/`; nobody has a claim on what is in them any more."""
        acceptance = message.acceptance
        names = [acceptance.stem + ending for ending in (MESSAGE, LOG)]
        with self._turns.of(acceptance.stem):
            for one in acceptance.messages.values():
                one.is_over = True
                self._index.drop(one)
            self._log.error(events.STORAGE_ENTRY_QUARANTINED, queue_id=message.queue_id, reason=reason)
            try:
                self._threads.call(self._quarantine.put, acceptance.shard, names, reason)
            except OSError as error:  # the next start tries again
                self._log.warning(events.STORAGE_UPKEEP_FAILED, error=f"{names[0]} cannot be moved: {error}")

    def find(self, claim: Claim) -> Message | None:
        """The message, if the claim is neither over nor somebody else's by now."""
        message = self._index.get(claim.queue_id)
        return message if message is not None and message.is_claimed and message.epoch == claim.epoch else None

    def owned(self, claim: Claim) -> Message:
        """The message. Raises ClaimLost."""
        message = self.find(claim)
        if message is None:
            raise ClaimLost(f"{claim.queue_id}: this claim is over")
        return message

    @contextlib.contextmanager
    def _end_of(self, claim: Claim) -> Iterator[Message]:
        """The turn in which the claim ends."""
        message = self.owned(claim)
        with self._turns.of(message.acceptance.stem):
            self.owned(claim)
            yield message
            message.progress = None
        self._index.offer(message)

    def _claims_on(self, taken: Sequence[Message]) -> Sequence[Claim]:
        runners = [gevent.spawn(self._begin, message) for message in taken]
        results = [runner.get() for runner in runners]
        claims = [result for result in results if isinstance(result, Claim)]
        errors = [result for result in results if isinstance(result, StorageError)]
        if errors and not claims:
            raise errors[0]
        return claims

    def _begin(self, message: Message) -> Claim | StorageError:
        try:
            with self._turns.of(message.acceptance.stem):
                self._happen(message, Claimed(queue_id=message.queue_id, at=self._clock.now()))
        except StorageError as error:
            return error
        finally:
            message.is_taken = False
            self._index.offer(message)
        return _claim_on(message)

    def _amend_one(self, message: Message, query: Query, change: Change) -> bool | StorageError:
        if message.is_claimed or message.is_taken or message.is_over or not is_as_asked(message, query):
            return False
        now = self._clock.now()
        message.is_taken = True
        try:
            if message.is_changed_by(change, now):
                with self._turns.of(message.acceptance.stem):
                    self._happen(message, Amended(queue_id=message.queue_id, at=now, change=change))
        except StorageError as error:
            return error
        finally:
            message.is_taken = False
            self._index.offer(message)
        self._log.info(events.STORAGE_AMENDED, queue_id=message.queue_id, change=change.value)
        return True

    def _happen(self, message: Message, event: Event) -> None:
        """Make it durable, then true. The caller has the acceptance's turn."""
        acceptance = message.acceptance
        others = (one for one in acceptance.messages.values() if one is not message)
        if event.ends and all(one.is_over for one in others):
            event = attrs.evolve(event, remembered=acceptance.memory)
        self._threads.call(self._files.append, acceptance, event)
        acceptance.apply(event)
        if message.is_over:
            self._index.drop(message)
        if acceptance.is_over:
            self.over.append(acceptance)


def _claim_on(message: Message) -> Claim:
    return Claim(
        queue_id=message.queue_id,
        queue=message.acceptance.queue,
        lane=message.lane,
        attempt=message.attempts,
        epoch=message.epoch,
        unsettled=message.unsettled,
    )
