"""LMTP on the state machine (RFC 2033): LHLO, and a reply for each recipient."""

from __future__ import annotations

import pytest

from mdacore import Greeting, Reply
from mdacore_edge_smtp.protocol import DataCommand, Limits, MessageEnded, MessageRefused, Misuse

from .machine_driver import LATER, NO, OK, Driver

THREE = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nRCPT TO:<c@d>\r\n"
SMALL = Limits(max_message_size_bytes=20, max_excess_bytes=10)


def ready(limits: Limits | None = None, **more) -> Driver:
    """Past three recipients."""
    driver = Driver(limits, is_lmtp=True, **more).greeted(b"LHLO c\r\n")
    driver.send(THREE)
    return driver


def message_of(driver: Driver) -> Driver:
    """Until the message's question, which is not answered."""
    driver.send(b"DATA\r\n")
    driver.protocol.receive(b"x\r\n.\r\n")
    while not isinstance(driver.protocol.next_event(), MessageEnded):
        pass
    return driver


class TestCase038:
    @pytest.mark.parametrize("line", [b"EHLO c\r\n", b"HELO c\r\n", b"ehlo c\r\n"])
    def test_case_038_ehlo_and_helo_are_unknown(self, line):
        driver = Driver(is_lmtp=True)
        driver.run()

        assert ["500 5.5.1"] == driver.send(line)

    def test_case_038_lhlo_comes_first(self):
        driver = Driver(is_lmtp=True)
        driver.run()

        assert ["503 5.5.1", "250", "250 2.0.0"] == driver.send(
            b"MAIL FROM:<a@b>\r\n", b"LHLO c\r\n", b"MAIL FROM:<a@b>\r\n"
        )
        assert Greeting(verb="LHLO", name="c") in driver.events

    def test_case_038_each_recipient_has_its_reply_in_order_duplicates_too(self):
        driver = message_of(ready())

        driver.protocol.answer_each([OK, LATER, NO])

        assert ["250 2.0.0", "451 4.7.1", "550 5.7.1"] == driver.run()
        assert ["503 5.5.1"] == driver.send(b"RCPT TO:<c@d>\r\n")

    def test_case_038_one_answer_is_said_for_each(self):
        assert ["354"] + ["250 2.0.0"] * 3 == ready().send(b"DATA\r\n", b".\r\n")

    def test_case_038_a_refused_recipient_has_no_reply(self):
        driver = Driver(is_lmtp=True).greeted(b"LHLO c\r\n")

        assert ["250 2.0.0", "501 5.1.3", "250 2.0.0", "354", "250 2.0.0"] == driver.send(
            b"MAIL FROM:<a@b>\r\nRCPT TO:<x>\r\nRCPT TO:<c@d>\r\nDATA\r\n", b".\r\n"
        )

    def test_case_038_after_the_last_chunk_likewise(self):
        assert ["250 2.0.0"] + ["250 2.0.0"] * 3 == ready().send(b"BDAT 1\r\nxBDAT 1 LAST\r\ny")

    def test_lhlo_is_unknown_to_smtp(self):
        driver = Driver()
        driver.run()

        assert ["500 5.5.1"] == driver.send(b"LHLO c\r\n")


class TestRefusals:
    """What the machine refuses by itself is said for each recipient as well."""

    @pytest.mark.parametrize(
        ("body", "reply"), [(b"x" * 21 + b"\r\n.\r\n", "552 5.3.4"), (b"a\nb\r\n.\r\n", "550 5.5.2")]
    )
    def test_a_message(self, body, reply):
        driver = ready(SMALL)

        assert ["354"] + [reply] * 3 == driver.send(b"DATA\r\n", body)
        assert isinstance(driver.events[-1], MessageRefused)

    @pytest.mark.parametrize("limits", [SMALL])
    def test_a_message_in_chunks_at_its_last(self, limits):
        assert ["552 5.3.4"] * 3 == ready(limits).send(b"BDAT 21 LAST\r\n" + b"x" * 21)

    def test_a_chunk_in_between_has_one_reply_and_the_last_one_each(self):
        assert ["552 5.3.4"] + ["503 5.5.1"] * 3 == ready(SMALL).send(b"BDAT 21\r\n" + b"x" * 21, b"BDAT 1 LAST\r\nx")

    def test_a_first_chunk_that_is_refused_and_the_last(self):
        assert ["451 4.7.1"] * 3 == ready(answers={DataCommand: LATER}).send(b"BDAT 1 LAST\r\nx")

    def test_a_cut_is_said_once(self):
        assert ["354", "421 4.3.0"] == ready(SMALL).send(b"DATA\r\n", b"x" * 31)

    def test_data_without_a_valid_recipient_is_503(self):
        """RFC 2033 §4.2."""
        driver = Driver(is_lmtp=True).greeted(b"LHLO c\r\n")

        assert ["250 2.0.0", "501 5.1.3", "503 5.5.1"] == driver.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<x>\r\nDATA\r\n")


class TestAnswerEach:
    @pytest.mark.parametrize("replies", [[], [OK], [OK] * 4, [OK, OK, Reply(code=354)]])
    def test_replies_that_do_not_fit_are_misuse_and_the_question_stays(self, replies):
        driver = message_of(ready())

        with pytest.raises(Misuse):
            driver.protocol.answer_each(replies)

        driver.protocol.answer_each([OK] * 3)

    def test_no_other_question_takes_it(self):
        driver = Driver(is_lmtp=True)
        driver.protocol.next_event()

        with pytest.raises(Misuse):
            driver.protocol.answer_each([OK])

    def test_a_closing_reply_is_said_in_its_place_and_ends_the_connection(self):
        driver = message_of(ready())

        driver.protocol.answer_each([OK, Reply(code=421, enhanced="4.3.2", text="Bye"), OK])

        assert ["250 2.0.0", "421 4.3.2", "250 2.0.0"] == driver.run()
        assert driver.is_closed

    def test_over_smtp_one_reply_is_legal(self):
        driver = Driver().greeted()
        driver.send(THREE)
        message_of(driver)

        driver.protocol.answer_each([OK])

        assert ["250 2.0.0"] == driver.run()

    @pytest.mark.parametrize(("replies", "errors"), [([NO, OK, NO], 0), ([NO, NO, LATER], 1)])
    def test_errors_are_forgiven_if_anybody_got_the_message(self, replies, errors):
        driver = ready()
        driver.send(b"x\r\n")
        message_of(driver)

        driver.protocol.answer_each(replies)

        assert errors == driver.protocol.error_count
