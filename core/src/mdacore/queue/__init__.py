"""The queue: decides when what is attempted; owns retries and bounces."""

from mdacore.queue.notices import MAX_TEXT_BYTES, Kind, NoticeRules, NoticeText, default_texts
from mdacore.queue.queue import Queue
from mdacore.queue.retry import DEFAULT_RETRY, RetrySchedule
from mdacore.queue.suspects import Isolation
from mdacore.queue.wiring import BoundPolicy, BoundRelay, OnError, QueueWiring, Route

__all__ = [
    "DEFAULT_RETRY",
    "MAX_TEXT_BYTES",
    "BoundPolicy",
    "BoundRelay",
    "Isolation",
    "Kind",
    "NoticeRules",
    "NoticeText",
    "OnError",
    "Queue",
    "QueueWiring",
    "RetrySchedule",
    "Route",
    "default_texts",
]
