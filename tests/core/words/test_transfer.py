"""Envelopes as JSON values and back."""

import contextlib
import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore.words import Client, Content, Envelope, MemoryBody, Recipient, SessionId
from mdacore.words.transfer import NotAnEnvelope, envelope_facts, envelope_of

BODY = MemoryBody(b"Subject: x\r\n\r\nhello\r\n")
ENVELOPE = Envelope(
    sender="älice@example.org",
    recipients=(
        Recipient(number=0, address='"odd one"@example.test', notify=("SUCCESS", "DELAY"), orcpt="rfc822;x@y"),
        Recipient(number=7, address="b@example.test", original_address="a@example.test"),
    ),
    content=Content(BODY),
    client=Client(
        ip="192.0.2.1", host="h", helo="e", protocol="ESMTP", identity="u", edge="mx", session_id=SessionId("s")
    ),
    received_at=1_700_000_000.25,
    body_type="8BITMIME",
    is_smtputf8=True,
    dsn_return="HDRS",
    dsn_envelope_id="id 1",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_an_envelope_comes_back_as_it_was():
    facts = json.loads(json.dumps(envelope_facts(ENVELOPE)))

    assert ENVELOPE == envelope_of(facts, BODY)


def test_every_field_is_carried():
    """A new field of an envelope must not be lost on the way."""
    names = {field.name for field in attrs.fields(Envelope)} - {"content"}
    recipient = {field.name for field in attrs.fields(Recipient)}
    client = {field.name for field in attrs.fields(Client)}

    facts = envelope_facts(ENVELOPE)

    assert (names, recipient, client) == (set(facts), set(facts["recipients"][0]), set(facts["client"]))


@given(st.sampled_from(sorted(envelope_facts(ENVELOPE))), JSON)
def test_any_value_in_any_place_is_taken_or_refused(key, value):
    facts = {**envelope_facts(ENVELOPE), key: value}

    with contextlib.suppress(ValueError):
        assert isinstance(envelope_of(facts, BODY), Envelope)


@pytest.mark.parametrize(
    "change",
    [
        {"sender": "a\r\nRCPT TO:<x>"},
        {"recipients": []},
        {"recipients": [{"number": 0, "address": ""}]},
        {"recipients": [{"number": True, "address": "a@b"}]},
        {"received_at": "1"},
        {"received_at": float("nan")},
        {"dsn_return": "SOME"},
        {"client": []},
    ],
)
def test_what_could_do_harm_is_refused(change):
    with pytest.raises(ValueError, match=r"."):
        envelope_of({**envelope_facts(ENVELOPE), **change}, BODY)


def test_what_is_no_object_is_refused():
    with pytest.raises(NotAnEnvelope):
        envelope_of([1], BODY)
