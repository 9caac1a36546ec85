"""Transaction: one message in the making, from MAIL to the envelope that Handoff gets."""

from __future__ import annotations

from typing import Literal, cast

from mdacore import Client, Content, Envelope, MailCommand, Recipient
from mdacore_edge_smtp.incoming import IncomingBody

BodyType = Literal["", "7BIT", "8BITMIME"]


class Transaction:
    """What a client has said about one message so far.

    Attributes:
        id: unique for this process's life; in the Received field and the log.
        recipients: accepted so far, in the order of RCPT, duplicates and all.
        body: what has arrived of the message.
    """

    def __init__(self, command: MailCommand, transaction_id: str, body: IncomingBody) -> None:
        self.id = transaction_id
        self.sender = command.sender
        self.recipients: list[str] = []
        self.body = body
        self._body_type = cast(BodyType, command.parameters.get("BODY", "").upper())

    def envelope(self, content: Content, *, client: Client, received_at: float) -> Envelope:
        """The finished message."""
        recipients = [Recipient(number=index, address=address) for index, address in enumerate(self.recipients)]
        return Envelope(
            sender=self.sender,
            recipients=tuple(recipients),
            content=content,
            client=client,
            received_at=received_at,
            body_type=self._body_type,
        )

    def discard(self) -> None:
        """It is over, one way or another: no file of its body is left. Idempotent."""
        self.body.discard()
