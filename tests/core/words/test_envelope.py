"""Envelope and Recipient: immutable, and numbered in their order."""

from __future__ import annotations

import attrs
import pytest

from mdacore.words import Content, Envelope, MemoryBody, Recipient


def make_envelope(*addresses: str) -> Envelope:
    recipients = tuple(Recipient(number=index, address=address) for index, address in enumerate(addresses))
    return Envelope(sender="", recipients=recipients, content=Content(MemoryBody(b"A: 1\r\n\r\n")), received_at=0.0)


class TestEnvelope:
    def test_without_a_recipient_there_is_none(self) -> None:
        with pytest.raises(ValueError, match="at least one recipient"):
            make_envelope()

    def test_cannot_be_changed(self) -> None:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            make_envelope("a@b").sender = "c@d"  # type: ignore[misc] # the very thing that is tested

    def test_copy_with_other_content_keeps_the_rest(self) -> None:
        envelope = make_envelope("a@b")

        changed = envelope.with_content(envelope.content.prepend(b"B: 2\r\n"))

        assert b"B: 2\r\nA: 1\r\n\r\n" == b"".join(changed.content.chunks())
        assert envelope == changed.with_content(envelope.content)

    def test_copy_shares_the_body(self) -> None:
        envelope = make_envelope("a@b", "c@d")

        part = envelope.with_recipients(envelope.recipients[1:])

        assert envelope.content.body is part.content.body

    def test_recipients_of_a_copy_are_numbered_from_0_in_their_order(self) -> None:
        envelope = make_envelope("a@b", "c@d", "e@f")

        part = envelope.with_recipients(reversed(envelope.recipients[1:]))

        assert [(0, "e@f"), (1, "c@d")] == [(recipient.number, recipient.address) for recipient in part.recipients]

    def test_copy_without_recipients_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one recipient"):
            make_envelope("a@b").with_recipients(())
