"""Records: what was written or an error, whatever the octets are."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore import Client, Content, Envelope, MemoryBody, Recipient, Reply
from mdacore.contracts import Closing, Outcome
from mdacore_storage_shelve.record import (
    Progress,
    RecordError,
    decode_envelope,
    decode_progress,
    encode_envelope,
    encode_progress,
)

BODY = MemoryBody(b"Subject: x\r\n\r\n")
ENVELOPE = Envelope(
    sender="älice@example.org",
    recipients=(
        Recipient(number=3, address='"odd one"@example.test', notify=("SUCCESS", "DELAY"), orcpt="rfc822;x@y"),
        Recipient(number=7, address="b@example.test", original_address="a@example.test"),
    ),
    content=Content(BODY).remove(b"subject").remove(b"to", at=(0, 2)).prepend(b"X-Odd: \xff\r\n"),
    client=Client(ip="192.0.2.1", host="h", helo="e", protocol="ESMTP", identity="u", edge="mx", session_id="s"),
    received_at=1_700_000_000.25,
    body_type="8BITMIME",
    is_smtputf8=True,
    dsn_return="HDRS",
    dsn_envelope_id="id 1",
)
DELIVERED = Closing(outcome=Outcome.DELIVERED, reply=Reply.parse("250 2.0.0 Ok"))
BOUNCED = Closing(
    outcome=Outcome.BOUNCED, reply=Reply.parse("550 5.1.1 No\nsuch user"), notice="suppressed: null sender"
)
LATER = Reply.parse("451 4.2.1 Busy")


def sealed(fields, kind=b"E", version=1):
    payload = json.dumps(fields).encode() if not isinstance(fields, bytes) else fields
    return struct.pack("<3scBI", b"mda", kind, version, zlib.crc32(payload)) + payload


class TestEnvelope:
    def test_it_comes_back_with_every_field(self):
        assert ENVELOPE == decode_envelope(encode_envelope(ENVELOPE), BODY)

    @given(st.text(), st.text(), st.floats(0, 1e10), st.text(st.characters(max_codepoint=0x10FFFF)))
    def test_any_text_comes_back(self, sender, address, received_at, helo):
        envelope = attrs.evolve(
            ENVELOPE,
            sender=sender,
            recipients=(Recipient(number=0, address=address),),
            received_at=received_at,
            client=Client(helo=helo + "\udc80"),
        )

        assert envelope == decode_envelope(encode_envelope(envelope), BODY)

    def test_no_changed_bit_is_overlooked(self):
        record = encode_envelope(ENVELOPE)

        for position in range(len(record) * 8):
            octets = bytearray(record)
            octets[position // 8] ^= 1 << position % 8
            with pytest.raises(RecordError):
                decode_envelope(bytes(octets), BODY)

    def test_no_cut_is_overlooked(self):
        record = encode_envelope(ENVELOPE)

        for length in range(len(record)):
            with pytest.raises(RecordError):
                decode_envelope(record[:length], BODY)

    @given(st.binary())
    def test_garbage_is_an_error(self, octets):
        with pytest.raises(RecordError):
            decode_envelope(octets, BODY)

    @pytest.mark.parametrize(
        "fields",
        [
            b"[]",
            b"{",
            b"[" * 100_000,
            {},
            {"sender": "a"},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "sender": 1},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "recipients": []},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "recipients": [[1, 2]]},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "client": []},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "edits": [["run", "x"]]},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "edits": [["prepend", "no field"]]},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "edits": [["prepend", "X: y\r\n", [0]]]},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "edits": [["remove", 1]]},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "edits": [["remove", "to", []]]},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "edits": [["remove", "to", 0]]},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "edits": [["remove", "to", "12"]]},
            {**json.loads(encode_envelope(ENVELOPE)[9:]), "edits": [["remove", "to", [0], "more"]]},
        ],
    )
    def test_what_is_sealed_but_is_no_envelope_is_an_error(self, fields):
        with pytest.raises(RecordError):
            decode_envelope(sealed(fields), BODY)

    def test_case_078_an_edit_without_places_is_written_as_earlier_versions_read_it(self):
        """They refuse what has places: that is better than removing more than was said."""
        written = json.loads(encode_envelope(ENVELOPE)[9:])["edits"]

        assert [["remove", "subject"], ["remove", "to", [0, 2]], ["prepend", "X-Odd: \xff\r\n"]] == written

    def test_case_078_a_later_version_is_named(self):
        with pytest.raises(RecordError, match="version 2"):
            decode_envelope(sealed({}, version=2), BODY)

    def test_case_071_a_planted_pickle_is_not_run(self, tmp_path):
        """Case 71."""

        class Planted:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "owned"),)

        for octets in (pickle.dumps(Planted()), sealed(pickle.dumps(Planted()))):
            with pytest.raises(RecordError):
                decode_envelope(octets, BODY)
        assert not (tmp_path / "owned").exists()

    def test_text_where_octets_should_be_is_an_error(self):
        with pytest.raises(RecordError):
            decode_envelope("text", BODY)


class TestProgress:
    def test_it_comes_back(self):
        progress = Progress(closed={0: DELIVERED, 5: BOUNCED}, replies={2: LATER})

        assert progress == decode_progress(encode_progress(progress))

    def test_that_a_delay_was_reported_comes_back_and_stays(self):
        progress = Progress().after({}, {2: LATER}, reports_delay=True)

        assert progress == decode_progress(encode_progress(progress))
        assert progress.after({}, {2: LATER}).is_delay_reported

    def test_case_078_one_that_an_earlier_version_wrote_reports_no_delay(self):
        fields = {"closed": [[0, "delivered", 250, "2.0.0", "Ok", ""]], "replies": [[2, 451, "4.2.1", "Busy"]]}

        assert Progress(closed={0: DELIVERED}, replies={2: LATER}) == decode_progress(sealed(fields, kind=b"P"))

    def test_nothing_stored_is_no_progress(self):
        assert Progress() == decode_progress(None)

    def test_an_envelope_is_no_progress(self):
        with pytest.raises(RecordError):
            decode_progress(encode_envelope(ENVELOPE))

    @pytest.mark.parametrize(
        "fields", [{}, {"closed": [[1]], "replies": []}, {"closed": [], "replies": [[1, 99, "", ""]]}]
    )
    def test_what_is_sealed_but_is_no_progress_is_an_error(self, fields):
        with pytest.raises(RecordError):
            decode_progress(sealed(fields, kind=b"P"))

    def test_an_end_is_never_taken_back(self):
        first = Progress().after({0: DELIVERED}, {1: LATER, 2: LATER})

        second = first.after({0: BOUNCED, 1: BOUNCED}, {0: LATER})

        assert Progress(closed={0: DELIVERED, 1: BOUNCED}, replies={2: LATER}) == second
