"""Who speaks too early: what had to be waited for (RFC 2920 §3.1, RFC 5321 §4.3.1)."""

from __future__ import annotations

import pytest

from mdacore import Greeting, Reply
from mdacore_edge_smtp.protocol import CLOSED, Connected, DataCommand, Limits, MessageEnded

from .machine_driver import TO_RCPT, Driver

LENIENT = Limits(is_strict_sync=False)
PLAIN = b"AUTH PLAIN AGEAYg==\r\n"


class TestCase019:
    def test_case_019_octets_before_the_greeting_end_the_connection_unobeyed(self):
        driver = Driver()
        driver.protocol.receive(b"EHLO c\r\n")

        assert ["554 5.5.0"] == driver.run()
        assert [Connected()] == driver.events
        assert CLOSED is driver.protocol.next_event()
        assert "out of sync" == driver.protocol.end_reason

    def test_case_019_a_lenient_edge_obeys_them_after_its_greeting(self):
        driver = Driver(LENIENT)
        driver.protocol.receive(b"EHLO c\r\n")

        assert ["220", "250"] == driver.run()

    def test_case_019_a_refusal_is_told_all_the_same(self):
        driver = Driver(answers={Connected: Reply(code=554, enhanced="5.7.1", text="No")})
        driver.protocol.receive(b"EHLO c\r\n")

        assert ["554 5.7.1"] == driver.run()


class TestCase020:
    @pytest.mark.parametrize("line", [b"EHLO c\r\n", b"HELO c\r\n", b"EHLO\r\n", b"EHLO \xff\r\n"])
    def test_case_020_what_is_behind_ehlo(self, line):
        driver = Driver()
        driver.run()

        assert ["554 5.5.0"] == driver.send(line + b"MAIL FROM:<a@b>\r\n")
        assert [Connected()] == driver.events

    def test_case_020_what_is_behind_lhlo(self):
        driver = Driver(is_lmtp=True)
        driver.run()

        assert ["554 5.5.0"] == driver.send(b"LHLO c\r\nMAIL FROM:<a@b>\r\n")

    def test_case_020_what_is_behind_data(self):
        driver = Driver().greeted()

        assert ["250 2.0.0", "250 2.0.0", "554 5.5.0"] == driver.send(TO_RCPT + b"DATA\r\nx\r\n.\r\n")
        assert driver.is_closed
        assert DataCommand() not in driver.events

    def test_case_020_what_is_behind_data_that_is_refused_is_not_obeyed_either(self):
        """The body of a client that did not wait would else be run as commands."""
        driver = Driver().greeted()

        assert ["250 2.0.0", "501 5.1.3", "554 5.5.0"] == driver.send(
            b"MAIL FROM:<a@b>\r\nRCPT TO:<c>\r\nDATA\r\nRSET\r\n.\r\n"
        )
        assert driver.is_closed

    @pytest.mark.parametrize("line", [PLAIN, b"AUTH LOGIN\r\n", b"AUTH NTLM\r\n", b"AUTH\r\n", b"XCLIENT NAME=a\r\n"])
    def test_case_020_what_is_behind_auth_and_xclient(self, line):
        driver = Driver().greeted()

        assert ["554 5.5.0"] == driver.send(line + b"MAIL FROM:<a@b>\r\n")
        assert [] == driver.events

    def test_case_020_what_is_behind_a_response_of_auth(self):
        driver = Driver().greeted()

        assert ["334", "554 5.5.0"] == driver.send(b"AUTH PLAIN\r\n", b"AGEAYg==\r\nMAIL FROM:<a@b>\r\n")
        assert [] == driver.events

    @pytest.mark.parametrize("limits", [Limits(), LENIENT])
    def test_case_020_what_is_behind_starttls(self, limits):
        assert ["554 5.5.0"] == Driver(limits).greeted().send(b"STARTTLS\r\nEHLO c\r\n")

    def test_case_020_what_is_behind_quit_is_not_read(self):
        driver = Driver().greeted()

        assert ["221 2.0.0"] == driver.send(b"QUIT\r\nMAIL FROM:<a@b>\r\n")
        assert "quit" == driver.protocol.end_reason

    def test_case_020_a_legal_group_is_answered_in_order(self):
        driver = Driver().greeted()

        assert ["250 2.0.0", "250 2.0.0", "354"] == driver.send(TO_RCPT + b"DATA\r\n")
        assert ["250 2.0.0", "250 2.0.0", "250 2.0.0", "250 2.0.0", "354"] == driver.send(
            b"x\r\n.\r\nRSET\r\n" + TO_RCPT + b"DATA\r\n"
        )

    @pytest.mark.parametrize("last", [b"EHLO c\r\n", b"STARTTLS\r\n", PLAIN, b"QUIT\r\n"])
    def test_case_020_they_may_be_the_last_of_a_group(self, last):
        driver = Driver().greeted()

        assert "554 5.5.0" not in driver.send(b"NOOP\r\nRSET\r\n" + last)

    def test_case_020_chunks_may_be_pipelined(self):
        driver = Driver().greeted()

        assert ["250 2.0.0"] * 5 == driver.send(TO_RCPT + b"BDAT 1\r\nxBDAT 1 LAST\r\nyRSET\r\n")

    def test_case_020_data_without_a_valid_recipient_gets_no_go_ahead(self):
        driver = Driver().greeted()

        assert ["250 2.0.0", "501 5.1.3", "554 5.5.1"] == driver.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<c>\r\nDATA\r\n")

    def test_a_lenient_edge_obeys_in_order(self):
        driver = Driver(LENIENT)
        driver.run()

        assert ["250", "250 2.0.0", "250 2.0.0", "354", "250 2.0.0"] == driver.send(
            b"EHLO c\r\n" + TO_RCPT + b"DATA\r\n.\r\n"
        )
        assert {Greeting, DataCommand, MessageEnded} < {type(event) for event in driver.events}
