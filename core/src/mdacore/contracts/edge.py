"""Edge: accepts mail into the system; and Handoff, its one way to give responsibility away.

An edge owns its wire format, its sockets and its sessions. It is responsible for a message until `Handoff.accept` has
returned or raised; it answers success only with a reply that `accept` gave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import attrs

from mdacore.contracts.component import Component, Context
from mdacore.contracts.session import Chain
from mdacore.words import Envelope, Reply


class Handoff(Protocol):
    """The queue as an edge sees it."""

    @property
    def spool_path(self) -> Path | None:
        """Where bodies past 256 KB are written: a folder on the storage's file system, or a proxy's own, which exists
        while the queue runs; None means that bodies are held in memory.

        The edge names its files uniquely, and removes each once `accept` has returned or raised: the storage has made
        its own link by then, or the message has been relayed.
        """

    @property
    def is_proxy(self) -> bool:
        """Nothing is stored: `accept` relays the message, and its replies may differ from recipient to recipient.

        An edge whose protocol has one reply for a whole message (SMTP) then takes one recipient a transaction, and
        answers the rest 452 4.5.3 (RFC 5321 §4.5.3.1.10). Nor does it offer DSN (RFC 3461): nobody here could send a
        notice, so that the client's system has to. It does not change while the edge lives.
        """

    def refusal(self, size_bytes: int) -> Reply | None:
        """The reply to give at MAIL because nothing can be stored now (full, failed, draining), or None. Never blocks.

        `size_bytes` is what the client announced, 0 if nothing.
        """

    def accept(self, envelope: Envelope) -> Sequence[Reply]:
        """Take responsibility for a message. Returns one reply for each of `envelope.recipients`, in their order.

        With a storage all replies are equal. 2yz: the message, with every recipient, is as durable as the storage's
        sentence says. 4yz or 5yz: it is not stored, but for one case: `451` after a commit whose outcome is unknown,
        which is logged as ``queue.accept_unknown``.

        A proxy (`is_proxy`) gives each recipient its own. 2yz: what policies made of that recipient's mail was
        delivered, or discarded by a policy. 4yz or 5yz: it was not, or not all of it.

        Blocks while policies and storage work: at most 240 s for the policies, plus one commit; a proxy blocks while
        policies and relays work, 540 s at most if not configured otherwise. Raises nothing but what interrupts the
        calling greenlet (GreenletExit, the caller's own Timeout); a commit or an attempt that has begun goes on all the
        same, and the edge then closes the connection without a reply.
        """


@attrs.frozen(kw_only=True)
class EdgeContext(Context):
    """What an edge's `build` gets: where its mail goes and what may object at session time.

    Attributes:
        handoff: the queue named in the edge's configuration.
        validators: the session-time checks of the policies named there, compiled, in their order.
    """

    handoff: Handoff
    validators: Chain


class Edge(Component, Protocol):
    """A component that accepts mail.

    `start` begins to accept; all else is up by then. `drain` stops accepting and answers 421 at the next command of
    each session; a message whose end has arrived is still finished and answered.
    """

    def bind(self) -> None:
        """Take the ports and sockets, without accepting: before `start`, and while there may still be privileges.

        Raises OSError if one is taken; those bound before are closed again by then. `stop` releases what was bound.
        """

    @property
    def addresses(self) -> Sequence[str]:
        """What it is bound to, as a person would write it: ``"127.0.0.1:2525"``, ``"unix:/run/mda.sock"``."""
