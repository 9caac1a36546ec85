"""Smaller things on the state machine: DSN, SMTPUTF8, LIMITS, XCLIENT, normalized line ends, odd commands."""

from __future__ import annotations

import pytest

from mdacore import MailCommand, RcptCommand
from mdacore_edge_smtp.protocol import (
    LIMITS,
    NEED_DATA,
    SMTP_EXTENSIONS,
    XCLIENT,
    XCLIENT_DENIED,
    Connected,
    Limits,
    MessageEnded,
    XclientCommand,
    envelope_id,
    notify,
    original_recipient,
    returns_headers,
)

from .machine_driver import LATER, NO, READY, TO_RCPT, Driver, offer_of

MAIL = b"MAIL FROM:<a@b>"
IDN_RCPT = "RCPT TO:<jürgen@bücher.example>\r\n".encode()


def command_of(*lines: bytes) -> MailCommand | RcptCommand:
    driver = Driver().greeted()
    assert ["250 2.0.0"] * len(lines) == driver.send(*lines)
    return driver.events[-1]


class TestCase033:
    @pytest.mark.parametrize(
        "parameters",
        ["SIZE=1 SIZE=1", "RET=FULL RET=FULL", "SMTPUTF8=x", "RET=FOO", "RET", "ENVID=a+00b", "ENVID=", "ENVID=a+0",
         "ENVID=a+zz", "ENVID=a+0A", "ENVID=a+7F", "ENVID=a+3d", "ENVID=" + "x" * 101, "SIZE=-1", "SIZE=" + "1" * 30,
         "BODY=8", "AUTH=a+00"],
    )  # fmt: skip
    def test_case_033_bad_parameters_of_mail(self, parameters):
        assert ["501 5.5.4"] == Driver().greeted().send(MAIL + b" " + parameters.encode() + b"\r\n")

    @pytest.mark.parametrize(
        "parameters",
        ["NOTIFY=NEVER,DELAY", "NOTIFY=DELAY,NEVER", "NOTIFY=", "NOTIFY=SOMETIMES", "NOTIFY=SUCCESS,", "ORCPT=a@b",
         "ORCPT=rfc822;", "ORCPT=;a@b", "ORCPT=rfc822;a+b", "ORCPT=rfc822;a+00", "ORCPT=rfc822;" + "x" * 494,
         "ORCPT=rfc822;a+0D+0Ab", "NOTIFY=NEVER NOTIFY=NEVER"],
    )  # fmt: skip
    def test_case_033_bad_parameters_of_rcpt(self, parameters):
        driver = Driver().greeted()
        driver.send(MAIL + b"\r\n")

        assert ["501 5.5.4"] == driver.send(b"RCPT TO:<c@d> " + parameters.encode() + b"\r\n")

    @pytest.mark.parametrize("line", [MAIL + b" X=1\r\n", MAIL + b" NOTIFY=NEVER\r\n", MAIL + b" FOO\r\n"])
    def test_case_033_unknown_parameters(self, line):
        assert ["555 5.5.4"] == Driver().greeted().send(line)

    def test_case_033_dsn_is_unknown_where_it_is_not_offered(self):
        assert ["555 5.5.4"] == Driver(offered=offer_of(*SMTP_EXTENSIONS)).greeted().send(MAIL + b" RET=FULL\r\n")


class TestDsn:
    def test_what_mail_says(self):
        parameters = command_of(MAIL + b" RET=hdrs ENVID=" + b"+2B" * 100 + b"\r\n").parameters

        assert "+" * 100 == envelope_id(parameters)
        assert returns_headers(parameters)

    def test_what_rcpt_says(self):
        parameters = command_of(
            MAIL + b"\r\n", b"RCPT TO:<c@d> NOTIFY=success,Delay,SUCCESS ORCPT=rfc822;a+2Bb+20c@d\r\n"
        ).parameters

        assert ("SUCCESS", "DELAY") == notify(parameters)
        assert "rfc822;a+b c@d" == original_recipient(parameters)

    def test_an_original_recipient_of_500_characters_is_accepted(self):
        assert command_of(MAIL + b"\r\n", b"RCPT TO:<c@d> ORCPT=rfc822;" + b"x" * 493 + b"\r\n")

    def test_never(self):
        assert ("NEVER",) == notify(command_of(MAIL + b"\r\n", b"RCPT TO:<c@d> NOTIFY=Never\r\n").parameters)


class TestSmtpUtf8:
    """RFC 6531."""

    def test_case_056_addresses_come_as_they_were_sent(self):
        """NFC and NFD stay what they are."""
        decomposed = "ju\u0308rgen@bücher.example"
        command = command_of(f"MAIL FROM:<{decomposed}> SMTPUTF8\r\n".encode())

        assert MailCommand(sender=decomposed, parameters={"SMTPUTF8": ""}) == command

    def test_case_056_recipients_too(self):
        assert "jürgen@bücher.example" == command_of(MAIL + b" SMTPUTF8\r\n", IDN_RCPT).address

    @pytest.mark.parametrize("lines", [[b"MAIL FROM:<\xc3\xbc@b>\r\n"], [MAIL + b"\r\n", IDN_RCPT]])
    def test_case_056_without_the_parameter_they_are_refused(self, lines):
        driver = Driver().greeted()

        assert "553 5.6.7" == driver.send(*lines)[-1]

    def test_case_056_where_it_is_not_offered_they_are_refused(self):
        driver = Driver(offered=offer_of()).greeted()

        assert ["553 5.6.7", "250 2.0.0", "553 5.6.7", "554 5.5.1"] == driver.send(
            b"MAIL FROM:<\xc3\xbc@b>\r\n", MAIL + b"\r\n", IDN_RCPT, b"DATA\r\n"
        )

    def test_case_056_the_next_transaction_needs_the_parameter_again(self):
        driver = Driver().greeted()
        driver.send(MAIL + b" SMTPUTF8\r\n", IDN_RCPT, b"RSET\r\n", MAIL + b"\r\n")

        assert ["553 5.6.7"] == driver.send(IDN_RCPT)

    @pytest.mark.parametrize(
        "local",
        [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", "a\u202eb".encode(), "\u2066a".encode(),
         "a\u0085b".encode(), "a\u2028b".encode(), b"a\0b", "a\u200fb".encode()],
    )  # fmt: skip
    def test_case_056_what_is_not_utf_8_or_a_control_character_is_refused(self, local):
        driver = Driver().greeted()

        assert ["501 5.1.7"] == driver.send(b"MAIL FROM:<" + local + b"@b> SMTPUTF8\r\n")
        driver.send(MAIL + b" SMTPUTF8\r\n")
        assert ["501 5.1.3"] == driver.send(b"RCPT TO:<" + local + b"@b>\r\n")

    def test_case_056_limits_count_octets(self):
        local = "ü" * 32

        assert ["250 2.0.0"] == Driver().greeted().send(f"MAIL FROM:<{local}@b> SMTPUTF8\r\n".encode())
        assert ["501 5.1.7"] == Driver().greeted().send(f"MAIL FROM:<{local}a@b> SMTPUTF8\r\n".encode())

    def test_an_original_recipient_may_be_utf_8(self):
        """RFC 6533 §3, where the transaction is."""
        line = "RCPT TO:<c@d> ORCPT=utf-8;jürgen@d\r\n".encode()

        assert "utf-8;jürgen@d" == original_recipient(command_of(MAIL + b" SMTPUTF8\r\n", line).parameters)
        assert ["250 2.0.0", "553 5.6.7"] == Driver().greeted().send(MAIL + b"\r\n", line)

    @pytest.mark.parametrize(
        "domain", ["xn---", "xn--", "xn--a", "a.xn--999999999.b", "XN--ZZZZZZ", "xn--bcher-KV", "xn--cher-"]
    )
    def test_case_057_bad_punycode(self, domain):
        driver = Driver().greeted()

        assert ["501 5.1.8", "250 2.0.0", "501 5.1.2"] == driver.send(
            f"MAIL FROM:<a@{domain}>\r\n".encode(), MAIL + b"\r\n", f"RCPT TO:<a@{domain}>\r\n".encode()
        )

    @pytest.mark.parametrize("domain", ["xn--bcher-kva.example", "XN--BCHER-KVA.example", "a.xn--nxasmq6b"])
    def test_case_057_good_punycode_is_left_as_it_is(self, domain):
        assert f"a@{domain}" == command_of(f"MAIL FROM:<a@{domain}>\r\n".encode()).sender

    @pytest.mark.parametrize("domain", ["ü" * 63 + ".example", "a\u3002b", "b\uff0eü"])
    def test_case_057_bad_labels_in_utf_8(self, domain):
        assert ["501 5.1.8"] == Driver().greeted().send(f"MAIL FROM:<a@{domain}> SMTPUTF8\r\n".encode())


class TestLimits:
    def test_they_are_told_as_far_as_they_are_known(self):
        """RFC 9422 §3."""
        assert ("LIMITS RCPTMAX=1000 MAILMAX=100",) == offer_of(LIMITS, max_recipients=1000, max_messages=100).lines
        assert ("LIMITS RCPTMAX=1000",) == offer_of(LIMITS, max_recipients=1000).lines

    def test_case_036_one_message_too_many_ends_the_connection(self):
        driver = Driver(Limits(max_messages=2)).greeted()
        message = [TO_RCPT + b"DATA\r\n", b".\r\n"]

        driver.send(*message, *message)

        assert ["421 4.7.0"] == driver.send(MAIL + b"\r\n")
        assert 2 == sum(isinstance(event, MessageEnded) for event in driver.events)
        assert "too many messages" == driver.protocol.end_reason

    def test_case_036_a_refused_sender_counts(self):
        """RFC 9422: every MAIL does."""
        driver = Driver(Limits(max_messages=2), answers={MailCommand: NO}).greeted()

        assert ["550 5.7.1", "550 5.7.1", "421 4.7.0"] == driver.send(*[MAIL + b"\r\n"] * 3)

    def test_case_036_tls_does_not_set_it_back(self):
        driver = Driver(Limits(max_messages=1)).greeted()
        driver.send(MAIL + b"\r\n", b"STARTTLS\r\n")
        driver.protocol.tls_started()

        assert ["250", "421 4.7.0"] == driver.send(b"EHLO c\r\n", MAIL + b"\r\n")


class TestXclient:
    def test_what_it_says_is_decoded(self):
        driver = Driver().greeted()

        driver.send(b"XCLIENT NAME=mx.example ADDR=IPV6:2001:DB8::1 login=a+2Bb PORT=[UNAVAILABLE]\r\n")

        assert [
            XclientCommand({"NAME": "mx.example", "ADDR": "2001:db8::1", "LOGIN": "a+b", "PORT": "[UNAVAILABLE]"})
        ] == driver.events

    def test_with_220_all_begins_anew_under_that_greeting(self):
        driver = Driver().greeted()
        driver.send(b"AUTH PLAIN AGEAYg==\r\n")
        driver.protocol.receive(b"XCLIENT ADDR=192.0.2.1\r\n")
        driver.protocol.next_event()

        driver.protocol.answer(READY)

        assert b"220 mx ESMTP\r\n" == driver.protocol.data_to_send()
        assert NEED_DATA is driver.protocol.next_event()
        assert ["503 5.5.1", "250", "235 2.7.0"] == driver.send(
            MAIL + b"\r\n", b"EHLO c\r\n", b"AUTH PLAIN AGEAYg==\r\n"
        )
        assert Connected() not in driver.events

    def test_the_new_client_has_its_own_counts(self):
        driver = Driver(Limits(max_messages=1)).greeted()
        driver.send(b"x\r\n", MAIL + b"\r\n", b"RSET\r\n", b"XCLIENT NAME=a\r\n")

        assert 0 == driver.protocol.error_count
        assert ["250", "250 2.0.0"] == driver.send(b"EHLO c\r\n", MAIL + b"\r\n")

    def test_a_lenient_edge_obeys_what_is_behind_it(self):
        driver = Driver(Limits(is_strict_sync=False)).greeted()

        assert ["220", "250"] == driver.send(b"XCLIENT NAME=a\r\nEHLO c\r\n")

    def test_a_refusal_changes_nothing(self):
        driver = Driver(answers={XclientCommand: LATER}).greeted()

        assert ["451 4.7.1", "250 2.0.0"] == driver.send(b"XCLIENT NAME=a\r\n", MAIL + b"\r\n")

    def test_in_a_transaction_it_is_out_of_order(self):
        driver = Driver().greeted()

        assert ["250 2.0.0", "503 5.5.1"] == driver.send(MAIL + b"\r\n", b"XCLIENT NAME=a\r\n")

    def test_where_it_is_not_offered_it_is_not_there(self):
        assert ["502 5.5.1"] == Driver(offered=offer_of()).greeted().send(b"XCLIENT NAME=a\r\n")

    def test_where_it_is_withheld_it_is_denied(self):
        offered = offer_of(withheld={XCLIENT: XCLIENT_DENIED})

        assert ["550 5.7.0"] == Driver(offered=offered).greeted().send(b"XCLIENT NAME=a\r\n")


class TestNormalized:
    """`line_ends = "normalize"`: a bare LF is a line end, but never ends a message."""

    LIMITS = Limits(line_ends="normalize")

    def message(self, octets: bytes) -> tuple[list[str], bytes]:
        driver = Driver(self.LIMITS).greeted()
        driver.send(TO_RCPT, b"DATA\r\n")
        return driver.send(octets), driver.body

    @pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r\r\n", b"\r.\r\n"])
    def test_case_001_what_is_nearly_an_end_is_stored_with_crlf_and_ends_nothing(self, end):
        said, body = self.message(b"a" + end + b"MAIL FROM:<x@y>\r\n.\r\n")

        assert ["250 2.0.0"] == said
        assert b"\n" not in body.replace(b"\r\n", b"")
        assert b"\r" not in body.replace(b"\r\n", b"")
        assert body.endswith(b"MAIL FROM:<x@y>\r\n")

    def test_case_001_a_dot_after_a_bare_lf_is_not_stuffing(self):
        assert (["250 2.0.0"], b"a\r\n..b\r\n.c\r\n") == self.message(b"a\n..b\r\n..c\r\n.\r\n")

    def test_the_size_is_what_is_stored(self):
        driver = Driver(Limits(line_ends="normalize", max_message_size_bytes=5)).greeted()
        driver.send(TO_RCPT, b"DATA\r\n")

        assert ["552 5.3.4"] == driver.send(b"\n\n\r\n.\r\n")

    def test_case_007_a_command_may_end_in_a_bare_lf(self):
        assert ["250 2.0.0", "250 2.0.0"] == Driver(self.LIMITS).greeted().send(b"NOOP\n", b"MAIL FROM:<a@b>\n")

    def test_case_007_strictly_it_may_not(self):
        assert ["500 5.5.2"] == Driver().greeted().send(b"NOOP\nMAIL FROM:<a@b>\r\n")


class TestCase028:
    @pytest.mark.parametrize(
        ("verb", "reply"),
        [(b"VRFY", "252 2.0.0"), (b"EXPN", "502 5.5.1"), (b"ETRN", "502 5.5.1"), (b"NOOP", "250 2.0.0")],
    )
    @pytest.mark.parametrize("argument", ["jürgen".encode(), b'"a b"@c', b"x" * 1024, b"\xff\xfe"])
    def test_case_028_odd_arguments_leave_the_transaction_alone(self, verb, reply, argument):
        driver = Driver().greeted()
        driver.send(TO_RCPT)

        assert [reply, "354"] == driver.send(verb + b" " + argument + b"\r\n", b"DATA\r\n")

    def test_help_is_given(self):
        assert ["214 2.0.0", "214 2.0.0"] == Driver().greeted().send(b"HELP\r\n", b"HELP MAIL\r\n")
