"""Envelopes and attempts with defaults."""

from __future__ import annotations

from mdacore.testing import content_of, make_attempt, make_envelope


class TestMakeEnvelope:
    def test_recipients_are_numbered_in_their_order(self):
        envelope = make_envelope("a@example.test", "b@example.test")

        assert [(0, "a@example.test"), (1, "b@example.test")] == [(r.number, r.address) for r in envelope.recipients]

    def test_without_an_address_there_is_one_recipient(self):
        assert ["bob@example.test"] == [recipient.address for recipient in make_envelope().recipients]

    def test_any_field_may_be_given(self):
        envelope = make_envelope(sender="", message=b"x\r\n", dsn_return="HDRS")

        assert ("", "HDRS", b"x\r\n") == (envelope.sender, envelope.dsn_return, content_of(envelope))


def test_content_is_what_a_relay_would_send():
    envelope = make_envelope(message=b"A: b\r\n\r\nbody\r\n")

    edited = envelope.with_content(envelope.content.remove(b"a").prepend(b"X: y\r\n"))

    assert b"X: y\r\n\r\nbody\r\n" == content_of(edited)


def test_an_attempt_is_the_first_unless_it_is_said_otherwise():
    assert (1, 3) == (make_attempt().number, make_attempt(number=3).number)
