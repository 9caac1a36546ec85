"""The queue: decides when what is attempted; owns retries and bounces."""

from mdacore.queue.notices import MAX_TEXT_BYTES, Kind, NoticeRules, NoticeText, default_texts
from mdacore.queue.proxy import ProxyQueue
from mdacore.queue.queue import Queue
from mdacore.queue.retry import DEFAULT_JITTER, DEFAULT_RETRY, RetryRule, RetrySchedule
from mdacore.queue.suspects import Isolation
from mdacore.queue.wiring import BoundPolicy, BoundRelay, OnError, ProxyWiring, QueueWiring, Route

__all__ = [
    "DEFAULT_JITTER",
    "DEFAULT_RETRY",
    "MAX_TEXT_BYTES",
    "BoundPolicy",
    "BoundRelay",
    "Isolation",
    "Kind",
    "NoticeRules",
    "NoticeText",
    "OnError",
    "ProxyQueue",
    "ProxyWiring",
    "Queue",
    "QueueWiring",
    "RetryRule",
    "RetrySchedule",
    "Route",
    "default_texts",
]
