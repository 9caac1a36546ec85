"""The queue: decides when what is attempted; owns retries and bounces."""

from mdacore.queue.queue import Queue
from mdacore.queue.retry import DEFAULT_RETRY, RetrySchedule
from mdacore.queue.wiring import BoundPolicy, BoundRelay, OnError, QueueWiring, Route

__all__ = ["DEFAULT_RETRY", "BoundPolicy", "BoundRelay", "OnError", "Queue", "QueueWiring", "RetrySchedule", "Route"]
