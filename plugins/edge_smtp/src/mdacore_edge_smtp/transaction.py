"""Transaction: one message in the making, from MAIL to the envelope that Handoff gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdacore import Client, Content, Envelope, MailCommand, RcptCommand, Recipient
from mdacore_edge_smtp.incoming import IncomingBody
from mdacore_edge_smtp.protocol import envelope_id, notify, original_recipient


class Transaction:
    """What a client has said about one message so far.

    Attributes:
        id: unique for this process's life; in the Received field and the log.
        recipients: where it goes so far, in the order of RCPT, duplicates and all. Who adds one calls `note_wishes`
            before, where there is something to note.
        is_smtputf8: the client asked for RFC 6531.
        body: what has arrived of the message.
    """

    def __init__(self, command: MailCommand, transaction_id: str, body: IncomingBody) -> None:
        self.id = transaction_id
        self.sender = command.sender
        self.recipients: list[str] = []
        self.is_smtputf8 = "SMTPUTF8" in command.parameters
        self.body = body
        self._facts = _facts(command.parameters) if command.parameters else {}
        self._wishes: dict[int, dict[str, Any]] = {}

    def note_wishes(self, command: RcptCommand, said: str) -> None:
        """What is to be known of the next recipient beside its address: the one that was sent, and RFC 3461 §4."""
        is_elsewhere = said != command.address and "@" in said  # the bare postmaster is no address for a notice
        self._wishes[len(self.recipients)] = {
            "original_address": said if is_elsewhere else "",
            "notify": notify(command.parameters),
            "orcpt": original_recipient(command.parameters),
        }

    def envelope(self, content: Content, *, client: Client, received_at: float) -> Envelope:
        """The finished message."""
        wishes = self._wishes
        recipients = [
            Recipient(number=index, address=address, **wishes.get(index, {}))
            for index, address in enumerate(self.recipients)
        ]
        return Envelope(
            sender=self.sender,
            recipients=tuple(recipients),
            content=content,
            client=client,
            received_at=received_at,
            **self._facts,
        )

    def discard(self) -> None:
        """It is over, one way or another: no file of its body is left. Idempotent."""
        self.body.discard()


def _facts(said: Mapping[str, str]) -> dict[str, Any]:
    """What MAIL's parameters are in an envelope (RFC 6152, RFC 6531, RFC 3461 §4.3, §4.4)."""
    return {
        "body_type": said.get("BODY", "").upper(),
        "is_smtputf8": "SMTPUTF8" in said,
        "dsn_return": said.get("RET", "").upper(),
        "dsn_envelope_id": envelope_id(said),
    }
