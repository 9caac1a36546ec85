"""How the queue reads what a storage gives: looked at before anything is made of it.

A storage that lies may repeat mail or keep it back, but its answers neither stop the queue nor send one message in
another's place. Everything in here runs behind the storage's fence.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mdacore.contracts import Claim, NewMessage, QueuedMessage, QueueStorage
from mdacore.runtime import BrokenContract
from mdacore.words import Envelope, QueueId, Reply, printable


def refusal(storage: QueueStorage, size_bytes: int) -> Reply | None:
    """Why a message of this size could not be stored now."""
    reply: object = storage.refusal(size_bytes)
    if reply is not None and not (isinstance(reply, Reply) and reply.code >= 400):
        raise BrokenContract(f"refusal() gave {_shown(reply)}")
    return reply


def write(storage: QueueStorage, messages: Sequence[NewMessage], queue: str) -> Sequence[Claim | QueueId]:
    """Store messages; one id or claim for each.

    Raises:
        BrokenContract: whether they are stored is not known.
        BaseException: as the storage raised it.
    """
    given = storage.write(messages, queue=queue)
    if not isinstance(given, list | tuple) or len(given) != len(messages):
        raise BrokenContract(f"write() of {len(messages)} messages gave {_shown(given)}")
    for index, one in enumerate(given):  # on the way of every message: zip takes twice as long
        message = messages[index]
        if isinstance(one, Claim):
            is_usable = message.claim and one.lane == message.lane and one.queue == queue
        else:
            is_usable = isinstance(one, str)
        if not is_usable:
            raise BrokenContract(f"write() gave {_shown(one)} for a message in lane {message.lane!r}")
    return given


def claim(storage: QueueStorage, queue: str, limit: int, full_lanes: Collection[str]) -> Sequence[Claim]:
    """What is due: at most `limit` claims on messages of this queue, no message twice."""
    given: object = storage.claim(queue, limit, full_lanes=full_lanes)
    if not isinstance(given, list | tuple) or len(given) > limit:  # never iterated: it may have no end
        raise BrokenContract(f"claim() of at most {limit} gave {_shown(given)}")
    for one in given:
        if not isinstance(one, Claim) or one.queue != queue:
            raise BrokenContract(f"claim() gave {_shown(one)} for queue {queue!r}")
    if len({one.queue_id for one in given}) < len(given):
        raise BrokenContract("claim() gave a message twice")
    return given


def renew(storage: QueueStorage, claims: Sequence[Claim]) -> Collection[tuple[QueueId, int]]:
    """Keep these claims; gives those that were kept."""
    given: object = storage.renew(claims)
    if not isinstance(given, list | tuple) or not all(isinstance(one, Claim) for one in given):
        raise BrokenContract(f"renew() of {len(claims)} claims gave {_shown(given)}")
    return {(one.queue_id, one.epoch) for one in given}


def check_new(claims: Sequence[Claim], in_hand: Collection[tuple[QueueId, int]]) -> None:
    """None of them is one that this queue already has; a message that it has lost may come back with a later epoch."""
    for one in claims:
        if (one.queue_id, one.epoch) in in_hand:
            raise BrokenContract(f"claim() gave {_shown(one)} again, which is in hand")


def has_suspect(storage: QueueStorage, queue: str) -> bool:
    """Whether there is one that has to be attempted alone."""
    return storage.has_suspect(queue) is True


def claim_suspect(storage: QueueStorage, queue: str) -> Claim | None:
    """One that has to be attempted alone."""
    given: object = storage.claim_suspect(queue)
    if given is not None and not (isinstance(given, Claim) and given.queue == queue and given.unsettled):
        raise BrokenContract(f"claim_suspect() gave {_shown(given)} for queue {queue!r}")
    return given


def read(storage: QueueStorage, claim: Claim) -> QueuedMessage:
    """The claimed message, and no other."""
    message: object = storage.read(claim)
    if not isinstance(message, QueuedMessage) or not isinstance(message.envelope, Envelope):
        raise BrokenContract(f"read() of {claim.queue_id} gave {_shown(message)}")
    if message.queue_id not in (None, claim.queue_id):
        raise BrokenContract(f"read() of {claim.queue_id} gave the message {message.queue_id}")
    recipients = message.envelope.recipients
    if len({recipient.number for recipient in recipients}) < len(recipients):
        raise BrokenContract(f"read() of {claim.queue_id} gave two recipients of one number")
    return message


def _shown(given: object) -> str:
    """For the log: of what was given only what says nothing about somebody's mail."""
    if isinstance(given, Claim):
        return f"a claim on {printable(str(given.queue_id), 64)} in lane {printable(str(given.lane), 64)!r}"
    return f"{len(given)} results" if isinstance(given, list | tuple) else f"a {type(given).__name__}"
