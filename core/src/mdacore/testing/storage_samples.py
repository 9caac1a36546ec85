"""What the contract suites for storages write and look at: messages, ends, and short ways to ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mdacore.contracts import (
    Claim,
    Clock,
    Closing,
    NewMessage,
    Outcome,
    Query,
    QueueEntry,
    QueueStorage,
)
from mdacore.words import (
    Content,
    Envelope,
    MemoryBody,
    QueueId,
    Recipient,
    Reply,
)

QUEUE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{9,63}")
DELIVERED = Closing(outcome=Outcome.DELIVERED, reply=Reply.parse("250 2.0.0 Delivered"))
BOUNCED = Closing(outcome=Outcome.BOUNCED, reply=Reply.parse("550 5.1.1 No such user"), notice="sent")
LATER = Reply.parse("451 4.2.1 Mailbox busy")
WAKES_WITHIN_S = 5.0
"""How long whoever waits for work may take to wake up; a storage that looks now and then looks this often."""
BODY = b"Subject: hello\r\n\r\n\x00 any octets \xff\r\n"

OpenStorage = Callable[[], QueueStorage]
Nodes = tuple[QueueStorage, QueueStorage]


def make_envelope(
    clock: Clock, *addresses: str, sender: str = "alice@example.org", content: Content | None = None
) -> Envelope:
    """An envelope for these addresses, by default for one."""
    recipients = [Recipient(number=n, address=address) for n, address in enumerate(addresses or ["bob@example.test"])]
    return Envelope(
        sender=sender,
        recipients=tuple(recipients),
        content=content or Content(MemoryBody(BODY)),
        received_at=clock.now(),
    )


def new(clock: Clock, *, envelope: Envelope | None = None, **given: object) -> NewMessage:
    """A message that is due now, in the lane ``local/``."""
    values = {"lane": "local/", "due_at": clock.now(), **given}
    return NewMessage(envelope=envelope or make_envelope(clock), **values)  # type: ignore[arg-type] # by keyword


def claims(given: Sequence[Claim | QueueId]) -> list[Claim]:
    """What was given, which has to be claims. Raises AssertionError: an id is among them."""
    found = [one for one in given if isinstance(one, Claim)]
    if len(found) < len(given):
        raise AssertionError(f"ids where claims were asked for: {given}")
    return found


def id_of(given: Claim | QueueId) -> QueueId:
    return given.queue_id if isinstance(given, Claim) else given


def listed(storage: QueueStorage) -> list[QueueEntry]:
    return list(storage.entries(Query()))
