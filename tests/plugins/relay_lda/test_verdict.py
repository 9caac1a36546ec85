"""What the end of a process means, asked in a fixed order."""

from __future__ import annotations

import errno

import pytest

from mdacore import Reply
from mdacore_relay_lda.result import MAX_TEXT_CHARS, Result
from mdacore_relay_lda.verdict import (
    DOVECOT_LDA,
    MAILDROP,
    POSTFIX,
    SYSEXITS,
    Verdicts,
    parse_table,
    reply_to_error,
)


def coded(reply):
    return f"{reply.code} {reply.enhanced}"


class TestTables:
    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (0, "250 2.0.0"),
            (64, "451 4.3.5"),
            (65, "554 5.6.0"),
            (67, "550 5.1.1"),
            (68, "550 5.1.2"),
            (75, "451 4.3.0"),
            (76, "554 5.5.0"),
            (77, "550 5.7.0"),
            (78, "451 4.3.5"),
            (126, "451 4.3.5"),
            (127, "451 4.3.5"),
        ],
    )
    def test_case_082_by_default_only_what_is_sure_is_permanent(self, status, expected):
        assert expected == coded(Verdicts().reply(Result(status=status)))

    def test_case_082_every_other_status_defers(self):
        known = {0, 64, 65, 67, 68, 75, 76, 77, 78, 126, 127}

        assert {"451 4.3.0"} == {
            coded(Verdicts().reply(Result(status=status))) for status in range(256) if status not in known
        }

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (0, "250 2.0.0"),
            (1, "554 5.3.0"),
            (64, "554 5.3.0"),
            (65, "554 5.6.0"),
            (66, "554 5.3.0"),
            (67, "550 5.1.1"),
            (68, "550 5.1.2"),
            (69, "554 5.3.0"),
            (70, "554 5.3.0"),
            (71, "451 4.3.0"),
            (72, "554 5.3.0"),
            (73, "554 5.2.0"),
            (74, "554 5.3.0"),
            (75, "451 4.3.0"),
            (76, "554 5.5.0"),
            (77, "550 5.7.0"),
            (78, "554 5.3.5"),
            (126, "451 4.3.5"),
            (127, "451 4.3.5"),
            (255, "554 5.3.0"),
        ],
    )
    def test_case_082_postfix_has_its_own(self, status, expected):
        """But what a shell could not run is never bounced."""
        assert expected == coded(Verdicts(table=POSTFIX).reply(Result(status=status)))

    @pytest.mark.parametrize("table", [SYSEXITS, POSTFIX])
    def test_case_082_a_signal_defers_whatever_was_said(self, table):
        verdicts = Verdicts(table=table, own={9: Reply(code=550)})

        assert "451 4.3.0" == coded(verdicts.reply(Result(signal=9, output=b"5.1.1 gone")))

    def test_case_083_what_is_overdue_defers_even_if_it_ended_well_then(self):
        assert "451 4.4.2" == coded(Verdicts().reply(Result(status=0, is_overdue=True)))


class TestOutput:
    @pytest.mark.parametrize(
        ("output", "expected"),
        [
            (b"5.1.1 no such mailbox\n", "550 5.1.1 no such mailbox"),
            (b"4.2.2 full\n", "451 4.2.2 full"),
            (b"\n  5.7.1: go away\nfor good\n", "550 5.7.1 go away for good"),
            (b"5.2.1", "550 5.2.1 Delivery failed"),
        ],
    )
    def test_case_082_an_enhanced_code_at_the_start_wins_over_the_table(self, output, expected):
        assert expected == str(Verdicts().reply(Result(status=75, output=output)))

    @pytest.mark.parametrize(
        "output",
        [b"error 5.1.1 gone", b"5.1.1.9 gone", b"5.1 gone", b"2.0.0 fine", b"15.1.1 x", b"5.1.1234 x", b"5.1.1x"],
    )
    def test_anything_else_at_the_start_does_not(self, output):
        assert "451 4.3.0" == coded(Verdicts().reply(Result(status=75, output=output)))

    def test_what_was_said_with_status_0_changes_nothing(self):
        assert "250 2.0.0 Delivered" == str(Verdicts().reply(Result(status=0, output=b"5.1.1 gone")))

    def test_what_was_said_explains_the_reply(self):
        assert "550 5.1.1 Unknown user: nobody here" == str(
            Verdicts().reply(Result(status=67, output=b"nobody here\n"))
        )

    def test_case_085_control_characters_and_terminal_sequences_are_taken_out(self):
        output = b"\x1b[31m\x1b]0;title\x07red\x1b[0m\x00\r\nHeader: x\x07\xff"

        assert "550 5.1.1 Unknown user: red Header: x \ufffd" == str(Verdicts().reply(Result(status=67, output=output)))

    def test_case_085_what_was_said_may_be_kept_from_the_sender(self):
        verdicts = Verdicts(shows_output=False)

        assert ("550 5.1.1 Unknown user", "550 5.1.2 Delivery failed") == (
            str(verdicts.reply(Result(status=67, output=b"secret"))),
            str(verdicts.reply(Result(status=67, output=b"5.1.2 secret"))),
        )

    def test_a_long_text_is_cut(self):
        assert MAX_TEXT_CHARS == len(Verdicts().reply(Result(status=67, output=b"x" * 4096)).text)


class TestOwnTable:
    def test_the_operators_table_wins_over_what_was_said(self):
        verdicts = Verdicts(own=parse_table({"75": "550 5.2.1 Mailbox closed"}))

        assert "550 5.2.1 Mailbox closed" == str(verdicts.reply(Result(status=75, output=b"4.2.0 later")))

    def test_a_reply_without_a_text_gets_what_was_said(self):
        verdicts = Verdicts(own=parse_table({"1": "550 5.2.1"}))

        assert "550 5.2.1 moved away" == str(verdicts.reply(Result(status=1, output=b"moved away")))

    def test_other_statuses_stay_as_they_are(self):
        assert "550 5.1.1" == coded(Verdicts(own=parse_table({"1": "450"})).reply(Result(status=67)))

    def test_a_status_may_mean_success(self):
        assert Verdicts(own=parse_table({"99": "250 2.0.0 Taken"})).reply(Result(status=99)).is_success

    @pytest.mark.parametrize("status", ["0", "256", "-1", "x", "07", "1000", "²", ""])
    def test_a_status_is_a_number_from_1_to_255(self, status):
        with pytest.raises(ValueError, match="not an exit status"):
            parse_table({status: "550 5.1.1"})

    @pytest.mark.parametrize("line", ["", "no", "354 go on", "550 4.1.1 x", "199"])
    def test_a_reply_is_one_that_answers_a_delivery(self, line):
        with pytest.raises(ValueError):
            parse_table({"67": line})


class TestSayings:
    def test_case_082_dovecot_over_quota_is_a_full_mailbox(self):
        verdicts = Verdicts(sayings=DOVECOT_LDA)
        output = b"Quota exceeded (mailbox for user is full)\n"

        assert ("552 5.2.2", "550 5.7.0", "451 4.3.0") == (
            coded(verdicts.reply(Result(status=77, output=output))),
            coded(verdicts.reply(Result(status=77, output=b"Permission denied"))),
            coded(verdicts.reply(Result(status=75, output=output))),
        )

    def test_case_082_maildrop_over_quota_is_a_full_mailbox_for_now(self):
        verdicts = Verdicts(sayings=MAILDROP)

        assert "452 4.2.2" == coded(verdicts.reply(Result(status=75, output=b"maildrop: maildir over quota.\n")))


class TestErrors:
    @pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP])
    def test_case_082_a_program_that_cannot_be_executed_defers(self, number):
        assert "451 4.3.5" == coded(reply_to_error(OSError(number, "x")))

    @pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.E2BIG])
    def test_case_087_a_lack_of_something_defers(self, number):
        assert "451 4.3.0" == coded(reply_to_error(OSError(number, "x")))
