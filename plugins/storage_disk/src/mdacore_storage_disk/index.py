"""The index: which messages there are and when they are due. In memory, made anew at each start; never the truth.

Invariant: an alarm's time is never later than the due time of the first free message that the last claim left.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator

import gevent
from gevent.event import Event

from mdacore import Clock, QueueId
from mdacore_storage_disk.state import Acceptance, Message

_Entry = tuple[float, QueueId, Message]


class Index:
    """The messages of one store. On the hub only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._messages: dict[QueueId, Message] = {}
        self._queues: dict[str, _Queue] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[QueueId]:
        """The ids, in no order."""
        return iter(self._messages)

    def get(self, queue_id: str) -> Message | None:
        """The message with this id."""
        return self._messages.get(QueueId(queue_id))

    def add(self, acceptance: Acceptance) -> None:
        """All of its messages that are not over."""
        for message in acceptance.messages.values():
            if not message.is_over:
                self._messages[message.queue_id] = message
                self.offer(message)

    def drop(self, message: Message) -> None:
        """There is nothing more to do for it."""
        self._messages.pop(message.queue_id, None)

    def offer(self, message: Message) -> None:
        """It may be claimed, if it is free."""
        if message.is_free:
            self._queue(message.acceptance.queue).offer(message)

    def take(self, queue: str, limit: int, full_lanes: Collection[str]) -> list[Message]:
        """Take what is due, free and no suspect, longest due first; they are marked as taken."""
        return self._queue(queue).take(limit, full_lanes)

    def suspect(self, queue: str) -> Message | None:
        """The suspect with the fewest crashes of those that are due and free; None = there is none."""
        return self._queue(queue).suspect()

    def wait(self, queue: str, timeout_s: float) -> None:
        """Block until a message may be due, at most `timeout_s`."""
        self._queue(queue).wait(timeout_s)

    def _queue(self, name: str) -> _Queue:
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = _Queue(self._clock)
        return queue


class _Queue:
    """The free messages of one queue, a heap for each lane.

    A message that was changed since it was offered leaves its entry behind; whoever meets one throws it away.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lanes: dict[str, list[_Entry]] = {}
        self._suspects: dict[QueueId, Message] = {}
        self._next_due_at = float("-inf")
        self._rings = Event()

    def offer(self, message: Message) -> None:
        if message.is_suspect:
            self._suspects[message.queue_id] = message
        else:
            entry = (message.due_at, message.queue_id, message)
            heapq.heappush(self._lanes.setdefault(message.lane, []), entry)
        if message.due_at < self._next_due_at:
            self._next_due_at = message.due_at
            self._rings.set()

    def take(self, limit: int, full_lanes: Collection[str]) -> list[Message]:
        now = self._clock.now()
        fronts = [front for lane in list(self._lanes) if (front := self._front(lane)) is not None]
        due = [front for front in fronts if front[0] <= now and front[2].lane not in full_lanes]
        heapq.heapify(due)
        taken: list[Message] = []
        while due and len(taken) < limit:
            _, _, message = heapq.heappop(due)
            message.is_taken = True
            taken.append(message)
            front = self._front(message.lane)
            if front is not None and front[0] <= now:
                heapq.heappush(due, front)
        self._next_due_at = now if len(taken) == limit else self._later_than(now)
        return taken

    def suspect(self) -> Message | None:
        self._suspects = {queue_id: one for queue_id, one in self._suspects.items() if one.is_suspect and one.is_free}
        due = (one for one in self._suspects.values() if one.due_at <= self._clock.now())
        return min(due, key=lambda one: (one.unsettled, one.due_at, one.queue_id), default=None)

    def wait(self, timeout_s: float) -> None:
        ends_at = self._clock.monotonic() + timeout_s
        while (delay_s := min(self._next_due_at - self._clock.now(), ends_at - self._clock.monotonic())) > 0:
            self._rings.clear()
            timer = gevent.spawn(self._ring_in, delay_s)
            try:
                self._rings.wait()
            finally:
                timer.kill(block=False)

    def _front(self, lane: str) -> _Entry | None:
        entries = self._lanes[lane]
        while entries:
            due_at, _, message = entries[0]
            if message.is_free and message.due_at == due_at:
                return entries[0]
            heapq.heappop(entries)
        del self._lanes[lane]
        return None

    def _later_than(self, now: float) -> float:
        """When there may be more to claim; what is due already waits for its lane."""
        fronts = (self._front(lane) for lane in list(self._lanes))
        return min((front[0] for front in fronts if front is not None and front[0] > now), default=float("inf"))

    def _ring_in(self, delay_s: float) -> None:
        self._clock.sleep(delay_s)
        self._rings.set()
