"""Notices as whole messages: RFC 3464, RFC 6522, and RFC 6533 where there is UTF-8."""

from __future__ import annotations

import email
import email.policy

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdacore import Client, Content, Envelope, FileBody, MemoryBody, PrependField, Recipient, RemoteReply, Reply
from mdacore.queue.notices import Kind, NoticeText
from mdacore.testing import make_envelope

from .conftest import make_notice, read

LATER = Reply.parse("451 4.2.1 Mailbox busy")

WHOLE = """\
From: Mail Delivery System <MAILER-DAEMON@mx.example.test>
To: <alice@example.org>
Subject: Your message could not be delivered
Date: Wed, 15 Nov 2023 01:00:00 +0000
Message-ID: <Q123456789.3.failed@mx.example.test>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="=_Q123456789"

--=_Q123456789
Content-Type: text/plain; charset=us-ascii

This is the mail system at mx.example.test.

Your message of Tue, 14 Nov 2023 22:13:20 +0000 could not be delivered to the
recipients below. It will not be tried again. Below each address is what
the mail system that refused your message said.

<bob@example.test>:
    550 5.1.1 No such user

<carol@example.test>:
    550 5.1.1 No such user

Please check the address for mistakes and send your message again if you
find one. If the address is right, try to reach the recipient in another
way, and show them this notice.

The details are attached, with your message or the beginning of it.

--=_Q123456789
Content-Type: message/delivery-status

Original-Envelope-Id: QQ314159
Reporting-MTA: dns; mx.example.test
Received-From-MTA: dns; client.example (192.0.2.1)
Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000
X-Queue-ID: Q123456789

Original-Recipient: rfc822;Bob@Example.COM
Final-Recipient: rfc822; bob@example.test
Action: failed
Status: 5.1.1
Diagnostic-Code: x-mdacore; 550 5.1.1 No such user
Last-Attempt-Date: Wed, 15 Nov 2023 01:00:00 +0000

Final-Recipient: rfc822; carol@example.test
Action: failed
Status: 5.1.1
Diagnostic-Code: x-mdacore; 550 5.1.1 No such user
Last-Attempt-Date: Wed, 15 Nov 2023 01:00:00 +0000

--=_Q123456789
Content-Type: text/rfc822-headers

From: <alice@example.org>
Subject: hello

--=_Q123456789--
"""


class TestForm:
    def test_the_whole_is_as_it_should_be(self):
        original = make_envelope(
            client=Client(helo="client.example", ip="192.0.2.1"),
            dsn_envelope_id="QQ314159",
            recipients=(
                Recipient(number=0, address="bob@example.test", orcpt="rfc822;Bob@Example.COM"),
                Recipient(number=1, address="carol@example.test"),
            ),
        )

        assert WHOLE.replace("\n", "\r\n") == read(make_notice(original)).octets.decode()

    def test_the_standard_library_reads_it_without_a_defect(self):
        message = read(make_notice()).message

        _, status, header = message.iter_parts()
        assert [] == [defect for part in message.walk() for defect in part.defects]
        assert ("delivery-status", "failed") == (message.get_param("report-type"), status.get_payload()[1]["Action"])
        assert "text/rfc822-headers" == header.get_content_type()

    def test_it_comes_from_the_null_sender_and_wants_no_notice(self):
        notice = make_notice(make_envelope(client=Client(session_id="s1"))).envelope()

        assert ("", ["alice@example.org"]) == (notice.sender, [rcpt.address for rcpt in notice.recipients])
        assert [("NEVER",)] == [rcpt.notify for rcpt in notice.recipients]
        assert ("queue", "s1", "7BIT") == (notice.client.edge, notice.client.session_id, notice.body_type)

    def test_a_boundary_that_the_original_has_is_not_used(self):
        message = b"Subject: x\r\n\r\n--=_Q123456789\r\n--=_Q123456789.1--\r\n"
        original = make_envelope(message=message, dsn_return="FULL")

        got = read(make_notice(original))

        assert "=_Q123456789.2" == got.message.get_boundary()
        assert message == got.returned

    def test_each_attempts_notices_have_ids_of_their_own(self):
        first = make_notice()
        others = [
            attrs.evolve(first, kind=Kind.EXPIRED),
            attrs.evolve(first, claim=attrs.evolve(first.claim, attempt=4)),
        ]

        assert 3 == len({read(notice).message["Message-ID"] for notice in (first, *others)})


class TestFacts:
    def group(self, notice):
        return dict(line.split(": ", 1) for line in read(notice).status[1])

    def test_a_delay_says_until_when_it_is_tried(self):
        got = read(make_notice(kind=Kind.DELAYED, reply=LATER))

        assert ["Action: delayed", "Status: 4.2.1"] == list(got.status[1][1:3])
        assert "Will-Retry-Until: Sun, 19 Nov 2023 22:13:20 +0000" == got.status[1][-1]
        assert "YOU NEED NOT SEND YOUR MESSAGE AGAIN" in got.text
        assert "tried for 3 hours, and will be tried until\r\nSun, 19 Nov 2023 22:13:20 +0000" in got.text

    @pytest.mark.parametrize(("retry_until", "year"), [(1e15, "9999"), (-1e15, "1970")])
    def test_a_lifetime_beyond_all_years_is_no_fault(self, retry_until, year):
        """A notice that could not be written would keep its recipients' ends from being recorded."""
        got = read(make_notice(kind=Kind.DELAYED, reply=LATER, retry_until=retry_until))

        assert year in got.status[1][-1]

    def test_an_expired_message_says_how_long_it_was_tried_and_the_last_reply(self):
        notice = make_notice(kind=Kind.EXPIRED, reply=LATER, now=1_700_000_000.0 + 5.1 * 86_400)
        notice = attrs.evolve(notice, reports=[attrs.evolve(report, status="5.4.7") for report in notice.reports])

        got = read(notice)

        assert ["Action: failed", "Status: 5.4.7"] == list(got.status[1][1:3])
        assert "Diagnostic-Code: x-mdacore; 451 4.2.1 Mailbox busy" == got.status[1][3]
        assert "It was tried for 5 days" in got.text
        assert "<bob@example.test>:\r\n    451 4.2.1 Mailbox busy\r\n" in got.text

    @pytest.mark.parametrize(("kind", "action"), [(Kind.DELIVERED, "delivered"), (Kind.RELAYED, "relayed")])
    def test_a_success_is_an_action_of_its_own(self, kind, action):
        group = self.group(make_notice(kind=kind, reply=Reply.parse("250 2.0.0 Ok")))

        assert (action, "2.0.0") == (group["Action"], group["Status"])
        assert "Will-Retry-Until" not in group

    def test_another_systems_answer_is_its_own(self):
        reply = RemoteReply(code=550, enhanced="5.1.1", text="No such\nuser", remote_mta="mx.example.net")

        group = self.group(make_notice(reply=reply))

        assert "dns; mx.example.net" == group["Remote-MTA"]
        assert "smtp; 550 5.1.1 No such user" == group["Diagnostic-Code"]

    def test_an_address_that_a_policy_has_changed_goes_by_the_name_that_the_sender_knows(self):
        """RFC 3461 §5.2.1: where no ORCPT was given the relaying system may say what RCPT said."""
        changed = Recipient(number=0, address="b17@inside.test", original_address="bob@example.test")

        notice = make_notice(make_envelope(recipients=(changed,)))

        assert "rfc822; bob@example.test" == self.group(notice)["Original-Recipient"]
        assert "<bob@example.test>:" in read(notice).text
        assert "b17" not in read(notice).text

    def test_what_an_operator_has_bounced_was_not_attempted(self):
        notice = make_notice()
        notice = attrs.evolve(notice, message=attrs.evolve(notice.message, must_bounce=True))

        assert "Last-Attempt-Date" not in self.group(notice)

    @pytest.mark.parametrize(
        ("client", "expected"),
        [
            (Client(), []),
            (Client(ip="192.0.2.1"), ["Received-From-MTA: dns; [192.0.2.1] (192.0.2.1)"]),
            (Client(helo="a.example"), ["Received-From-MTA: dns; a.example"]),
        ],
    )
    def test_where_it_came_from_is_said_as_far_as_it_is_known(self, client, expected):
        fields = read(make_notice(make_envelope(client=client))).status[0]

        assert expected == [field for field in fields if field.startswith("Received-From")]

    def test_what_a_program_has_said_ends_no_line(self):
        """Case 85: printable only."""
        reply = Reply(code=550, text="bad\nAction: delivered")
        original = make_envelope("a\r\nStatus: 2.0.0\x1b[31m@example.test", dsn_envelope_id="x\ny")

        got = read(make_notice(original, reply=reply))

        assert "Diagnostic-Code: x-mdacore; 550 5.0.0 bad Action: delivered" in got.status[1]
        assert "Final-Recipient: rfc822; a  Status: 2.0.0 [31m@example.test" in got.status[1]
        assert ("Original-Envelope-Id: x y", 2) == (got.status[0][0], len(got.status))

    @pytest.mark.parametrize("is_smtputf8", [True, False])
    @pytest.mark.parametrize("character", ["a", "漢", "😀"])
    def test_no_value_makes_a_line_too_long(self, character, is_smtputf8):
        """RFC 5322 §2.1.1."""
        long = character * 1500
        recipient = Recipient(number=0, address=f"{long}@x", original_address=long)
        original = make_envelope(recipients=(recipient,), dsn_envelope_id=long, is_smtputf8=is_smtputf8)

        got = read(make_notice(original, reply=Reply(code=550, text=long), receiver=f"{long}@x"))

        assert max(map(len, got.octets.split(b"\r\n"))) <= 998


class TestReturned:
    @pytest.mark.parametrize(
        ("wish", "kind", "expected"),
        [
            ("FULL", Kind.FAILED, "message/rfc822"),
            ("FULL", Kind.EXPIRED, "message/rfc822"),
            ("FULL", Kind.DELAYED, "text/rfc822-headers"),
            ("FULL", Kind.DELIVERED, "text/rfc822-headers"),
            ("HDRS", Kind.FAILED, "text/rfc822-headers"),
            ("", Kind.FAILED, "text/rfc822-headers"),
        ],
    )
    def test_the_message_goes_back_whole_only_when_asked_for_and_when_it_has_failed(self, wish, kind, expected):
        """RFC 3461 §4.3."""
        assert expected == read(make_notice(make_envelope(dsn_return=wish), kind=kind)).parts[2]

    def test_whole_is_octet_for_octet_with_the_edits_made(self):
        message = b"Subject: x\r\n\r\n.\r\n\r\n  spaces  \r\n\r\n"
        content = Content(MemoryBody(message), (PrependField(b"X-Edit: 1\r\n"),))

        got = read(make_notice(make_envelope(content=content, dsn_return="FULL")))

        assert b"X-Edit: 1\r\n" + message == got.returned

    @pytest.mark.parametrize(
        "body",
        [b"gr\xc3\xbc\xc3\x9fe\r\n", b"nul \0\r\n", b"x" * 999 + b"\r\n", b"lone \r here\r\n", b"y\r\n" * 20_000],
        ids=["8bit", "nul", "long line", "lone cr", "large"],
    )
    def test_what_would_need_an_encoding_or_is_too_large_gives_its_header(self, body):
        """RFC 2046 §5.2.1: message/rfc822 has none."""
        original = make_envelope(message=b"Subject: x\r\n\r\n" + body, dsn_return="FULL")

        got = read(make_notice(original))

        assert ("text/rfc822-headers", b"Subject: x\r\n") == (got.parts[2], got.returned)

    @pytest.mark.parametrize("size_bytes", [50_000, 50_001])
    def test_the_cap_is_exact(self, size_bytes):
        message = (b"Subject: x\r\n\r\n" + b"line\r\n" * 10_000)[: size_bytes - 2] + b"\r\n"

        got = read(make_notice(make_envelope(message=message, dsn_return="FULL")))

        assert (size_bytes == 50_000) == (message == got.returned)

    def test_an_odd_header_comes_back_octet_for_octet(self):
        header = b"Subject: gr\xfc\xdfe \0 =20 \t\r\nX-Long: " + b"z" * 2000 + b" \r\n.\r\n"[:3]

        got = read(make_notice(make_envelope(message=header + b"\r\nbody\r\n")))

        assert header == got.returned

    @pytest.mark.parametrize("field", [b"X-Filler: " + b"y" * 60 + b"\r\n", b"X-Filler: " + b"\xfc" * 60 + b"\r\n"])
    def test_a_huge_header_is_cut_at_a_line(self, field):
        got = read(make_notice(make_envelope(message=field * 100_000 + b"\r\n")))

        assert len(got.octets) < 53_000
        assert field * 200 in got.returned
        assert got.returned.endswith(b"\r\n") or b"\xfc" in field
        assert b"=\r\n\r\n--" not in got.octets  # RFC 2045 §6.7: a soft line end has a line after it

    def test_one_endless_line_is_left_out(self):
        got = read(make_notice(make_envelope(message=b"Subject: x\r\nX-Long: " + b"z" * 100_000 + b"\r\n\r\n")))

        assert b"Subject: x\r\n" == got.returned

    def test_an_original_that_cannot_be_read_is_missing(self, tmp_path):
        lost = Content(FileBody(tmp_path / "lost", 100))

        assert ["text/plain", "message/delivery-status"] == list(read(make_notice(make_envelope(content=lost))).parts)


class TestUtf8:
    ADDRESS = "jürgen+x=y@bücher.example"

    def test_in_a_7_bit_notice_a_utf8_address_is_written_in_ascii(self):
        """RFC 6533 §3: whoever sends from an ASCII address, without SMTPUTF8, may be unable to receive UTF-8."""
        got = read(make_notice(make_envelope(self.ADDRESS)))

        assert r"Final-Recipient: utf-8; j\x{FC}rgen\x{2B}x\x{3D}y@b\x{FC}cher.example" == got.status[1][0]
        assert f"<{self.ADDRESS}>" in got.text
        assert (True, "7BIT", False) == (got.octets.isascii(), got.envelope.body_type, got.envelope.is_smtputf8)

    @pytest.mark.parametrize("changes", [{"is_smtputf8": True}, {"sender": "älice@example.org"}])
    def test_who_can_receive_utf8_gets_it(self, changes):
        message = "Subject: grüße\r\n\r\n".encode()
        original = make_envelope(self.ADDRESS, message=message, **changes)

        got = read(make_notice(original))

        expected = ["text/plain", "message/global-delivery-status", "message/global-headers"]
        assert expected == list(got.parts)
        assert f"Final-Recipient: utf-8; {self.ADDRESS}" == got.status[1][0]
        assert b"Subject: gr\xc3\xbc\xc3\x9fe\r\n" == got.returned
        assert (True, "8BITMIME") == (got.envelope.is_smtputf8, got.envelope.body_type)
        assert original.sender in got.message["To"]

    def test_who_can_receive_utf8_gets_a_whole_message_with_8_bit_octets(self):
        message = "Subject: grüße\r\n\r\nschön\r\n".encode() + b"\xff\r\n"

        got = read(make_notice(make_envelope(message=message, is_smtputf8=True, dsn_return="FULL")))

        assert ("message/global", message) == (got.parts[2], got.returned)

    def test_a_header_that_is_no_utf8_is_encoded(self):
        got = read(make_notice(make_envelope(message=b"Subject: \xff\r\n\r\n", is_smtputf8=True)))

        assert ("text/rfc822-headers", b"Subject: \xff\r\n") == (got.parts[2], got.returned)

    def test_an_orcpt_keeps_what_is_encoded_in_it(self):
        recipient = Recipient(number=0, address="a@example.test", orcpt="utf-8;ü\\x{FC}+@x.example")

        plain = read(make_notice(make_envelope(recipients=(recipient,))))
        utf8 = read(make_notice(make_envelope(recipients=(recipient,), is_smtputf8=True)))

        assert "Original-Recipient: utf-8;\\x{FC}\\x{FC}+@x.example" == plain.status[1][0]
        assert "Original-Recipient: utf-8;ü\\x{FC}+@x.example" == utf8.status[1][0]

    def test_the_postmaster_gets_ascii_whatever_the_original_was(self):
        """It may have failed because nobody there takes UTF-8."""
        original = make_envelope(self.ADDRESS, sender="", is_smtputf8=True)

        notice = make_notice(original, kind=Kind.POSTMASTER, receiver="postmaster@example.test")

        assert read(notice).octets.isascii()
        assert ["postmaster@example.test"] == [rcpt.address for rcpt in notice.envelope().recipients]

    def test_the_operators_words_arrive_in_any_script(self):
        words = NoticeText(subject="Unzustellbar: ${sender} ☹", body="Grüße von ${hostname}\n\n${recipients}\n")

        for original in (make_envelope(), make_envelope(is_smtputf8=True)):
            got = read(make_notice(original, text=words))
            assert "Unzustellbar: alice@example.org ☹" == got.message["Subject"]
            assert got.text.startswith("Grüße von mx.example.test\r\n\r\n<bob@example.test>:\r\n    550 5.1.1")


text = st.text(max_size=80)
odd_text = st.one_of(text, st.text(st.sampled_from('a@"<>\\;=+ \r\n\0\x1bäß漢😀\ud800'), max_size=400))
crlf_octets = st.binary(max_size=3000).map(lambda octets: octets.replace(b"\r", b"").replace(b"\n", b"\r\n"))
messages = st.one_of(
    crlf_octets,
    st.tuples(st.sampled_from([b"Subject: x\r\n", b"", b"X: \xff\0\r\n", b"--=_Q123456789: 1\r\n"]), crlf_octets).map(
        lambda parts: b"\r\n".join(parts)
    ),
    st.integers(49_000, 51_000).map(lambda size: b"Subject: x\r\n\r\n" + b"--=_Q123456789\r\n" * (size // 16)),
)
replies = st.builds(
    Reply, code=st.integers(400, 599), text=st.text(st.characters(exclude_categories=["C"]), max_size=600)
)


@st.composite
def originals(draw):
    recipients = draw(st.lists(st.tuples(odd_text, odd_text, odd_text), min_size=1, max_size=4))
    return Envelope(
        sender=draw(odd_text),
        recipients=tuple(
            Recipient(number=number, address=address, original_address=was, orcpt=orcpt)
            for number, (address, was, orcpt) in enumerate(recipients)
        ),
        content=Content(MemoryBody(draw(messages))),
        client=Client(helo=draw(text), ip=draw(text)),
        received_at=draw(st.floats(0, 4e9)),
        is_smtputf8=draw(st.booleans()),
        dsn_return=draw(st.sampled_from(["", "FULL", "HDRS"])),
        dsn_envelope_id=draw(odd_text),
    )


class TestAnything:
    @settings(deadline=None)
    @given(originals(), replies, st.sampled_from(Kind))
    def test_any_original_gives_a_report_that_survives_its_way(self, original, reply, kind):
        words = NoticeText(subject="About ${sender}", body="${recipients} $sender")
        notice = make_notice(original, reply=reply, kind=kind, text=words)

        got = read(notice)

        assert 3 == len(got.parts) == len(list(got.message.iter_parts()))
        assert 1 + len(original.recipients) == len(got.status)
        assert notice.is_utf8 or got.octets.isascii()
        assert b"\0" not in got.octets
        assert got.octets.count(b"\r\n") == got.octets.count(b"\r") == got.octets.count(b"\n")
        assert max(map(len, got.octets.split(b"\r\n"))) <= 998
        assert len(got.octets) < 50_000 + 6_000 * (1 + len(original.recipients))
        assert [kind.action] * len(original.recipients) == [
            line.removeprefix("Action: ") for group in got.status[1:] for line in group if line.startswith("Action: ")
        ]
        assert kind.value in email.message_from_bytes(got.octets, policy=email.policy.default)["Message-ID"]
