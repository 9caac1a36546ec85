"""BDAT on the state machine (RFC 3030): chunks are counted, never searched, and never taken for commands."""

from __future__ import annotations

import tracemalloc

import pytest

from mdacore import MailCommand, RcptCommand
from mdacore_edge_smtp.protocol import (
    NEED_DATA,
    DataCommand,
    Limits,
    MessageEnded,
    MessageOctets,
    MessageRefused,
    Misuse,
    ResetCommand,
    replies,
)

from .machine_driver import GO_ON, LATER, NO, OK, TO_RCPT, Driver

SMALL = Limits(max_message_size_bytes=20, max_excess_bytes=10)


def ready(limits: Limits | None = None, **more) -> Driver:
    """Past RCPT."""
    driver = Driver(limits, **more).greeted()
    driver.send(TO_RCPT)
    driver.events.clear()
    return driver


class TestChunks:
    def test_the_first_asks_and_the_last_ends(self):
        driver = ready()

        driver.send(b"BDAT 3\r\na\r\nBDAT 2 LAST\r\n\r\n")

        assert [DataCommand(is_chunked=True), MessageOctets(b"a\r\n"), MessageOctets(b"\r\n"), MessageEnded()] == (
            driver.events
        )

    def test_the_go_ahead_is_not_sent_but_each_chunk_is_answered(self):
        assert ["250 2.0.0", "250 2.0.0"] == ready().send(b"BDAT 3\r\na\r\n", b"BDAT 0 LAST\r\n")

    def test_empty_chunks_that_are_not_the_last_are_idle(self):
        """They bring the message no further, and a client could hold its session by them."""
        driver = ready(Limits(max_errors=4, max_idle_commands=3))

        said = driver.send(b"BDAT 1\r\nx", b"BDAT 0\r\n" * 9)

        assert ["250 2.0.0"] * 6 + ["421 4.7.0"] == said
        assert MessageRefused(replies.TOO_MANY_ERRORS) == driver.events[-1]
        assert "too many errors" == driver.protocol.end_reason

    def test_the_first_chunk_may_be_empty_too_and_the_last_is_never_idle(self):
        driver = ready(Limits(max_errors=1, max_idle_commands=2))

        said = driver.send(b"BDAT 0\r\n", b"BDAT 0 LAST\r\n")

        assert ["250 2.0.0"] * 2 == said

    def test_the_reply_names_the_octets(self):
        driver = ready()
        driver.protocol.receive(b"BDAT 3\r\na\r\n")
        driver.protocol.next_event()
        driver.protocol.answer(OK)
        driver.protocol.next_event()
        driver.protocol.next_event()

        assert b"250 2.0.0 3 octets received\r\n" == driver.protocol.data_to_send()

    def test_the_message_is_open_between_its_chunks_and_not_after_the_last(self):
        driver = ready()

        driver.send(b"BDAT 3\r\na\r\n")
        assert driver.protocol.is_message_open

        driver.send(b"BDAT 0 LAST\r\n")
        assert not driver.protocol.is_message_open

    def test_a_3yz_is_no_answer_to_it(self):
        driver = ready()
        driver.protocol.receive(b"BDAT 3\r\n")
        driver.protocol.next_event()

        with pytest.raises(Misuse):
            driver.protocol.answer(GO_ON)

    def test_rset_forgets_the_chunks(self):
        driver = ready()

        assert ["250 2.0.0"] * 2 == driver.send(b"BDAT 3\r\na\r\n", b"RSET\r\n")
        assert ResetCommand() == driver.events[-1]
        assert not driver.protocol.is_message_open
        assert ["250 2.0.0"] * 3 == driver.send(TO_RCPT + b"BDAT 1 LAST\r\nx")

    def test_commands_that_are_no_part_of_a_message_may_stand_between_chunks(self):
        assert ["250 2.0.0", "250 2.0.0", "252 2.0.0"] == ready().send(b"BDAT 3\r\na\r\nNOOP\r\nVRFY a\r\n")

    @pytest.mark.parametrize("line", [b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"AUTH PLAIN\r\n"])
    def test_commands_of_a_transaction_may_not(self, line):
        driver = ready()

        assert ["250 2.0.0", "503 5.5.1", "250 2.0.0"] == driver.send(b"BDAT 3\r\na\r\n", line, b"BDAT 0 LAST\r\n")

    def test_a_refused_message_leaves_no_transaction(self):
        driver = ready(answers={MessageEnded: NO})

        assert ["550 5.7.1", "503 5.5.1"] == driver.send(b"BDAT 1 LAST\r\nxBDAT 1 LAST\r\nx")

    def test_the_next_message_may_come_by_data(self):
        driver = ready()

        assert ["250 2.0.0"] * 3 + ["354", "250 2.0.0"] == driver.send(
            b"BDAT 1 LAST\r\nx" + TO_RCPT + b"DATA\r\n", b"y\r\n.\r\n"
        )


class TestRefusedFirstChunk:
    """The caller refuses: the octets are read, and nothing more of the message is taken before RSET."""

    def test_the_octets_are_not_obeyed(self):
        driver = ready(answers={DataCommand: LATER})

        assert ["451 4.7.1"] == driver.send(b"BDAT 6\r\nQUIT\r\n")
        assert [DataCommand(is_chunked=True)] == driver.events

    def test_what_is_pipelined_behind_it_does_not_pass_for_a_message(self):
        driver = ready(answers={DataCommand: LATER})

        assert ["451 4.7.1", "503 5.5.1", "503 5.5.1"] == driver.send(b"BDAT 1\r\naBDAT 1\r\nbBDAT 1 LAST\r\nc")
        assert [DataCommand(is_chunked=True)] == driver.events

    def test_after_the_last_chunk_a_new_transaction_may_begin(self):
        driver = ready(answers={DataCommand: LATER})

        assert ["451 4.7.1", "250 2.0.0"] == driver.send(b"BDAT 1 LAST\r\nx", b"MAIL FROM:<a@b>\r\n")

    @pytest.mark.parametrize("line", [b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n"])
    def test_before_it_only_rset_helps(self, line):
        driver = ready(answers={DataCommand: LATER})

        assert ["451 4.7.1", "503 5.5.1", "250 2.0.0", "250 2.0.0"] == driver.send(
            b"BDAT 1\r\nx", line, b"RSET\r\n", b"MAIL FROM:<a@b>\r\n"
        )


class TestCases:
    def test_case_011_a_chunk_is_taken_octet_by_octet_as_it_is(self):
        """No un-stuffing, and no end but the count."""
        chunks = [b"Subject: x\r\n\r\n", b".\r\n", b"..\r\n.\r\n", b"\0a\0\r\n", b"\r\n.\r\n"]
        data = b"".join(b"BDAT %d\r\n%b" % (len(chunk), chunk) for chunk in chunks) + b"BDAT 0 LAST\r\n"
        driver = ready()

        assert ["250 2.0.0"] * 6 == driver.send(data)
        assert b"".join(chunks) == driver.body

    @pytest.mark.parametrize("octets", [b"a\nb\r\n", b"a\rb\r\n", b"a\r", b"\n", b"a\r\r\n", b"\r\n\n"])
    def test_case_011_a_bare_line_end_is_refused_at_the_last_chunk(self, octets):
        driver = ready()

        assert ["250 2.0.0", "550 5.5.2"] == driver.send(b"BDAT %d\r\n%b" % (len(octets), octets), b"BDAT 0 LAST\r\n")
        assert isinstance(driver.events[-1], MessageRefused)

    def test_case_011_a_crlf_may_lie_across_the_border_of_two_chunks(self):
        driver = ready()

        assert ["250 2.0.0", "250 2.0.0"] == driver.send(b"BDAT 2\r\na\rBDAT 1 LAST\r\n\n")
        assert b"a\r\n" == driver.body

    def test_case_011_one_octet_at_a_time_is_the_same(self):
        driver = ready()

        assert ["250 2.0.0", "250 2.0.0"] == driver.one_by_one(b"BDAT 2\r\na\rBDAT 5 LAST\r\n\n.\r\n.")
        assert b"a\r\n.\r\n." == driver.body

    @pytest.mark.parametrize(
        "line",
        [b"BDAT", b"BDAT ", b"BDAT x", b"BDAT -1", b"BDAT 5 FOO", b"BDAT 18446744073709551616", b"BDAT 5 LAST x",
         b"BDAT 5LAST", b"BDAT +5", b"BDAT \xd9\xa5"],
    )  # fmt: skip
    def test_case_012_bad_arguments_end_the_connection_since_the_octets_cannot_be_framed(self, line):
        driver = ready()

        assert ["501 5.5.4"] == driver.send(line + b"\r\nRSET\r\nQUIT\r\n")
        assert driver.is_closed
        assert [] == driver.events

    @pytest.mark.parametrize(
        ("before", "reply"),
        [
            (b"", "503 5.5.1"),
            (b"MAIL FROM:<a@b>\r\n", "503 5.5.1"),
            (b"MAIL FROM:<a@b>\r\nRCPT TO:<c>\r\n", "554 5.5.1"),
        ],
    )
    def test_case_013_without_recipients_the_octets_are_swallowed(self, before, reply):
        driver = Driver().greeted()
        driver.send(before)
        driver.events.clear()

        assert [reply, "250 2.0.0"] == driver.send(b"BDAT 6\r\nQUIT\r\nNOOP\r\n")
        assert [] == driver.events

    def test_case_013_before_ehlo_too(self):
        driver = Driver()
        driver.run()

        assert ["503 5.5.1", "250 2.0.0"] == driver.send(b"BDAT 6\r\nQUIT\r\n", b"NOOP\r\n")

    def test_case_013_data_after_bdat_is_refused_and_ends_the_transaction(self):
        driver = ready()

        assert ["250 2.0.0", "503 5.5.1", "503 5.5.1"] == driver.send(b"BDAT 3\r\na\r\n", b"DATA\r\n", b"DATA\r\n")
        assert isinstance(driver.events[-1], MessageRefused)

    def test_case_014_chunks_beyond_the_size_limit_are_swallowed_and_refused_until_rset(self):
        driver = ready(SMALL)

        assert ["250 2.0.0", "552 5.3.4", "503 5.5.1", "250 2.0.0"] == driver.send(
            b"BDAT 20\r\n" + b"x" * 20, b"BDAT 6\r\nQUIT\r\n", b"BDAT 6\r\nQUIT\r\n", b"RSET\r\n"
        )
        assert 1 == sum(isinstance(event, MessageRefused) for event in driver.events)

    def test_case_014_one_octet_too_many_in_the_last_chunk(self):
        driver = ready(SMALL)

        assert ["250 2.0.0", "552 5.3.4", "250 2.0.0"] == driver.send(
            b"BDAT 20\r\n" + b"x" * 20, b"BDAT 1 LAST\r\nx", b"MAIL FROM:<a@b>\r\n"
        )

    def test_case_014_a_count_beyond_the_cap_ends_the_connection_unread(self):
        driver = ready(SMALL)

        assert ["552 5.3.4"] == driver.send(b"BDAT 31\r\n")
        assert driver.is_closed

    def test_case_014_the_cap_is_on_the_sum(self):
        driver = ready(SMALL)

        assert ["250 2.0.0", "552 5.3.4"] == driver.send(b"BDAT 20\r\n" + b"x" * 20, b"BDAT 11\r\n")
        assert driver.is_closed
        assert isinstance(driver.events[-1], MessageRefused)

    def test_case_015_a_hundred_thousand_chunks_of_one_octet_take_no_memory(self):
        driver = ready()
        protocol, taken = driver.protocol, 0
        piece = b"BDAT 1\r\nx" * 1000
        tracemalloc.start()
        try:
            for _ in range(100):
                protocol.receive(piece)
                while (event := protocol.next_event()) is not NEED_DATA:
                    if isinstance(event, DataCommand):
                        protocol.answer(OK)
                    else:
                        taken += len(event.data)
                protocol.data_to_send()
            kept_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert 100_000 == taken
        assert kept_bytes < 100_000

    def test_case_016_binarymime_is_not_known(self):
        assert ["501 5.5.4"] == Driver().greeted().send(b"MAIL FROM:<a@b> BODY=BINARYMIME\r\n")


class TestNotOffered:
    def test_after_helo_it_is_refused_and_its_octets_are_swallowed(self):
        driver = Driver().greeted(b"HELO c\r\n")
        driver.send(TO_RCPT)

        assert ["502 5.5.1", "354"] == driver.send(b"BDAT 6 LAST\r\nQUIT\r\nDATA\r\n")


class TestNormalized:
    LIMITS = Limits(line_ends="normalize")

    def test_bare_line_ends_become_crlf_also_across_borders(self):
        driver = ready(self.LIMITS)

        driver.send(b"BDAT 4\r\na\nb\rBDAT 3\r\n\nc\rBDAT 1 LAST\r\nd")

        assert b"a\r\nb\r\nc\r\nd" == driver.body

    def test_a_cr_at_the_very_end_too(self):
        driver = ready(self.LIMITS)

        assert ["250 2.0.0"] == driver.send(b"BDAT 2 LAST\r\na\r")
        assert b"a\r\n" == driver.body


def test_mail_and_rcpt_are_asked_once_only():
    driver = Driver().greeted()

    driver.send(TO_RCPT + b"BDAT 1\r\nxBDAT 1 LAST\r\ny")

    assert [MailCommand, RcptCommand, DataCommand] == [
        type(event) for event in driver.events if not isinstance(event, (MessageOctets, MessageEnded))
    ]
