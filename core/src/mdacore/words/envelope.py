"""Envelope: one accepted message with its sender, recipients, content and the facts about its client.

Pure data, immutable; `attrs.evolve` or the methods here make changed copies that share the body.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NewType

import attrs

from mdacore.words.content import Content

QueueId = NewType("QueueId", str)
"""The name of one message in a storage: ``[0-9A-Za-z][0-9A-Za-z_-]{9,63}``, matched whole, never a path."""

SessionId = NewType("SessionId", str)
"""The name of one connection at an edge; log lines carry it from connect to delivery."""


@attrs.frozen(kw_only=True)
class Recipient:
    """One recipient of one message.

    Attributes:
        number: its name inside the message. The queue numbers the recipients when it accepts the message and a number
            is then stable for the message's whole life; before that it is only the order of RCPT.
        address: where the message goes, ``local@domain`` without brackets.
        original_address: what the client said, where a policy has changed `address` since; else ``""``.
        notify: RFC 3461 §4.1, of ``"SUCCESS" "FAILURE" "DELAY"`` or ``"NEVER"`` alone; empty = not said.
        orcpt: RFC 3461 §4.2, ``addr-type;address``, xtext decoded; ``""`` = not said.
    """

    number: int
    address: str
    original_address: str = ""
    notify: tuple[str, ...] = ()
    orcpt: str = ""


@attrs.frozen(kw_only=True)
class Client:
    """Who handed the message over, as far as the edge knows; ``""`` is unknown.

    Attributes:
        ip: the peer's address; ``""`` for a UNIX socket, a file or a program.
        host: its name by a verified reverse lookup.
        helo: what it called itself, sanitised: printable ASCII, no spaces.
        protocol: the ``with`` of the Received field, RFC 3848: ``"ESMTPSA"``, ``"LMTP"``, ``"HTTP"``.
        identity: the authenticated user.
        edge: the edge's instance name.
        session_id: the connection's.
    """

    ip: str = ""
    host: str = ""
    helo: str = ""
    protocol: str = ""
    identity: str = ""
    edge: str = ""
    session_id: SessionId = SessionId("")


@attrs.frozen(kw_only=True)
class Envelope:
    """One message as an edge accepted it or as a policy made it.

    Attributes:
        sender: the reverse-path without brackets; ``""`` is the null sender (RFC 5321 §4.5.5).
        recipients: at least one.
        received_at: epoch seconds when the edge had it whole.
        body_type: RFC 6152: ``"7BIT"``, ``"8BITMIME"``; ``""`` = not said.
        is_smtputf8: the client asked for RFC 6531.
        dsn_return: RFC 3461 §4.3: ``"FULL"``, ``"HDRS"``; ``""`` = not said.
        dsn_envelope_id: RFC 3461 §4.4 ENVID, xtext decoded; ``""`` = not said.

    Raises:
        ValueError: without a recipient.
    """

    sender: str
    recipients: tuple[Recipient, ...] = attrs.field()
    content: Content
    client: Client = Client()
    received_at: float
    body_type: Literal["", "7BIT", "8BITMIME"] = ""
    is_smtputf8: bool = False
    dsn_return: Literal["", "FULL", "HDRS"] = ""
    dsn_envelope_id: str = ""

    @recipients.validator
    def _check_recipients(self, _: attrs.Attribute[tuple[Recipient, ...]], value: tuple[Recipient, ...]) -> None:
        if not value:
            raise ValueError("an envelope has at least one recipient")

    def with_content(self, content: Content) -> Envelope:
        """A copy with this content."""
        return attrs.evolve(self, content=content)

    def with_recipients(self, recipients: Iterable[Recipient]) -> Envelope:
        """A copy for these recipients, numbered from 0 in this order."""
        return attrs.evolve(self, recipients=tuple(number(recipients)))


def number(recipients: Iterable[Recipient]) -> Iterable[Recipient]:
    """The recipients numbered from 0 in their order; those already right are passed on as they are."""
    for index, recipient in enumerate(recipients):
        yield recipient if recipient.number == index else attrs.evolve(recipient, number=index)
