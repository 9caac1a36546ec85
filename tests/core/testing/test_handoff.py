"""The recording handoff keeps the contract of a queue towards its edges."""

from __future__ import annotations

import gevent
import pytest
from greenlet import GreenletExit

from mdacore import Content, FileBody, Reply
from mdacore.testing import RecordingHandoff, make_envelope

LATER = Reply.parse("451 4.3.0 Later")
NO = Reply.parse("550 5.7.1 No")


class TestAccept:
    def test_every_recipient_gets_a_success_by_default(self):
        replies = RecordingHandoff().accept(make_envelope("a@example.test", "b@example.test"))

        assert [250, 250] == [reply.code for reply in replies]

    def test_answers_come_in_their_order_and_the_last_one_stays(self):
        handoff = RecordingHandoff(LATER, [NO, LATER])
        envelope = make_envelope("a@example.test", "b@example.test")

        assert [[LATER, LATER], [NO, LATER], [NO, LATER]] == [list(handoff.accept(envelope)) for _ in range(3)]

    @pytest.mark.parametrize("interruption", [GreenletExit(), gevent.Timeout(1)])
    def test_what_interrupts_is_raised_and_the_message_recorded(self, interruption):
        handoff = RecordingHandoff(interruption)

        with pytest.raises(type(interruption)) as caught:
            handoff.accept(make_envelope())

        assert interruption is caught.value
        assert 1 == len(handoff.envelopes)

    def test_a_spool_file_is_read_before_it_goes_away(self, tmp_path):
        path = tmp_path / "body"
        path.write_bytes(b"x: y\r\n")
        envelope = make_envelope(message=b"").with_content(Content(FileBody(path, 6)).prepend(b"Received: z\r\n"))
        handoff = RecordingHandoff(spool_path=tmp_path)

        handoff.accept(envelope)

        assert [b"Received: z\r\nx: y\r\n"] == handoff.messages
        assert [b"x: y\r\n"] == handoff.bodies

    def test_held_it_blocks_until_the_test_says_go_on(self):
        handoff = RecordingHandoff()
        handoff.is_held = True
        edge = gevent.spawn(handoff.accept, make_envelope())

        assert handoff.arrived.wait(60)
        gevent.idle()
        assert not edge.ready()

        handoff.go_on.set()
        edge.join(60)
        assert [250] == [reply.code for reply in edge.value]


class TestRefusal:
    def test_nothing_is_refused_by_default_and_the_question_is_recorded(self):
        handoff = RecordingHandoff()

        assert handoff.refusal(1234) is None
        assert [1234] == handoff.announced_bytes

    def test_it_refuses_what_the_test_says(self):
        handoff = RecordingHandoff()
        handoff.refuses = LATER

        assert LATER == handoff.refusal(0)
