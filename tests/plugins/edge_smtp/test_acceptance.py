"""The numbered cases of what a server that people trust has to get right, as far as they are the protocol's."""

from __future__ import annotations

import re

import pytest

SMUGGLED = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<r@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
NEVER_AN_END = {
    "lf-dot-lf": b"\n.\n",
    "lf-dot-crlf": b"\n.\r\n",
    "crlf-dot-lf": b"\r\n.\n",
    "lf-dot-cr": b"\n.\r",
    "cr-dot-lf": b"\r.\n",
    "cr-dot-cr": b"\r.\r",
    "cr-dot-crlf": b"\r.\r\n",
    "crlf-dot-crcrlf": b"\r\n.\r\r\n",
    "crcrlf-dot-crcrlf": b"\r\r\n.\r\r\n",
    "crlf-nul-dot-crlf": b"\r\n\x00.\r\n",
    "crlf-dot-nul-crlf": b"\r\n.\x00\r\n",
    "crlf-dot-space-crlf": b"\r\n. \r\n",
    "crlf-dot-tab-crlf": b"\r\n.\t\r\n",
    "nel": b"\x85.\x85",
    "line-separator": "\u2028.\u2028".encode(),
    "vt-dot-ff": b"\x0b.\x0c",
}
HAS_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


def with_sequence(sequence: bytes) -> bytes:
    return b"Subject: outer\r\n\r\nouter" + sequence + SMUGGLED


def agreed(lines: list[str]) -> list[str]:
    return [line[:9] for line in lines]


class TestSmuggling:
    def expect_one_message_at_most(self, wire, handoff, sequence, lines):
        """What comes after the real end is a command; the smuggled ones are part of the message, or of nothing."""
        if HAS_BARE.search(sequence):
            assert ["550 5.5.2", "250 2.0.0"] == agreed(lines)
            assert [] == handoff.envelopes
        else:
            assert ["250 2.0.0", "250 2.0.0"] == agreed(lines)
            (envelope,) = handoff.envelopes
            assert "a@example.org" == envelope.sender
            expected = with_sequence(sequence).replace(b"\r\n.", b"\r\n").removesuffix(b"\r\n")
            assert [expected] == handoff.bodies
        assert ["503 5.5.1"] == agreed(wire.send(b"RCPT TO:<r@example.test>\r\n"))

    def test_case_001_a_dot_between_bare_line_feeds_is_no_end(self, wire, handoff):
        lines = wire.begin().send(with_sequence(b"\n.\n") + b"NOOP\r\n")

        self.expect_one_message_at_most(wire, handoff, b"\n.\n", lines)

    @pytest.mark.parametrize("sequence", NEVER_AN_END.values(), ids=NEVER_AN_END.keys())
    def test_case_002_nothing_else_is_an_end(self, wire, handoff, sequence):
        lines = wire.begin().send(with_sequence(sequence) + b"NOOP\r\n")

        self.expect_one_message_at_most(wire, handoff, sequence, lines)

    @pytest.mark.parametrize("sequence", NEVER_AN_END.values(), ids=NEVER_AN_END.keys())
    def test_case_003_cut_in_two_at_any_octet_it_is_the_same(self, make_wire, handoff, sequence):
        data = with_sequence(sequence) + b"NOOP\r\n"
        start = data.index(sequence)
        for position in range(start - 2, start + len(sequence) + 3):
            handoff.envelopes.clear()
            handoff.messages.clear()
            wire = make_wire().begin()

            lines = wire.send(data[:position]) + wire.send(data[position:])

            self.expect_one_message_at_most(wire, handoff, sequence, lines)

    @pytest.mark.parametrize("sequence", NEVER_AN_END.values(), ids=NEVER_AN_END.keys())
    def test_case_003_one_octet_at_a_time_it_is_the_same(self, wire, handoff, sequence):
        lines = wire.begin().send(with_sequence(sequence) + b"NOOP\r\n", piece_bytes=1)

        self.expect_one_message_at_most(wire, handoff, sequence, lines)


class TestEnds:
    def test_case_004_the_end_one_octet_at_a_time_is_accepted(self, wire, handoff):
        lines = wire.begin().send(b"Subject: x\r\n\r\ny\r\n.\r\n", piece_bytes=1)

        assert ["250 2.0.0"] == agreed(lines)
        assert [b"Subject: x\r\n\r\ny\r\n"] == handoff.bodies

    @pytest.mark.parametrize("piece_bytes", [0, 1])
    def test_case_005_a_dot_as_the_first_line_is_an_empty_message_with_our_field_on_top(
        self, wire, handoff, piece_bytes
    ):
        assert ["250 2.0.0"] == agreed(wire.begin().send(b".\r\n", piece_bytes=piece_bytes))

        assert [b""] == handoff.bodies
        assert handoff.messages[0].startswith(b"Received: ")

    @pytest.mark.parametrize(
        ("sent", "meant"),
        [
            (b"..\r\n", b".\r\n"),
            (b".x\r\n", b"x\r\n"),
            (b"...\r\n", b"..\r\n"),
            (b"a\r\n..\r\n", b"a\r\n.\r\n"),
            (b"a\r\n.\r", None),
            (b"..\r\n..\r\n.x\r\n", b".\r\n.\r\nx\r\n"),
        ],
    )
    @pytest.mark.parametrize("piece_bytes", [0, 1])
    def test_case_006_dots_are_unstuffed_by_the_letter(self, wire, handoff, sent, meant, piece_bytes):
        lines = wire.begin().send(sent + b".\r\n", piece_bytes=piece_bytes)

        if meant is None:
            assert [] == lines
        else:
            assert [meant] == handoff.bodies


class TestBareInCommands:
    @pytest.mark.parametrize("piece_bytes", [0, 1])
    def test_case_007_a_bare_line_feed_makes_one_line_in_error_never_two_commands(self, wire, piece_bytes):
        wire.greet()

        lines = wire.send(b"NOOP\nMAIL FROM:<a@b>\r\nRCPT TO:<r@example.test>\r\n", piece_bytes=piece_bytes)

        assert ["500 5.5.2", "503 5.5.1"] == agreed(lines)

    def test_case_007_a_command_that_ends_in_a_bare_line_feed_is_told_at_once(self, wire):
        assert ["500 5.5.2"] == agreed(wire.greet().send(b"NOOP\n"))

    @pytest.mark.parametrize("line", [b"NO\rOP", b"NOOP \r x", b"\rNOOP", b"NOOP\r", b"NO\0OP", b"NOOP \0", b"\0"])
    def test_case_008_a_bare_cr_or_a_nul_in_a_command_is_bad_syntax(self, wire, line):
        assert ["500 5.5.2", "250 2.0.0"] == agreed(wire.greet().send(line + b"\r\nNOOP\r\n"))

    def test_case_008_a_nul_in_an_address_is_a_bad_address(self, wire):
        lines = wire.greet().send(b"MAIL FROM:<a\0@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<r@exam\0ple.test>\r\n")

        assert ["501 5.1.7", "250 2.1.0", "501 5.1.3"] == agreed(lines)


class TestOversize:
    LIMIT = 10_000

    @pytest.mark.parametrize("size_bytes", [LIMIT + 1, 10 * LIMIT])
    @pytest.mark.parametrize("piece_bytes", [0, 1000])
    def test_case_009_oversize_data_is_drained_to_its_end_before_one_552(
        self, make_wire, handoff, size_bytes, piece_bytes
    ):
        wire = make_wire(max_message_size_bytes=self.LIMIT).begin()
        excess = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<r@example.test>\r\nDATA\r\nQUIT\r\n"
        data = (excess * (size_bytes // len(excess) + 1))[: size_bytes - 2] + b"\r\n"

        lines = wire.send(data + b".\r\nNOOP\r\n", piece_bytes=piece_bytes)

        assert ["552 5.3.4", "250 2.0.0"] == agreed(lines)
        assert [] == handoff.envelopes
        assert ["503 5.5.1"] == agreed(wire.send(b"RCPT TO:<r@example.test>\r\n"))

    @pytest.mark.parametrize("piece_bytes", [0, 100])
    def test_case_009_far_beyond_the_limit_the_connection_is_cut(self, make_wire, handoff, piece_bytes):
        wire = make_wire(max_message_size_bytes=1000, max_excess_bytes=1000).begin()

        lines = wire.send(b"x" * 2001 + b"\r\n.\r\nNOOP\r\n", piece_bytes=piece_bytes)

        assert ["421 4.3.0"] == agreed(lines)
        assert wire.is_closed

    @pytest.mark.parametrize(
        ("parameter", "codes"),
        [
            (b"SIZE=10000", "250 2.1.0"),
            (b"SIZE=0", "250 2.1.0"),
            (b"SIZE=10001", "552 5.3.4"),
            (b"SIZE=99999999999999999999", "552 5.3.4"),
            (b"SIZE=-1", "501 5.5.4"),
            (b"SIZE=abc", "501 5.5.4"),
            (b"SIZE=", "501 5.5.4"),
            (b"SIZE", "501 5.5.4"),
            (b"SIZE=" + b"1" * 30, "501 5.5.4"),
            (b"SIZE=1 SIZE=1", "501 5.5.4"),
            (b"SIZE=1 size=2", "501 5.5.4"),
        ],
    )
    def test_case_010_size_is_checked_at_mail(self, make_wire, parameter, codes):
        wire = make_wire(max_message_size_bytes=self.LIMIT).greet()

        assert [codes] == agreed(wire.send(b"MAIL FROM:<a@b> " + parameter + b"\r\n"))

    def test_case_010_the_limit_is_for_what_comes_not_for_what_was_announced(self, make_wire):
        wire = make_wire(max_message_size_bytes=self.LIMIT).greet()
        wire.send(b"MAIL FROM:<a@b> SIZE=100\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")

        assert ["552 5.3.4"] == agreed(wire.send(b"x" * 20_000 + b"\r\n.\r\n"))


class TestBody:
    @pytest.mark.parametrize("body", [b"BINARYMIME", b"", b"9BIT"])
    def test_case_016_an_unknown_body_type_is_refused(self, wire, body):
        (line,) = wire.greet().send(b"MAIL FROM:<a@b> BODY=" + body + b"\r\n")

        assert line[:9] == "501 5.5.4"


class TestForeign:
    @pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"POST / HTTP/1.1", b"CONNECT x:25 HTTP/1.1"])
    def test_case_021_what_is_not_smtp_gets_one_reply_and_nothing_behind_it_is_read(self, wire, line):
        lines = wire.send(line + b"\r\nHost: x\r\n\r\nEHLO c\r\nMAIL FROM:<a@b>\r\n")[1:]

        assert ["500 5.5.1"] == agreed(lines)
        assert wire.is_closed


class TestLongLines:
    def test_case_022_a_command_line_of_2048_octets_is_read_and_of_2049_is_not(self, wire):
        wire.greet()

        assert ["250 2.0.0"] == agreed(wire.send(b"NOOP " + b"x" * 2041 + b"\r\n"))
        assert ["500 5.5.2"] == agreed(wire.send(b"NOOP " + b"x" * 2042 + b"\r\nNOOP\r\n"))
        assert wire.is_closed

    def test_case_022_a_line_without_an_end_is_not_collected(self, wire):
        wire.greet()

        lines = wire.send(b"x" * 2048)

        assert ["500 5.5.2"] == agreed(lines)
        assert wire.is_closed

    def test_case_023_a_data_line_may_be_as_long_as_a_message(self, wire, handoff):
        wire.begin().send(b"x" * 100_000 + b"\r\n.\r\n")

        assert [b"x" * 100_000 + b"\r\n"] == handoff.bodies


class TestOrder:
    @pytest.mark.parametrize("line", [b"MAIL FROM:<a@b>", b"RCPT TO:<r@example.test>", b"DATA", b"MAIL", b"RCPT x"])
    def test_case_024_mail_needs_ehlo(self, wire, line):
        assert ["503 5.5.1"] == agreed(wire.send(line + b"\r\n"))[1:]

    @pytest.mark.parametrize(
        ("line", "codes"),
        [
            (b"NOOP", "250 2.0.0"),
            (b"RSET", "250 2.0.0"),
            (b"HELP", "214 2.0.0"),
            (b"VRFY x", "252 2.0.0"),
            (b"QUIT", "221 2.0.0"),
        ],
    )
    def test_case_024_these_do_not(self, wire, line, codes):
        assert [codes] == agreed(wire.send(line + b"\r\n"))[1:]

    @pytest.mark.parametrize(
        "line",
        [
            b"EHLO",
            b"EHLO ",
            b"EHLO a b",
            b"HELO",
            b"MAIL",
            b"MAIL x",
            b"MAIL TO:<a@b>",
            b"VRFY",
            b"VRFY ",
            b"RSET x",
            b"QUIT x",
        ],
    )
    def test_case_024_missing_and_extra_arguments_are_501(self, wire, line):
        assert ["501 5.5.4"] == agreed(wire.greet().send(line + b"\r\n"))

    @pytest.mark.parametrize("line", [b"RCPT", b"RCPT x", b"RCPT FROM:<a@b>", b"DATA x"])
    def test_case_024_also_in_a_transaction(self, wire, line):
        wire.greet().send(b"MAIL FROM:<a@b>\r\nRCPT TO:<r@example.test>\r\n")

        assert ["501 5.5.4"] == agreed(wire.send(line + b"\r\n"))

    @pytest.mark.parametrize(
        "line", [b"", b" ", b"FOO", b"MAILFROM:<a@b>", b"NOOPS", b"\xff\xfe", b" NOOP", b"MAIL\tFROM:<a@b>"]
    )
    def test_case_024_the_unknown_is_500(self, wire, line):
        assert ["500 5.5.1"] == agreed(wire.greet().send(line + b"\r\n"))

    def test_case_025_commands_out_of_order_are_503(self, wire):
        wire.greet()

        assert ["503 5.5.1"] == agreed(wire.send(b"RCPT TO:<r@example.test>\r\n"))
        assert ["503 5.5.1"] == agreed(wire.send(b"DATA\r\n"))
        assert ["250 2.1.0", "503 5.5.1"] == agreed(wire.send(b"MAIL FROM:<a@b>\r\nMAIL FROM:<c@d>\r\n"))
        assert ["503 5.5.1"] == agreed(wire.send(b"DATA\r\n"))
        assert ["250 2.1.5", "503 5.5.1"] == agreed(wire.send(b"RCPT TO:<r@example.test>\r\nMAIL FROM:<c@d>\r\n"))

    @pytest.mark.parametrize("rcpt", [b"RCPT TO:<r@elsewhere.test>\r\n", b"RCPT TO:<>\r\n"])
    def test_case_025_data_without_a_valid_recipient_is_554_and_never_354(self, wire, rcpt):
        wire.greet().send(b"MAIL FROM:<a@b>\r\n" + rcpt)

        assert ["554 5.5.1"] == agreed(wire.send(b"DATA\r\n"))

    def test_case_020_a_pipelined_group_is_answered_in_order(self, wire):
        lines = wire.greet().send(
            b"MAIL FROM:<a@b>\r\nRCPT TO:<r@elsewhere.test>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n"
        )

        assert ["250 2.1.0", "550 5.7.1", "250 2.1.5", "354 End d"] == agreed(lines)

    def test_case_026_rset_and_ehlo_end_a_transaction_and_helo_ends_the_extensions(self, wire):
        wire.greet()
        for line in (b"RSET", b"EHLO c", b"HELO c"):
            wire.send(b"MAIL FROM:<a@b>\r\n")
            assert wire.send(line + b"\r\n")[-1].startswith("250")
            assert ["503 5.5.1"] == agreed(wire.send(b"RCPT TO:<r@example.test>\r\n"))

        assert ["555 5.5.4"] == agreed(wire.send(b"MAIL FROM:<a@b> SIZE=1\r\n"))

    def test_case_027_after_a_refused_message_everything_begins_with_mail(self, wire, handoff):
        wire.begin().send(b"bare\nline\r\n.\r\n")

        assert ["503 5.5.1", "503 5.5.1"] == agreed(wire.send(b"RCPT TO:<r@example.test>\r\nDATA\r\n"))

    @pytest.mark.parametrize(
        ("line", "codes"),
        [
            ("VRFY grüße".encode(), "252 2.0.0"),
            (b'VRFY "a b" <' + b"x" * 1000 + b">", "252 2.0.0"),
            (b"EXPN list", "502 5.5.1"),
            (b"ETRN example.org", "502 5.5.1"),
            ("NOOP grüße".encode(), "250 2.0.0"),
            (b"NOOP " + b'"' * 1000, "250 2.0.0"),
        ],
    )
    def test_case_028_side_questions_leave_the_transaction_alone(self, wire, line, codes):
        wire.greet().send(b"MAIL FROM:<a@b>\r\n")

        assert [codes, "250 2.1.5"] == agreed(wire.send(line + b"\r\nRCPT TO:<r@example.test>\r\n"))


class TestAddresses:
    def test_case_029_lengths_are_accepted_to_the_letter(self, wire):
        wire.greet()
        longest = "a" * 64 + "@" + ("d" * 60 + ".") * 3 + "d" * 6

        assert ["250 2.1.0"] == agreed(wire.send(f"MAIL FROM:<{longest}>\r\nRSET\r\n".encode()))[:1]
        assert ["501 5.1.7"] == agreed(wire.send(f"MAIL FROM:<a{longest}>\r\n".encode()))
        assert ["501 5.1.7"] == agreed(wire.send(f"MAIL FROM:<{longest}>\r\n".replace("@", "@d.").encode()))
        wire.send(b"MAIL FROM:<>\r\n")
        assert ["501 5.1.3"] == agreed(wire.send(f"RCPT TO:<{'r' * 65}@example.test>\r\n".encode()))

    def test_case_029_a_source_route_is_ignored(self, wire, handoff):
        wire.greet().send(b"MAIL FROM:<@a.test,@b.test:c@d.test>\r\nRCPT TO:<@x.test:r@example.test>\r\nDATA\r\n")
        wire.send(b".\r\n")

        (envelope,) = handoff.envelopes
        assert ("c@d.test", "r@example.test") == (envelope.sender, envelope.recipients[0].address)

    @pytest.mark.parametrize(
        "path",
        ["<>", '<""@example.test>', "<a@>", "<@example.test>", "<a@b@example.test>", '<"a@example.test>', "<a\\"],
    )
    def test_case_030_bad_paths_are_501(self, wire, path):
        wire.greet().send(b"MAIL FROM:<>\r\n")

        assert ["501 5.1.3"] == agreed(wire.send(f"RCPT TO:{path}\r\n".encode()))

    @pytest.mark.parametrize(
        "address", ['"a b"@example.test', r'"a\"b"@example.test', '"a>b"@example.test', '"@"@example.test']
    )
    def test_case_032_quoted_local_parts_arrive_as_they_were_written(self, wire, handoff, address):
        wire.greet().send(f"MAIL FROM:<>\r\nRCPT TO:<{address}>\r\nDATA\r\n".encode())
        wire.send(b".\r\n")

        assert address == handoff.envelopes[0].recipients[0].address

    @pytest.mark.parametrize(
        ("parameters", "codes"),
        [
            (b"X=1", "555 5.5.4"),
            (b"BODY=7BIT BODY=7BIT", "501 5.5.4"),
            (b"SMTPUTF8=x", "501 5.5.4"),
            (b"RET=FOO", "501 5.5.4"),
            (b"RET=FULL RET=FULL", "501 5.5.4"),
            (b"ENVID=a+00", "501 5.5.4"),
            (b"=", "501 5.5.4"),
        ],
    )
    def test_case_033_parameters_unknown_or_doubled_are_refused(self, wire, parameters, codes):
        assert [codes] == agreed(wire.greet().send(b"MAIL FROM:<a@b> " + parameters + b"\r\n"))

    def test_case_034_a_thousand_recipients_are_accepted_and_more_are_put_off(self, wire, handoff):
        wire.greet().send(b"MAIL FROM:<>\r\n")

        lines = wire.send(b"".join(b"RCPT TO:<r%d@example.test>\r\n" % number for number in range(1001)))
        wire.send(b"DATA\r\n")
        wire.send(b".\r\n")

        assert ["250 2.1.5"] * 1000 + ["452 4.5.3"] == agreed(lines)
        assert 1000 == len(handoff.envelopes[0].recipients)

    def test_case_034_a_flood_of_recipients_ends_the_connection(self, wire):
        wire.greet().send(b"MAIL FROM:<>\r\n")

        lines = wire.send(b"RCPT TO:<r@example.test>\r\n" * 2100)

        assert 2001 == len(lines)
        assert "421 4.7.0" == agreed(lines)[-1]
        assert wire.is_closed

    def test_case_035_twenty_errors_end_the_connection(self, wire):
        lines = wire.greet().send(b"FOO\r\n" * 25)

        assert ["500 5.5.1"] * 19 + ["421 4.7.0"] == agreed(lines)
        assert wire.is_closed

    def test_case_035_idling_counts_as_errors_after_a_hundred(self, wire):
        lines = wire.greet().send(b"NOOP\r\n" * 130)

        assert "421 4.7.0" == agreed(lines)[-1]
        assert 100 < len(lines) <= 120


class TestHelo:
    @pytest.mark.parametrize("line", [b"EHLO", b"EHLO \xff", b"EHLO a\tb", b"EHLO a\x1b[31m", b"EHLO " + b"x" * 2000])
    def test_case_037_empty_eight_bit_and_control_are_refused(self, wire, line):
        assert ["501 5.5.4"] == agreed(wire.send(line + b"\r\n"))[1:]

    @pytest.mark.parametrize(("name", "clean"), [("$(x)", "??x?"), ("[IPv6:::1]", "[IPv6:::1]"), ("a;b`c`", "a?b?c?")])
    def test_case_037_the_unusual_is_sanitised_before_it_goes_anywhere(self, wire, handoff, name, clean):
        wire.greet(f"EHLO {name}".encode()).send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        wire.send(b".\r\n")

        assert clean == handoff.envelopes[0].client.helo
        assert handoff.messages[0].startswith(f"Received: from {clean} (".encode())


class TestContent:
    def test_case_051_too_many_hops_are_refused(self, wire, handoff):
        assert ["554 5.4.6"] == agreed(wire.begin().send(b"Received: x\r\n" * 101 + b"\r\n.\r\n"))
        assert [] == handoff.envelopes

    @pytest.mark.parametrize(
        "body",
        [
            b"\r\nno header\r\n",
            b"no separator\r\n",
            b" continuation first\r\n\r\n",
            b"From mbox line\r\nSubject: x\r\n\r\n",
            b"\r\n\r\n\r\n",
            b"Sub\0ject: \xff\r\n\r\n\0\x80\r\n",
            "Subject: grüße\r\n\r\n".encode(),
        ],
    )
    def test_case_054_odd_messages_are_kept_octet_by_octet(self, wire, handoff, body):
        assert ["250 2.0.0"] == agreed(wire.begin().send(body + b".\r\n"))

        assert [body] == handoff.bodies

    def test_case_056_an_address_that_is_not_ascii_needs_smtputf8(self, wire):
        wire.greet()

        assert ["553 5.6.7"] == agreed(wire.send("MAIL FROM:<grüße@example.org>\r\n".encode()))
        wire.send(b"MAIL FROM:<>\r\n")
        assert ["553 5.6.7"] == agreed(wire.send("RCPT TO:<grüße@example.test>\r\n".encode()))
