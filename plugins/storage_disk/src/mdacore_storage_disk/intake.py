"""The intake: from new messages to a message file that is durable and visible.

Invariant: no two acceptances have one number, whatever crashes; a notice's id begins as its original's does, unless the
original is itself a notice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
from gevent.lock import BoundedSemaphore

from mdacore import Body, Clock, NewMessage, QueueId, StorageError
from mdacore.runtime import GroupCommit, Threads
from mdacore_storage_disk.files import MessageFiles, Staged
from mdacore_storage_disk.folder import shard_of
from mdacore_storage_disk.ids import MAX_BRANCHES, QueueIds
from mdacore_storage_disk.message import BodyFacts, Head, StoredMessage
from mdacore_storage_disk.state import Acceptance, Progress

MAX_MESSAGES: Final = MAX_BRANCHES // 2
"""Of one acceptance; as many ids again are left for their notices."""


class Numbers:
    """Numbers that no acceptance has had: reserved durably, a block at a time."""

    def __init__(self, first: range, reserve: Callable[[int], range]) -> None:
        self._free = first
        self._block = len(first)
        self._reserve = reserve
        self._turn = BoundedSemaphore(1)

    def take(self) -> int:
        """The next one. Blocks this greenlet when a block has to be reserved. Raises StorageError, OSError."""
        while not self._free:
            with self._turn:
                if not self._free:
                    self._free = self._reserve(self._block)
        number, self._free = self._free[0], self._free[1:]
        return number


class Intake:
    """Stores new messages. Its methods block the calling greenlet."""

    def __init__(
        self,
        files: MessageFiles,
        ids: QueueIds,
        numbers: Numbers,
        *,
        threads: Threads,
        group: GroupCommit[Staged, None],
        clock: Clock,
    ) -> None:
        self._files = files
        self._ids = ids
        self._numbers = numbers
        self._threads = threads
        self._group = group
        self._clock = clock

    def write(self, messages: Sequence[NewMessage], *, queue: str, key: str) -> Acceptance:
        """Store a client's messages. Raises StorageError: nothing was stored; OutcomeUnknown."""
        if len(messages) > MAX_MESSAGES:
            raise StorageError(f"{len(messages)} messages at once; {MAX_MESSAGES} are the most")
        number = self._number()
        ids = [self._ids.id_of(number, branch) for branch in range(len(messages))]
        head = Head(queue=queue, written_at=self._clock.now(), key=key, bodies=(), messages=())
        return self._store(head, messages, ids, shard=shard_of(number), may_claim=True)

    def write_notices(
        self, messages: Sequence[NewMessage], *, queue: str, original: QueueId, of: Acceptance
    ) -> Acceptance:
        """Store notices, which count only once the original's log names them. Raises as `write`."""
        head = Head(queue=queue, written_at=self._clock.now(), notice_of=original, bodies=(), messages=())
        ids = self._notice_ids(of, len(messages))
        return self._store(head, messages, ids, shard=of.shard, may_claim=False)

    def _notice_ids(self, of: Acceptance, count: int) -> Sequence[QueueId]:
        split = self._ids.split(of.stem)
        first = len(of.messages) + of.notices
        if split is None or of.notice_of or first + count > MAX_BRANCHES:
            split, first = (self._number(), 0), 0
        return [self._ids.id_of(split[0], branch) for branch in range(first, first + count)]

    def _number(self) -> int:
        try:
            return self._numbers.take()
        except OSError as error:
            raise StorageError(f"no number could be reserved: {error}") from error

    def _store(
        self, head: Head, messages: Sequence[NewMessage], ids: Sequence[QueueId], *, shard: str, may_claim: bool
    ) -> Acceptance:
        bodies, stored = _Bodies(), []
        for queue_id, message in zip(ids, messages, strict=True):
            is_claimed = may_claim and message.claim and not message.held
            stored.append(_stored(queue_id, message, bodies.add(message.envelope.content.body), is_claimed=is_claimed))
        head = attrs.evolve(
            head, bodies=[BodyFacts(size_bytes=body.size_bytes) for body in bodies.all], messages=stored
        )
        staged = self._threads.call(self._files.stage, shard, head, bodies.all)
        self._group.submit(staged)
        _know_progress(staged.acceptance, stored)
        return staged.acceptance


@attrs.define
class _Bodies:
    """The bodies of one acceptance, each once."""

    all: list[Body] = attrs.field(factory=list)
    _numbers: dict[int, int] = attrs.field(factory=dict)

    def add(self, body: Body) -> int:
        """The body's number."""
        number = self._numbers.setdefault(id(body), len(self.all))
        if number == len(self.all):
            self.all.append(body)
        return number


def _stored(queue_id: QueueId, message: NewMessage, body: int, *, is_claimed: bool) -> StoredMessage:
    return StoredMessage(
        queue_id=queue_id,
        lane=message.lane,
        due_at=message.due_at,
        held=message.held,
        is_claimed=is_claimed,
        body=body,
        envelope=message.envelope,
    )


def _know_progress(acceptance: Acceptance, stored: Sequence[StoredMessage]) -> None:
    """Whoever gets a claim at once may settle it without reading it first."""
    for message in stored:
        if message.is_claimed:
            acceptance.messages[message.queue_id].progress = Progress.after(message, ())
