"""The head of a message file: read as it was written, or refused."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore import Client, Content, Envelope, MemoryBody, QueueId, Recipient, SessionId
from mdacore_storage_disk.message import FIRST_LINE_BYTES, BodyFacts, Head, StoredMessage, decode, encode, rest_size
from mdacore_storage_disk.record import RecordError

TEXT = st.text(st.characters())
ENVELOPES = st.builds(
    Envelope,
    sender=TEXT,
    recipients=st.lists(
        st.builds(Recipient, number=st.integers(0, 10**6), address=TEXT, original_address=TEXT, orcpt=TEXT), min_size=1
    ).map(tuple),
    content=st.just(Content(MemoryBody(b"")).prepend(b"X-Odd: \xff\r\n").remove(b"received").remove(b"to", at=(0, 2))),
    client=st.builds(Client, ip=TEXT, helo=TEXT, session_id=TEXT.map(SessionId)),
    received_at=st.floats(allow_nan=False, allow_infinity=False),
    body_type=st.sampled_from(["", "7BIT", "8BITMIME"]),
    is_smtputf8=st.booleans(),
    dsn_return=st.sampled_from(["", "FULL", "HDRS"]),
    dsn_envelope_id=TEXT,
)
MESSAGES = st.builds(
    StoredMessage,
    queue_id=st.just(QueueId("x" * 17)),
    lane=TEXT,
    due_at=st.floats(allow_nan=False, allow_infinity=False),
    held=TEXT,
    is_claimed=st.booleans(),
    body=st.just(0),
    envelope=ENVELOPES,
)
HEAD = Head(
    queue="main",
    written_at=1.0,
    bodies=[BodyFacts(size_bytes=3, crc=7)],
    messages=[
        StoredMessage(
            queue_id=QueueId("x" * 17),
            lane="local/",
            due_at=1.0,
            held="",
            is_claimed=True,
            body=0,
            envelope=Envelope(
                sender="alice@example.org",
                recipients=(Recipient(number=0, address="bob@example.test"),),
                content=Content(MemoryBody(b"")),
                received_at=1.0,
            ),
        )
    ],
)


class TestEncode:
    @given(st.lists(MESSAGES, min_size=1, max_size=3), TEXT)
    def test_what_is_read_is_what_was_written(self, messages, key):
        head = attrs.evolve(HEAD, messages=messages, key=key)

        octets = encode(head)

        assert head == decode(octets)
        assert len(octets) == FIRST_LINE_BYTES + rest_size(octets[:FIRST_LINE_BYTES])

    def test_its_size_does_not_depend_on_the_checksums_of_the_bodies(self):
        other = attrs.evolve(HEAD, bodies=[BodyFacts(size_bytes=3, crc=0xFFFFFFFF)])

        assert len(encode(HEAD)) == len(encode(other))

    def test_a_person_can_read_it_and_find_a_recipient(self):
        octets = encode(HEAD)

        assert octets.startswith(b"mdacore-message 1 ")
        assert b'"address":"bob@example.test"' in octets
        assert octets.endswith(b"}\n\n")

    @pytest.mark.parametrize("due_at", [float("nan"), float("inf")])
    def test_a_time_that_is_none_is_refused(self, due_at):
        with pytest.raises(ValueError):
            encode(attrs.evolve(HEAD, written_at=due_at))


class TestDecode:
    def test_any_octet_that_is_changed_is_noticed(self):
        octets = encode(HEAD)

        for at in range(len(octets)):
            with pytest.raises(RecordError):
                decode(octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :])

    def test_any_cut_is_noticed(self):
        octets = encode(HEAD)

        for size in range(len(octets)):
            with pytest.raises(RecordError):
                decode(octets[:size])

    @given(st.binary(max_size=200))
    def test_garbage_is_refused(self, octets):
        with pytest.raises(RecordError):
            decode(octets)

    def test_case_078_a_later_version_says_so(self):
        with pytest.raises(RecordError, match="of version 2; this program reads version 1"):
            decode(encode(HEAD).replace(b"mdacore-message 1", b"mdacore-message 2", 1))
