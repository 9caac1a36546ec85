"""What the assembly gives a queue: instances bound to their settings, ready to be called. Data only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic, Literal, TypeVar

import attrs

from mdacore.contracts import Clock, EventLog, QueuePolicy, QueueStorage, Relay, RelayPolicy
from mdacore.queue.notices import Kind, NoticeRules, NoticeText, default_texts
from mdacore.queue.retry import RetryRule, RetryRules, RetrySchedule
from mdacore.runtime import Breaker

OnError = Literal["defer", "accept", "reject"]
"""What a policy's failure does to the message: 451 4.3.0, as if the policy were not there, or 554 5.3.0."""

PolicyT = TypeVar("PolicyT")


@attrs.frozen(kw_only=True)
class BoundPolicy(Generic[PolicyT]):
    """One policy at one place of the chain. `instance` is its name in the configuration: ``"spam"``.

    Without a breaker it is called however often it fails.
    """

    instance: str
    apply: PolicyT
    on_error: OnError = "defer"
    deadline_s: float = 60.0
    breaker: Breaker | None = None


@attrs.frozen(kw_only=True)
class BoundRelay:
    """One relay instance.

    The breaker is that of its attempts; while it is off, messages stay due and lose no attempt.

    Attributes:
        concurrency: the number of attempts at once for each destination.
        concurrency_start: that number for a destination of which nothing is known yet.
        suspension_max_s: the longest time for which a destination is left alone at once; 0 = it never is.
    """

    instance: str
    relay: Relay
    concurrency: int = 20
    concurrency_start: int = 5
    suspension_max_s: float = 900.0
    deadline_s: float = 600.0
    breaker: Breaker | None = None


@attrs.frozen(kw_only=True)
class Route:
    """Recipients in one of these folded domains go to this relay; ``None`` = every domain."""

    domains: frozenset[str] | None
    relay: str


@attrs.frozen(kw_only=True)
class QueueWiring:
    """Everything that one queue works with.

    Attributes:
        routes: asked in order, the first that fits wins; the last one fits every domain.
        relays: by instance name; every route's relay is in here.
        retry_for: other schedules and lifetimes, by the recipient's folded domain.
        claims_max: how many messages may be claimed and unsettled at once.
        policies_deadline_s: all queue policies of one message together (RFC 5321 §4.5.3.2.6: the client waits 600 s).
        notice_texts: one for each kind.
        notice_queue: the queue that sends its notices; ``""`` = itself. It is in the same storage.
        notice_routes: the routes of that queue, where it is another one; their relays are in `relays` too.
    """

    name: str
    hostname: str
    storage: QueueStorage
    queue_policies: Sequence[BoundPolicy[QueuePolicy]] = ()
    relay_policies: Sequence[BoundPolicy[RelayPolicy]] = ()
    routes: Sequence[Route]
    relays: Mapping[str, BoundRelay]
    retry: RetrySchedule
    lifetime_s: float
    retry_for: Mapping[str, RetryRule] = attrs.field(factory=dict)
    claims_max: int = 1000
    policies_deadline_s: float = 240.0
    notice_rules: NoticeRules = attrs.field(factory=NoticeRules)
    notice_texts: Mapping[Kind, NoticeText] = attrs.field(factory=default_texts)
    notice_queue: str = ""
    notice_routes: Sequence[Route] = ()
    clock: Clock
    log: EventLog

    @property
    def retry_rules(self) -> RetryRules:
        """How the mail of each domain is tried."""
        return RetryRules(RetryRule(schedule=self.retry, lifetime_s=self.lifetime_s), self.retry_for)


@attrs.frozen(kw_only=True)
class ProxyWiring:
    """Everything that one proxy queue works with; what is not said here is as in `QueueWiring`.

    Attributes:
        spool_path: the folder for large bodies, which it makes.
        claims_max: how many messages may be relayed, or wait for a place, at once.
        place_wait_s: how long one waits for a free place in its lane.
        reply_within_s: how long a client waits for its replies at most (RFC 5321 §4.5.3.2.6: 600 s), policies included.
    """

    name: str
    spool_path: Path
    queue_policies: Sequence[BoundPolicy[QueuePolicy]] = ()
    relay_policies: Sequence[BoundPolicy[RelayPolicy]] = ()
    routes: Sequence[Route]
    relays: Mapping[str, BoundRelay]
    claims_max: int = 1000
    place_wait_s: float = 30.0
    reply_within_s: float = 540.0
    policies_deadline_s: float = attrs.field(
        default=attrs.Factory(lambda self: min(240.0, self.reply_within_s), takes_self=True)
    )
    clock: Clock
    log: EventLog
