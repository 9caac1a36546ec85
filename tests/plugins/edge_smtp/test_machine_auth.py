"""AUTH on the state machine (RFC 4954): the exchange, its limits, and what never comes of it."""

from __future__ import annotations

import base64

import pytest

from mdacore import Credentials, MailCommand, Reply
from mdacore_edge_smtp.protocol import (
    AUTH,
    ENCRYPTION_NEEDED,
    NEED_DATA,
    SMTP_EXTENSIONS,
    AuthAttempt,
    Limits,
)

from .machine_driver import TO_RCPT, Driver, offer_of

WRONG = Reply(code=535, enhanced="5.7.8", text="Authentication credentials invalid")
DOWN = Reply(code=454, enhanced="4.7.0", text="Temporary authentication failure")
WORD = "pässword"
ALICE = AuthAttempt(Credentials(mechanism="PLAIN", authcid="alice", secret=WORD))


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


PLAIN = b"AUTH PLAIN " + b64(f"\0alice\0{WORD}") + b"\r\n"


class TestPlain:
    def test_with_an_initial_response_it_is_one_command(self):
        driver = Driver().greeted()

        assert ["235 2.7.0"] == driver.send(PLAIN)
        assert [ALICE] == driver.events

    def test_without_one_the_challenge_is_empty(self):
        driver = Driver().greeted()
        driver.protocol.receive(b"AUTH PLAIN\r\n")

        assert NEED_DATA is driver.protocol.next_event()
        assert b"334 \r\n" == driver.protocol.data_to_send()
        assert ["235 2.7.0"] == driver.send(b64(f"\0alice\0{WORD}") + b"\r\n")
        assert [ALICE] == driver.events

    def test_whom_to_act_for_is_told(self):
        driver = Driver().greeted()

        driver.send(b"auth plain " + b64(f"bob\0alice\0{WORD}") + b"\r\n")

        assert [
            AuthAttempt(Credentials(mechanism="PLAIN", authcid="alice", authzid="bob", secret=WORD))
        ] == driver.events

    def test_the_secret_is_in_no_text_of_the_event(self):
        assert WORD not in repr(ALICE)

    @pytest.mark.parametrize(
        "text", ["\0\0secret", "alice", "alice\0secret", "\0a\0b\0c", "\0alice\0b\0", "", "\0\0", "\0\0\0\0"]
    )
    def test_malformed_credentials_are_refused_unasked(self, text):
        driver = Driver().greeted()

        assert ["334", "501 5.5.2"] == driver.send(b"AUTH PLAIN\r\n", b64(text) + b"\r\n")
        assert [] == driver.events

    def test_credentials_that_are_not_utf_8_are_refused(self):
        assert ["501 5.5.2"] == Driver().greeted().send(b"AUTH PLAIN " + base64.b64encode(b"\0a\0\xff") + b"\r\n")


class TestLogin:
    def test_name_and_password_are_asked_for(self):
        driver = Driver().greeted()
        driver.protocol.receive(b"AUTH LOGIN\r\n")
        driver.protocol.next_event()

        assert b"334 " + b64("Username:") + b"\r\n" == driver.protocol.data_to_send()
        assert ["334", "235 2.7.0"] == driver.send(b64("alice") + b"\r\n", b64(WORD) + b"\r\n")
        assert [AuthAttempt(Credentials(mechanism="LOGIN", authcid="alice", secret=WORD))] == driver.events

    def test_the_name_may_be_the_initial_response(self):
        assert ["334", "235 2.7.0"] == Driver().greeted().send(
            b"AUTH LOGIN " + b64("alice") + b"\r\n", b64(WORD) + b"\r\n"
        )

    @pytest.mark.parametrize(("name", "secret"), [("", "secret"), ("a\0b", "secret"), ("alice", "a\0b")])
    def test_malformed_credentials_are_refused_unasked(self, name, secret):
        driver = Driver().greeted()

        assert "501 5.5.2" == driver.send(b"AUTH LOGIN\r\n", b64(name) + b"\r\n", b64(secret) + b"\r\n")[-1]
        assert [] == driver.events


class TestExchange:
    def test_one_octet_at_a_time_is_the_same(self):
        driver = Driver().greeted()

        assert ["334", "334", "235 2.7.0"] == driver.one_by_one(
            b"AUTH LOGIN\r\n" + b64("alice") + b"\r\n" + b64(WORD) + b"\r\n"
        )

    def test_a_response_is_never_taken_for_a_command(self):
        driver = Driver().greeted()

        assert ["334", "501 5.5.2", "250 2.0.0"] == driver.send(b"AUTH PLAIN\r\n", b"QUIT\r\n", b"NOOP\r\n")

    def test_a_bare_lf_ends_the_exchange(self):
        driver = Driver().greeted()

        assert ["334", "500 5.5.2", "250 2.0.0"] == driver.send(b"AUTH PLAIN\r\n", b"AGEAYg==\n", b"\r\nNOOP\r\n")

    @pytest.mark.parametrize("line", [b"AUTH\r\n", b"AUTH \r\n", b"AUTH PLAIN a b\r\n", b"AUTH PL\xc3\x84IN\r\n"])
    def test_wrong_arguments(self, line):
        assert ["501 5.5.4"] == Driver().greeted().send(line)

    def test_where_it_is_not_offered_it_is_not_there(self):
        assert ["502 5.5.1"] == Driver(offered=offer_of(*SMTP_EXTENSIONS)).greeted().send(PLAIN)

    def test_where_it_needs_tls_it_says_so_and_is_not_announced(self):
        offered = offer_of(*SMTP_EXTENSIONS, withheld={AUTH: ENCRYPTION_NEEDED})

        assert ["538 5.7.11"] == Driver(offered=offered).greeted().send(PLAIN)
        assert not any("AUTH" in line for line in offered.lines)

    def test_after_helo_it_is_not_there(self):
        assert ["502 5.5.1"] == Driver().greeted(b"HELO c\r\n").send(PLAIN)

    def test_mail_may_name_its_submitter(self):
        """RFC 4954 §5; nobody here believes it."""
        driver = Driver().greeted()

        driver.send(b"MAIL FROM:<a@b> AUTH=e+3Dmc2@example.com\r\n", b"RSET\r\n", b"MAIL FROM:<a@b> AUTH=<>\r\n")

        assert 2 == sum(isinstance(event, MailCommand) for event in driver.events)

    def test_the_parameter_is_unknown_where_auth_is(self):
        assert ["555 5.5.4"] == Driver(offered=offer_of()).greeted().send(b"MAIL FROM:<a@b> AUTH=<>\r\n")


class TestCases:
    @pytest.mark.parametrize("response", [b"!", b"=", b"AGEAYg", b"AGE AYg==", b"AGEAYg==x", b"\xff", b"A==="])
    def test_case_047_bad_base64(self, response):
        assert ["334", "501 5.5.2"] == Driver().greeted().send(b"AUTH PLAIN\r\n", response + b"\r\n")

    def test_case_047_bad_base64_at_once(self):
        assert ["501 5.5.2"] == Driver().greeted().send(b"AUTH PLAIN !!!\r\n")

    def test_case_047_an_initial_response_of_no_octets(self):
        """RFC 4954 §4: "="; for LOGIN that is an empty name, which nobody has."""
        assert ["501 5.5.2"] == Driver().greeted().send(b"AUTH PLAIN =\r\n")
        assert ["334"] == Driver().greeted().send(b"AUTH LOGIN =\r\n")

    @pytest.mark.parametrize("lines", [[b"AUTH PLAIN\r\n"], [b"AUTH LOGIN\r\n", b64("alice") + b"\r\n"]])
    def test_case_047_cancelled(self, lines):
        driver = Driver().greeted()

        assert ["501 5.7.0", "250 2.0.0"] == driver.send(*lines, b"*\r\n", b"NOOP\r\n")[-2:]
        assert [] == driver.events

    def test_case_047_wrong_credentials(self):
        driver = Driver(answers={AuthAttempt: WRONG}).greeted()

        assert ["535 5.7.8", "250 2.0.0"] == driver.send(PLAIN, b"MAIL FROM:<a@b>\r\n")

    def test_case_047_the_third_failure_ends_the_connection(self):
        driver = Driver(answers={AuthAttempt: WRONG}).greeted()

        assert ["535 5.7.8", "535 5.7.8", "421 4.7.0"] == driver.send(PLAIN, PLAIN, PLAIN)
        assert "too many authentication failures" == driver.protocol.end_reason

    def test_case_047_tls_does_not_forgive_failures(self):
        driver = Driver(answers={AuthAttempt: WRONG}).greeted()
        driver.send(PLAIN, PLAIN, b"STARTTLS\r\n")
        driver.protocol.tls_started()

        assert ["250", "421 4.7.0"] == driver.send(b"EHLO c\r\n", PLAIN)

    def test_case_047_a_backend_that_is_down_is_nobodys_failure(self):
        driver = Driver(answers={AuthAttempt: DOWN}).greeted()

        assert ["454 4.7.0"] * 5 == driver.send(*[PLAIN] * 5)

    def test_case_047_an_unknown_mechanism(self):
        assert ["504 5.5.4"] == Driver().greeted().send(b"AUTH CRAM-MD5\r\n")

    def test_case_047_a_second_time(self):
        assert ["235 2.7.0", "503 5.5.1"] == Driver().greeted().send(PLAIN, PLAIN)

    def test_case_047_in_a_transaction(self):
        driver = Driver().greeted()
        driver.send(TO_RCPT)

        assert ["503 5.5.1", "354"] == driver.send(PLAIN, b"DATA\r\n")

    @pytest.mark.parametrize("pieces", [1, 7])
    def test_case_047_twelve_kilobytes_are_accepted_at_once_and_on_challenge(self, pieces):
        secret = "x" * ((12_288 - len(b"AUTH PLAIN \r\n")) * 3 // 4 - 10)
        response = b64(f"\0alice\0{secret}") + b"\r\n"
        lines = [b"AUTH PLAIN " + response], [b"AUTH PLAIN\r\n", response]

        for given in lines:
            driver = Driver().greeted()
            assert 12_250 < len(given[-1]) <= 12_288
            for line in given:
                size = len(line) // pieces + 1
                driver.send(*(line[i : i + size] for i in range(0, len(line), size)))
            assert secret == driver.events[-1].credentials.secret

    @pytest.mark.parametrize("before", [b"AUTH PLAIN ", b"AUTH PLAIN\r\n"])
    def test_case_047_a_longer_line_ends_the_connection(self, before):
        driver = Driver().greeted()

        assert "500 5.5.6" == driver.send(before, b"A" * 12_289)[-1]
        assert driver.is_closed

    def test_case_047_other_lines_are_no_longer_than_before(self):
        driver = Driver(Limits(max_line_bytes=512)).greeted()
        driver.send(b"AUTH PLAIN " + b"A" * 2000 + b"\r\n")

        assert ["500 5.5.2"] == driver.send(b"NOOP " + b"x" * 600)

    def test_case_047_where_auth_is_not_there_its_lines_are_as_short_as_any(self):
        driver = Driver(Limits(max_line_bytes=512), offer_of()).greeted()

        assert ["500 5.5.2"] == driver.send(b"AUTH PLAIN " + b"A" * 600)
