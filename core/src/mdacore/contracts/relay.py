"""Relay: tries to move one message onward: final delivery or next hop.

A relay tells the truth about each recipient and nothing else: it does not retry, bounce or remember.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs

from mdacore.contracts.component import Component
from mdacore.words import Envelope, MdaError, QueueId, Reply


@attrs.frozen(kw_only=True)
class Attempt:
    """The facts of one attempt.

    Attributes:
        queue_id: the message's name in the queue.
        queue: the queue's name.
        number: from 1; counted durably before the attempt.
        deadline_s: how long it may take from now; the core interrupts it then, or at most a twentieth later, with a
            gevent.Timeout, and the recipients without a reply are deferred.
    """

    queue_id: QueueId
    queue: str
    number: int
    deadline_s: float


@attrs.frozen(kw_only=True)
class RemoteReply(Reply):
    """What another mail system answered, from a relay that passes mail on. A plain Reply is the relay's own word, and
    2yz then means final delivery.

    Attributes:
        remote_mta: that system's host name or address; ``""`` = unknown.
        takes_dsn: it has also taken over the recipient's wishes for notices (RFC 3461 §5.2.1); else the queue tells the
            sender that the message was relayed, if they asked to be told.
    """

    remote_mta: str = ""
    takes_dsn: bool = False


class DestinationDown(MdaError):
    """Raised by a relay: nobody's mail was taken, and no other message of this lane would have fared better now: the
    connection was refused or timed out, or the next hop turns everybody away.

    It is no fault of the relay's. All recipients are deferred with `reply`; a few of these in a row suspend the lane.

    Attributes:
        reply: 4yz, for the sender and the operator: of these recipients, and of those that the suspension keeps waiting
            until their lifetime is over. A RemoteReply if the next hop said it.

    Raises:
        ValueError: for a reply that is not 4yz.
    """

    def __init__(self, reply: Reply) -> None:
        if not reply.is_transient:
            raise ValueError(f"a destination that is down needs a 4yz reply, not {reply}")
        super().__init__(reply=reply)


class Relay(Component, Protocol):
    """A component that delivers."""

    def attempt(self, envelope: Envelope, attempt: Attempt) -> Mapping[int, Reply]:
        """Try to move the message for all of `envelope.recipients`: those still open. Blocks this greenlet.

        Returns one reply for each of them, by its number: 2yz delivered, 4yz deferred, 5yz failed for good.
        Delivered means that the next hop, or the disk, has taken responsibility; a next hop's answer is a RemoteReply.

        A recipient without a reply is deferred, and so are all of them if this raises, whatever it raises: a relay
        that knows that some were delivered must return, not raise. That holds for the deadline's Timeout and for
        GreenletExit, too: as long as nobody has been delivered to they pass; afterwards they end the attempt, and the
        others are left without a reply.

        Raises:
            DestinationDown: nobody was delivered to, and the reason is the destination's, not this message's. A relay
                that cannot tell the two apart returns 4yz replies.
        """

    def destination(self, envelope: Envelope) -> str:
        """The second half of the message's lane: mail for one destination shares concurrency and back-off.

        ``""`` where there is only one, as in final delivery. Called once for a message, before it is stored; no I/O.
        """
