"""STARTTLS on the state machine (RFC 3207): nothing said in clear lives on."""

from __future__ import annotations

import pytest

from mdacore_edge_smtp.protocol import (
    AUTH,
    NEED_TLS,
    SMTP_EXTENSIONS,
    STARTTLS,
    TLS_UNAVAILABLE,
    Limits,
    Misuse,
    TlsCommand,
)

from .machine_driver import LATER, TO_RCPT, Driver, offer_of

LENIENT = Limits(is_strict_sync=False)


class TestStartTls:
    def test_after_the_go_ahead_the_handshake_is_the_callers(self):
        driver = Driver().greeted()

        assert ["220 2.0.0"] == driver.send(b"STARTTLS\r\n")
        assert [TlsCommand()] == driver.events
        assert NEED_TLS is driver.protocol.next_event()

    def test_a_refusal_changes_nothing(self):
        driver = Driver(answers={TlsCommand: LATER}).greeted()

        assert ["451 4.7.1", "250 2.0.0"] == driver.send(b"STARTTLS\r\n", b"MAIL FROM:<a@b>\r\n")

    def test_octets_given_before_the_handshake_is_done_are_misuse(self):
        driver = Driver().greeted()
        driver.send(b"STARTTLS\r\n")

        with pytest.raises(Misuse):
            driver.protocol.receive(b"NOOP\r\n")

    def test_a_handshake_that_nobody_asked_for_is_misuse(self):
        driver = Driver().greeted()

        with pytest.raises(Misuse):
            driver.protocol.tls_started()

        assert ["250 2.0.0"] == driver.send(b"MAIL FROM:<a@b>\r\n")

    def test_a_failed_handshake_is_a_close(self):
        driver = Driver().greeted()
        driver.send(b"STARTTLS\r\n")

        driver.protocol.close(reason="no handshake")

        assert [] == driver.run()
        assert driver.is_closed

    def test_under_tls_another_offer_may_be_made(self):
        driver = Driver(offered=offer_of(STARTTLS, AUTH)).greeted()
        driver.send(b"STARTTLS\r\n")
        driver.protocol.offer_from_now(offer_of(*SMTP_EXTENSIONS))
        driver.protocol.tls_started()

        assert ["250", "502 5.5.1"] == driver.send(b"EHLO c\r\n", b"AUTH PLAIN AGEAYg==\r\n")


class TestCases:
    @pytest.mark.parametrize("limits", [Limits(), LENIENT])
    def test_case_040_octets_behind_starttls_end_the_connection(self, limits):
        """Whoever injected them waits for TLS to lend them its credit; no edge is lenient enough for that."""
        driver = Driver(limits).greeted()

        assert ["554 5.5.0"] == driver.send(b"STARTTLS\r\nNOOP\r\n")
        assert driver.is_closed
        assert [] == driver.events

    @pytest.mark.parametrize(
        ("line", "reply"),
        [
            (b"RCPT TO:<c@d>\r\n", "503 5.5.1"),
            (b"MAIL FROM:<a@b>\r\n", "503 5.5.1"),
            (b"DATA\r\n", "503 5.5.1"),
            (b"AUTH PLAIN AGEAYg==\r\n", "503 5.5.1"),
            (b"XCLIENT NAME=x\r\n", "503 5.5.1"),
            (b"STARTTLS\r\n", "503 5.5.1"),
        ],
    )
    def test_case_041_all_that_was_learnt_in_clear_is_forgotten(self, line, reply):
        driver = Driver().greeted()
        driver.send(b"AUTH PLAIN AGEAYg==\r\n")
        driver.send(TO_RCPT)
        driver.send(b"STARTTLS\r\n")
        driver.protocol.tls_started()

        assert [reply] == driver.send(line)

    def test_case_041_who_authenticated_in_clear_may_do_so_again(self):
        driver = Driver().greeted()
        driver.send(b"AUTH PLAIN AGEAYg==\r\n")
        driver.send(b"STARTTLS\r\n")
        driver.protocol.tls_started()

        assert ["250", "235 2.7.0"] == driver.send(b"EHLO c\r\n", b"AUTH PLAIN AGEAYg==\r\n")

    def test_case_041_a_long_line_of_auth_is_too_long_again(self):
        driver = Driver().greeted()
        driver.send(b"STARTTLS\r\n")
        driver.protocol.tls_started()

        assert ["500 5.5.2"] == driver.send(b"AUTH PLAIN " + b"A" * 2048)

    def test_case_041_errors_are_not_forgiven(self):
        driver = Driver().greeted()
        driver.send(b"x\r\n")
        driver.send(b"STARTTLS\r\n")
        driver.protocol.tls_started()

        assert 1 == driver.protocol.error_count

    def test_case_042_with_an_argument(self):
        assert ["501 5.5.4"] == Driver().greeted().send(b"STARTTLS now\r\n")

    def test_case_042_twice(self):
        driver = Driver().greeted()
        driver.send(b"STARTTLS\r\n")
        driver.protocol.tls_started()

        assert ["250", "503 5.5.1"] == driver.send(b"EHLO c\r\n", b"STARTTLS\r\n")

    def test_case_042_when_it_is_not_available(self):
        offered = offer_of(*SMTP_EXTENSIONS, withheld={STARTTLS: TLS_UNAVAILABLE})

        assert ["454 4.7.0"] == Driver(offered=offered).greeted().send(b"STARTTLS\r\n")

    def test_case_042_when_it_is_not_there(self):
        assert ["502 5.5.1"] == Driver(offered=offer_of(*SMTP_EXTENSIONS)).greeted().send(b"STARTTLS\r\n")

    def test_case_042_before_ehlo(self):
        driver = Driver()
        driver.run()

        assert ["503 5.5.1"] == driver.send(b"STARTTLS\r\n")

    @pytest.mark.parametrize("inside", [TO_RCPT, TO_RCPT + b"BDAT 1\r\nx"])
    def test_case_042_inside_a_transaction_it_is_allowed_and_resets_it(self, inside):
        driver = Driver().greeted()
        driver.send(inside)

        assert ["220 2.0.0"] == driver.send(b"STARTTLS\r\n")
        assert not driver.protocol.is_message_open
        driver.protocol.tls_started()
        assert ["250", "503 5.5.1"] == driver.send(b"EHLO c\r\n", b"RCPT TO:<c@d>\r\n")
