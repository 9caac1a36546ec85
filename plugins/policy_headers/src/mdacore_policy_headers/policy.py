"""The policy itself: which fields are missing, and on top of the message with them.

How a field is written is not in here (`fields`). Invariant: what the message had stays as it was, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mdacore import Context, Envelope, Health, PolicyParts
from mdacore_policy_headers.fields import DOMAIN, date_field, message_id_field, received_field


@attrs.frozen(kw_only=True)
class HeadersConfig:
    """``[policies.<name>] kind = "headers"``."""

    date: bool = attrs.field(default=True, metadata={"help": "Add Date, the time of arrival, where there is none."})
    message_id: bool = attrs.field(default=True, metadata={"help": "Add Message-Id where there is none."})
    received: bool = attrs.field(
        default=True, metadata={"help": "Add Received where there is none at all, not even the edge's own."}
    )


class HeadersPolicy:
    """A queue policy; it never refuses, splits or drops a message."""

    def __init__(self, config: HeadersConfig, context: Context) -> None:
        if (config.message_id or config.received) and not DOMAIN.fullmatch(context.hostname):
            raise ValueError(f"the service's name {context.hostname!r} cannot stand in Message-Id and Received")
        self._config = config
        self._hostname = context.hostname

    def start(self) -> None:
        """Nothing to acquire."""

    def drain(self, grace_s: float) -> bool:  # noqa: ARG002 - the contract's signature
        """Nothing is ever in hand."""
        return True

    def stop(self) -> None:
        """Nothing to release."""

    def health(self) -> Health:
        """Always well."""
        return Health()

    def parts(self) -> PolicyParts:
        """It takes part before the message is stored."""
        return PolicyParts(queue_policy=self.apply)

    def apply(self, envelope: Envelope) -> Sequence[Envelope]:
        """The envelope with the fields that it lacked, Received on top (RFC 5321 §4.4).

        Blocks on a disk when the body is a file: its header has to be read.
        """
        received = envelope.content
        content = received
        if self._config.message_id and not received.fields(b"Message-Id"):
            content = content.prepend(message_id_field(envelope, self._hostname))
        if self._config.date and not received.fields(b"Date"):
            content = content.prepend(date_field(envelope))
        if self._config.received and not received.fields(b"Received"):
            content = content.prepend(received_field(envelope, self._hostname))
        return (envelope if content is received else envelope.with_content(content),)
