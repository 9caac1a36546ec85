"""Jobs: everything that changes the store, as data for the commit thread. What each does in SQL is in `commit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import attrs

from mdacore import Change, Claim, QueueId
from mdacore_storage_shelve.ledger import ActiveClaim

ResultT = TypeVar("ResultT", covariant=True)


class MessageRow(NamedTuple):
    """One new row of `message`, in the order of `sql.insert_messages`."""

    id: int
    queue: str
    lane: str
    due_at: float
    state: int
    held: str
    attempts: int
    body: int
    body_is_file: bool
    body_size: int
    envelope: bytes


class BodyRow(NamedTuple):
    """One new row of `body`, in the order of `sql.insert_bodies`."""

    id: int
    crc: int
    data: bytes


class DeferredRow(NamedTuple):
    """What a settlement leaves of a message, in the order of `sql.defer_messages`; no progress = as before."""

    id: int
    state: int
    due_at: float
    held: str
    progress: bytes | None


class ReleasedRow(NamedTuple):
    """What is given back, in the order of `sql.release_messages`; no due time = as before."""

    id: int
    due_at: float | None


class AmendedRow(NamedTuple):
    """One message that an operator has changed; `state` is what it was before."""

    id: int
    queue: str
    state: int
    body: int
    body_is_file: int


@attrs.frozen
class Job(Generic[ResultT]):
    """One caller's change, committed with others or alone, whole or not at all; `ResultT` is what the caller gets."""


@attrs.frozen(kw_only=True)
class Write(Job[Sequence[int]]):
    """Store messages with their bodies; gives their numbers, or those that were stored under the same key before.

    Attributes:
        claims: of the messages that are claimed from the start.
    """

    queue: str
    key: str
    now: float
    messages: Sequence[MessageRow]
    bodies: Sequence[BodyRow]
    claims: Mapping[QueueId, ActiveClaim]


@attrs.frozen(kw_only=True)
class ClaimDue(Job["Claimed"]):
    """Claim what is due."""

    queue: str
    limit: int
    full_lanes: Sequence[str]
    now: float


@attrs.frozen(kw_only=True)
class ClaimSuspect(Job["Claim | None"]):
    """Claim one of those that have to be attempted alone."""

    queue: str
    now: float


@attrs.frozen(kw_only=True)
class Claimed:
    """Attributes:
    claims: longest due first.
    next_due_at: when there may be more to claim.
    """

    claims: Sequence[Claim]
    next_due_at: float


@attrs.frozen(kw_only=True)
class Settle(Job[None]):
    """End a claim: leave of the message what `deferred` says, or remove it; and store notices."""

    claim: Claim
    deferred: DeferredRow | None
    notices: Sequence[MessageRow] = ()
    bodies: Sequence[BodyRow] = ()


@attrs.frozen(kw_only=True)
class Release(Job[None]):
    """End a claim as if it had not been; its message is due at `due_at` from now on, or as before (None)."""

    claim: Claim
    due_at: float | None = None


@attrs.frozen(kw_only=True)
class SetAside(Job[None]):
    """End a claim of a message that cannot be read."""

    claim: Claim
    reason: str


@attrs.frozen(kw_only=True)
class Amend(Job[Sequence[AmendedRow]]):
    """Change those of these messages that nobody has claimed.

    Attributes:
        states: as `schema` has them; whatever is in another state by now stays as it is.
        attempts: whatever has another number of them by now stays as it is; None = any.
    """

    ids: Sequence[int]
    change: Change
    now: float
    states: Sequence[int]
    attempts: int | None = None


@attrs.frozen(kw_only=True)
class ReserveIds(Job[range]):
    """Take numbers that no message has had or will have."""

    count: int


@attrs.frozen(kw_only=True)
class ForgetKeys(Job[bool]):
    """Forget some of the keys that were seen before `forgotten_at`; True = there are more."""

    forgotten_at: float
