"""The state log: what was added is read, but for a last line that a crash has cut."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore import Change, Closing, Outcome, QueueId, Reply
from mdacore_storage_disk.journal import Amended, Claimed, Released, Remembered, Settled, decode, encode
from mdacore_storage_disk.record import RecordError

ID = QueueId("x" * 17)
EVENTS = [
    Claimed(queue_id=ID, at=1.0),
    Released(queue_id=ID, at=2.0),
    Released(queue_id=ID, at=2.5, due_at=90.0),
    Settled(
        queue_id=ID,
        at=3.5,
        closed={0: Closing(outcome=Outcome.BOUNCED, reply=Reply.parse("550 5.1.1 No such üser"), notice="sent")},
        deferred={1: Reply.parse("451 4.2.1 Mailbox busy")},
        due_at=60.0,
        held="why",
        notices=(QueueId("y" * 17),),
    ),
    Amended(
        queue_id=ID,
        at=4.0,
        change=Change.DISCARD,
        remembered=Remembered(queue="main", key="k", written_at=0.5, queue_ids=(ID,)),
    ),
]
LOG = b"".join(map(encode, EVENTS))


class TestDecode:
    def test_what_is_read_is_what_was_written(self):
        assert (EVENTS, len(LOG)) == decode(LOG)

    def test_an_empty_log_has_no_events(self):
        assert ([], 0) == decode(b"")

    @pytest.mark.parametrize("size", range(1, len(encode(EVENTS[-1]))))
    def test_a_cut_last_line_is_left_out(self, size):
        sound = len(LOG) - len(encode(EVENTS[-1]))

        assert (EVENTS[:-1], sound) == decode(LOG[: sound + size])

    @pytest.mark.parametrize("zeros", [1, 10, 60])
    def test_a_last_line_that_begins_with_zeros_is_left_out(self, zeros):
        """The end of what was written reached the disk, its beginning did not."""
        sound = len(LOG) - len(encode(EVENTS[-1]))

        assert (EVENTS[:-1], sound) == decode(LOG[:sound] + bytes(zeros) + LOG[sound + zeros :])

    def test_zeros_at_the_end_are_left_out(self):
        assert (EVENTS, len(LOG)) == decode(LOG + bytes(4096))

    def test_any_octet_that_is_changed_before_the_last_line_is_damage(self):
        sound = len(LOG) - len(encode(EVENTS[-1]))

        for at in range(sound - 1):
            with pytest.raises(RecordError, match="of its log is damaged"):
                decode(LOG[:at] + bytes([LOG[at] ^ 1]) + LOG[at + 1 :])

    @given(st.lists(st.binary(max_size=30), max_size=4).map(b"\n".join))
    def test_garbage_is_damage_or_a_crashs_tail(self, octets):
        try:
            events, size_bytes = decode(octets)
        except RecordError:
            return
        assert ([], 0) == (events, size_bytes)

    @pytest.mark.parametrize(
        "fields", [b"[]", b"{}", b'{"did":"vanished","id":"x","at":1}', b'{"did":"claimed","at":1}']
    )
    def test_a_sound_line_that_says_nothing_is_damage(self, fields):
        line = b"%08x " % zlib.crc32(fields + b"\n") + fields + b"\n"

        with pytest.raises(RecordError):
            decode(line + LOG)
