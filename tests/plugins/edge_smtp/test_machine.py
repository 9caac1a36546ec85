"""The state machine: octets in, events out; its rules for its caller; its limits for its client."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore import Greeting, MailCommand, RcptCommand, Reply
from mdacore_edge_smtp.protocol import (
    CLOSED,
    NEED_DATA,
    NEED_TLS,
    SMTP_EXTENSIONS,
    Connected,
    DataCommand,
    Event,
    Limits,
    MessageEnded,
    MessageOctets,
    MessageRefused,
    Misuse,
    ResetCommand,
    ServerProtocol,
    offer,
)

from .machine_driver import Driver
from .machine_driver import good_answer as driver_answer

OK = Reply(code=250, enhanced="2.0.0", text="Ok")
GO_ON = Reply(code=354, text="Go on")
NO = Reply(code=550, enhanced="5.7.1", text="No")
LATER = Reply(code=451, enhanced="4.7.1", text="Later")
CLOSE = Reply(code=421, enhanced="4.7.0", text="Enough")
SMALL = Limits(
    max_line_bytes=64,
    max_message_size_bytes=40,
    max_excess_bytes=40,
    max_recipients=2,
    max_excess_recipients=3,
    max_errors=4,
    max_idle_commands=3,
    is_strict_sync=False,
    max_auth_line_bytes=128,
)
TO_MESSAGE = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"

# Input in which commands, bad ends of lines, ends of messages, chunks and exchanges come up often.
TALK = st.lists(
    st.sampled_from(
        [
            b"EHLO c\r\n", b"HELO c\r\n", b"LHLO c\r\n", b"MAIL FROM:<a@b>\r\n", b"MAIL FROM:<a@b> SIZE=9\r\n",
            b"MAIL FROM:<\xc3\xbc@b> SMTPUTF8\r\n", b"RCPT TO:<c@d>\r\n", b"RCPT TO:<c>\r\n",
            b"RCPT TO:<\xc3\xbc@xn--a>\r\n", b"RCPT TO:<\xc3\xbc@d> NOTIFY=NEVER\r\n", b"DATA\r\n", b"RSET\r\n",
            b"NOOP\r\n", b"VRFY x\r\n", b"QUIT\r\n", b"x\r\n", b".\r\n", b"\n", b"\r", b"\0", b".", b"\r\n",
            b"\r\n.\r\n", b"text\r\n", b"..\r\n", b"\xff", b"y" * 50, b"data\r\n", b"BDAT 4\r\n", b"BDAT 4 LAST\r\n",
            b"BDAT 0 LAST\r\n", b"BDAT 0\r\n", b"BDAT 41\r\n", b"BDAT x\r\n", b"bdat 1\r\n\r", b"AUTH PLAIN\r\n",
            b"AUTH LOGIN YQ==\r\n",
            b"AUTH PLAIN AGEAYg==\r\n", b"AGEAYg==\r\n", b"AUTH LOGIN " + b"A" * 70, b"*\r\n", b"XCLIENT NAME=a\r\n",
        ]
    ),
    max_size=40,
).map(b"".join)  # fmt: skip
TALK_WITH_TLS = st.lists(TALK | st.just(b"STARTTLS\r\n"), max_size=6)
LINE_ENDS = st.sampled_from(["refuse", "normalize"])


def new(limits: Limits = SMALL) -> ServerProtocol:
    return ServerProtocol(
        limits=limits, offered=offer(SMTP_EXTENSIONS, max_message_size_bytes=limits.max_message_size_bytes)
    )


def good_answer(event: Event) -> Reply:
    return GO_ON if isinstance(event, DataCommand) else OK


def drive(protocol: ServerProtocol, data: bytes, answer=good_answer) -> list[Event]:
    """Every event that these octets cause, with each question answered."""
    protocol.receive(data)
    events: list[Event] = []
    while (event := protocol.next_event()) not in (NEED_DATA, CLOSED):
        events.append(event)
        if not isinstance(event, (MessageOctets, MessageRefused)):
            protocol.answer(answer(event))
    return events


def started(limits: Limits = SMALL) -> ServerProtocol:
    protocol = new(limits)
    drive(protocol, b"")
    protocol.data_to_send()
    return protocol


def codes(protocol: ServerProtocol) -> list[str]:
    return [line[:9].decode() for line in protocol.data_to_send().split(b"\r\n")[:-1]]


class TestEvents:
    def test_a_session_gives_its_commands_in_the_words_of_the_contracts(self):
        events = drive(new(), TO_MESSAGE + b"x\r\n.\r\nRSET\r\n")

        assert [
            Connected(),
            Greeting(verb="EHLO", name="c"),
            MailCommand(sender="a@b"),
            RcptCommand(address="c@d"),
            DataCommand(),
            MessageOctets(b"x\r\n"),
            MessageEnded(),
            ResetCommand(),
        ] == events

    def test_parameters_come_with_their_command(self):
        (_, command) = drive(started(), b"EHLO c\r\nMAIL FROM:<a@b> size=12 BODY=8bitmime\r\n")

        assert MailCommand(sender="a@b", size_bytes=12, parameters={"SIZE": "12", "BODY": "8bitmime"}) == command

    def test_verbs_are_in_any_case_and_spaces_may_end_a_line(self):
        events = drive(started(), b"ehlo c  \r\nmail from:<a@b> \r\nrcpt to:<c@d>  \r\ndata \r\n.\r\nrset  \r\n")

        assert 6 == len(events)

    def test_what_follows_quit_is_not_read(self):
        protocol = started()

        assert [] == drive(protocol, b"QUIT\r\nEHLO c\r\nMAIL FROM:<a@b>\r\n")
        assert ["221 2.0.0"] == codes(protocol)
        assert CLOSED is protocol.next_event()
        assert "quit" == protocol.end_reason

    def test_octets_after_the_end_are_swallowed(self):
        protocol = started()
        protocol.close(reason="over")

        protocol.receive(b"EHLO c\r\n")

        assert CLOSED is protocol.next_event()
        assert b"" == protocol.data_to_send()

    @given(TALK, LINE_ENDS, st.booleans())
    def test_one_octet_at_a_time_gives_the_same_as_all_at_once(self, data, line_ends, is_lmtp):
        """Replies and events alike; only the pieces of a message may be cut otherwise."""
        limits = attrs.evolve(SMALL, line_ends=line_ends)
        whole, bytewise = Driver(limits, is_lmtp=is_lmtp), Driver(limits, is_lmtp=is_lmtp)
        whole.run(), bytewise.run()

        assert whole.send(data) == bytewise.one_by_one(data)
        assert whole.protocol.end_reason == bytewise.protocol.end_reason
        assert joined(whole.events) == joined(bytewise.events)

    @given(TALK_WITH_TLS, st.randoms(use_true_random=False), st.booleans(), st.booleans())
    def test_no_octets_and_no_answers_make_it_raise(self, pieces, chance, is_strict_sync, is_lmtp):
        def choose(event):
            return chance.choice([driver_answer(event), driver_answer(event), NO, LATER, CLOSE])

        driver = Driver(attrs.evolve(SMALL, is_strict_sync=is_strict_sync), is_lmtp=is_lmtp, choose=choose)
        driver.run()
        for piece in pieces:
            driver.send(piece)
            if driver.protocol.next_event() is NEED_TLS:
                driver.protocol.tls_started()

        assert driver.protocol.next_event() in (NEED_DATA, CLOSED)

    @given(TALK)
    def test_each_message_is_refused_or_asked_about_and_never_both(self, data):
        """Between a go-ahead and the next one there is at most one end, and RSET and the like may stand for it."""
        driver = Driver(SMALL)
        driver.run()
        driver.send(data)

        is_open = False
        for event in driver.events:
            if isinstance(event, DataCommand):
                is_open = True
            elif isinstance(event, (MessageEnded, MessageRefused)):
                assert is_open
                is_open = False
            elif isinstance(event, MessageOctets):
                assert is_open


def joined(events: list[Event]) -> list[object]:
    """With the pieces of each message put together; those of a refused message are left out."""
    result: list[object] = []
    octets = b""
    for event in events:
        if isinstance(event, MessageOctets):
            octets += event.data
            continue
        if isinstance(event, MessageEnded):
            result.append(octets)
        octets = b""
        result.append(event)
    return result


class TestMisuse:
    """Illegal use by the caller raises and changes nothing."""

    def test_the_next_event_before_the_last_answer_raises(self):
        protocol = new()
        protocol.next_event()

        with pytest.raises(Misuse):
            protocol.next_event()

        protocol.answer(OK)
        assert NEED_DATA is protocol.next_event()

    def test_an_answer_without_a_question_raises(self):
        protocol = started()

        with pytest.raises(Misuse):
            protocol.answer(OK)

        assert b"" == protocol.data_to_send()

    @pytest.mark.parametrize(("data", "reply"), [(b"EHLO c\r\n", GO_ON), (TO_MESSAGE, OK)])
    def test_a_go_ahead_for_anything_but_data_raises_and_the_question_stays(self, data, reply):
        protocol = started()
        protocol.receive(data)
        while not isinstance(event := protocol.next_event(), DataCommand) and data == TO_MESSAGE:
            protocol.answer(OK)

        with pytest.raises(Misuse):
            protocol.answer(reply)

        protocol.answer(good_answer(event))

    def test_a_closed_protocol_has_no_question(self):
        protocol = new()
        protocol.next_event()
        protocol.close(reason="over")

        with pytest.raises(Misuse):
            protocol.answer(OK)

        assert CLOSED is protocol.next_event()

    def test_closing_twice_keeps_the_first_words_and_reason(self):
        protocol = started()

        protocol.close(CLOSE, reason="first")
        protocol.close(NO, reason="second")

        assert ["421 4.7.0"] == codes(protocol)
        assert "first" == protocol.end_reason


class TestAnswers:
    def test_a_refused_greeting_ends_the_connection(self):
        protocol = new()
        protocol.next_event()

        protocol.answer(NO)

        assert ["550 5.7.1"] == codes(protocol)
        assert CLOSED is protocol.next_event()

    def test_the_greeting_and_the_answer_to_ehlo_have_no_enhanced_codes(self):
        """RFC 2034 §3."""
        protocol = new()

        drive(protocol, b"")
        assert b"250 Ok\r\n" == protocol.data_to_send()

        drive(protocol, b"EHLO c\r\n")
        assert (
            b"250-Ok\r\n250-PIPELINING\r\n250-SIZE 40\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
            == protocol.data_to_send()
        )

    def test_the_answer_to_helo_offers_nothing(self):
        protocol = started()

        drive(protocol, b"HELO c\r\n")

        assert b"250 Ok\r\n" == protocol.data_to_send()

    @pytest.mark.parametrize("code", [421, 521])
    def test_a_closing_code_ends_the_connection_after_any_command(self, code):
        protocol = started()
        reply = Reply(code=code, text="Bye")

        drive(protocol, b"EHLO c\r\nMAIL FROM:<a@b>\r\n", lambda event: reply if type(event) is MailCommand else OK)

        assert protocol.data_to_send().endswith(b"%d %d.0.0 Bye\r\n" % (code, code // 100))
        assert CLOSED is protocol.next_event()

    def test_a_refused_sender_opens_no_transaction(self):
        protocol = started()

        drive(protocol, b"EHLO c\r\n")
        drive(protocol, b"MAIL FROM:<a@b>\r\n", lambda _: NO)
        codes(protocol)
        drive(protocol, b"RCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\n")

        assert ["503 5.5.1", "250 2.0.0"] == codes(protocol)

    def test_a_refused_data_leaves_the_transaction_open(self):
        protocol = started()

        drive(protocol, TO_MESSAGE, lambda event: LATER if isinstance(event, DataCommand) else OK)
        codes(protocol)
        drive(protocol, b"DATA\r\n")

        assert ["354 Go on"] == codes(protocol)

    @pytest.mark.parametrize("reply", [OK, NO, LATER])
    def test_whatever_the_answer_to_a_message_the_transaction_is_over(self, reply):
        """Case 27: RCPT and DATA after it need a MAIL."""
        protocol = started()
        drive(
            protocol,
            TO_MESSAGE + b".\r\n",
            lambda event: reply if isinstance(event, MessageEnded) else good_answer(event),
        )
        codes(protocol)

        drive(protocol, b"RCPT TO:<c@d>\r\nDATA\r\nMAIL FROM:<a@b>\r\n")

        assert ["503 5.5.1", "503 5.5.1", "250 2.0.0"] == codes(protocol)


class TestLimits:
    def test_errors_end_the_connection_when_there_are_too_many(self):
        protocol = started()

        drive(protocol, b"x\r\n" * 5)

        assert ["500 5.5.1"] * 3 + ["421 4.7.0"] == codes(protocol)
        assert "too many errors" == protocol.end_reason

    def test_an_accepted_message_forgives_errors(self):
        protocol = started()

        drive(protocol, b"x\r\n" * 3 + TO_MESSAGE + b".\r\n" + b"x\r\n" * 3)

        assert NEED_DATA is protocol.next_event()
        assert 3 == protocol.error_count

    def test_refusals_of_the_caller_are_not_errors_of_the_client(self):
        protocol = started()

        drive(protocol, b"EHLO c\r\n")
        drive(protocol, b"MAIL FROM:<a@b>\r\n" * 10, lambda _: NO)

        assert 0 == protocol.error_count

    def test_idle_commands_over_the_limit_are_answered_and_count_as_errors(self):
        protocol = started()

        drive(protocol, b"NOOP\r\nRSET\r\nVRFY x\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n")

        assert ["250 2.0.0", "250 2.0.0", "252 2.0.0"] + ["250 2.0.0"] * 3 + ["421 4.7.0"] == codes(protocol)

    def test_data_that_the_caller_refuses_is_idle(self):
        """The transaction stays open, and a client could say it for ever."""
        protocol = started()

        drive(protocol, TO_MESSAGE + b"DATA\r\n" * 9, lambda event: LATER if isinstance(event, DataCommand) else OK)

        assert ["451 4.7.1"] * 5 + ["421 4.7.0"] == codes(protocol)[-6:]

    def test_recipients_over_the_limit_are_put_off_and_flooding_ends_the_connection(self):
        protocol = started()

        drive(protocol, b"EHLO c\r\nMAIL FROM:<a@b>\r\n" + b"RCPT TO:<c@d>\r\n" * 7)

        assert ["250 2.0.0"] * 2 + ["452 4.5.3"] * 3 + ["421 4.7.0"] == codes(protocol)[-6:]
        assert "too many recipients" == protocol.end_reason

    def test_recipients_over_the_limit_are_no_errors_and_the_message_goes_on(self):
        protocol = started()

        events = drive(protocol, b"EHLO c\r\nMAIL FROM:<a@b>\r\n" + b"RCPT TO:<c@d>\r\n" * 4 + b"DATA\r\n.\r\n")

        assert MessageEnded() == events[-1]
        assert 0 == protocol.error_count

    def test_a_message_far_beyond_the_limit_ends_the_connection_without_being_read_to_its_end(self):
        protocol = started()

        events = drive(protocol, TO_MESSAGE + b"x" * 81)

        assert isinstance(events[-1], MessageRefused)
        assert "421 4.3.0" == codes(protocol)[-1]
        assert CLOSED is protocol.next_event()

    def test_a_message_of_the_limit_passes_and_one_octet_more_does_not(self):
        protocol = started()

        drive(protocol, TO_MESSAGE + b"x" * 38 + b"\r\n.\r\n")
        assert "250 2.0.0" == codes(protocol)[-1]

        drive(protocol, TO_MESSAGE + b"x" * 39 + b"\r\n.\r\n")
        assert "552 5.3.4" == codes(protocol)[-1]

    def test_a_line_too_long_ends_the_connection(self):
        protocol = started()

        drive(protocol, b"NOOP " + b"x" * 100)

        assert ["500 5.5.2"] == codes(protocol)
        assert "line too long" == protocol.end_reason
