"""What commands mean for mail: validators, recipients, and one Handoff for each message."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from mdacore import Chain, Greeting, Handed, MailCommand, MemoryBody, RcptCommand, Recipient, Reply
from mdacore_edge_smtp import events

NO = Reply(code=550, enhanced="5.7.1", text="No")
LATER = Reply(code=451, enhanced="4.7.1", text="Later")
FINE = Reply(code=250, enhanced="2.0.0", text="Fine")
TO_DATA = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n"
STAGES = ["connect", "helo", "mail", "rcpt", "data", "message", "queued", "reset"]


class Asked:
    """A check at every stage that notes what it was asked, and answers where it is told to."""

    def __init__(self, **answers: Reply) -> None:
        self.calls: list[tuple[str, Any, tuple[object, ...]]] = []
        self._answers = answers

    def chain(self) -> Chain:
        return Chain(**{stage: (self._check(stage),) for stage in STAGES})

    def _check(self, stage: str) -> Any:
        def check(session: Any, *arguments: object) -> Reply | None:
            seen = (session.client, session.sender, tuple(session.recipients))
            self.calls.append((stage, arguments[0] if arguments else None, seen))
            return self._answers.get(stage)

        return check

    @property
    def stages(self) -> list[str]:
        return [stage for stage, _, _ in self.calls]


class TestEnvelope:
    def test_it_holds_what_the_client_said(self, make_wire, handoff, clock):
        wire = make_wire(received=False).greet()

        wire.send(
            b"MAIL FROM:<a@example.org> BODY=8bitmime\r\n"
            b"RCPT TO:<r1@example.test>\r\nRCPT TO:<R1@EXAMPLE.test>\r\nRCPT TO:<r1@example.test>\r\nDATA\r\n"
        )
        wire.send(b"Subject: x\r\n\r\n..y\r\n.\r\n")

        (envelope,) = handoff.envelopes
        assert "a@example.org" == envelope.sender
        assert (
            Recipient(number=0, address="r1@example.test"),
            Recipient(number=1, address="R1@EXAMPLE.test"),
            Recipient(number=2, address="r1@example.test"),
        ) == envelope.recipients
        assert MemoryBody(b"Subject: x\r\n\r\n.y\r\n") == envelope.content.body
        assert () == envelope.content.edits
        assert "8BITMIME" == envelope.body_type
        assert clock.now() == envelope.received_at

    @pytest.mark.parametrize(("line", "protocol"), [(b"HELO c.example", "SMTP"), (b"EHLO c.example", "ESMTP")])
    def test_it_holds_the_facts_about_the_client(self, wire, handoff, line, protocol):
        wire.greet(line)

        wire.send(TO_DATA)
        wire.send(b".\r\n")

        client = handoff.envelopes[0].client
        assert ("192.0.2.7", "c.example", protocol, "mx") == (client.ip, client.helo, client.protocol, client.edge)
        assert client.session_id

    def test_the_null_sender_is_a_sender(self, wire, handoff):
        wire.greet()

        wire.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        wire.send(b".\r\n")

        assert "" == handoff.envelopes[0].sender

    def test_the_received_field_stands_on_top(self, wire, handoff):
        wire.begin().send(b"Subject: x\r\n\r\ny\r\n.\r\n")

        (message,) = handoff.messages
        session_id = handoff.envelopes[0].client.session_id
        assert message.startswith(
            b"Received: from client.example.org ([192.0.2.7])\r\n"
            b"\tby mx.example.com with ESMTP id " + session_id.encode() + b".1\r\n"
            b"\tfor <r0@example.test>;\r\n"
        )
        assert message.endswith(b" +0000\r\nSubject: x\r\n\r\ny\r\n")

    def test_each_transaction_has_an_id_of_its_own(self, wire, handoff):
        wire.greet()
        for _ in range(2):
            wire.send(TO_DATA)
            wire.send(b".\r\n")

        first, second = (message.split(b" id ")[1].split(b"\r\n")[0] for message in handoff.messages)
        assert first != second

    def test_a_hostname_of_its_own_is_used_everywhere(self, make_wire, handoff):
        wire = make_wire(hostname="mail.example.net")

        assert ["220 mail.example.net ESMTP"] == wire.send()
        wire.begin().send(b".\r\n")
        assert b"\tby mail.example.net with" in handoff.messages[0]


class TestDomains:
    """Closed by default."""

    def test_a_domain_that_is_not_ours_is_refused_before_any_validator_is_asked(self, make_wire, log):
        asked = Asked()
        wire = make_wire(asked.chain()).greet()

        lines = wire.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<r@elsewhere.test>\r\nRCPT TO:<r@example.test>\r\n")

        assert ["250 2.1.0", "550 5.7.1", "250 2.1.5"] == [line[:9] for line in lines]
        assert lines[1] == "550 5.7.1 Relaying denied"
        assert ["connect", "helo", "mail", "rcpt"] == asked.stages
        assert [("a@example.org", "r@elsewhere.test")] == [
            (fields["sender"], fields["rcpt"]) for fields in log.of(events.EDGE_RCPT_REJECTED)
        ]

    @pytest.mark.parametrize("address", ["r@EXAMPLE.Test", '"@elsewhere.test"@example.test'])
    def test_our_domain_is_compared_folded_and_is_what_stands_after_the_last_at(self, wire, address):
        wire.greet().send(b"MAIL FROM:<>\r\n")

        assert wire.send(f"RCPT TO:<{address}>\r\n".encode())[0].startswith("250 ")

    @pytest.mark.parametrize("address", ["r@sub.example.test", "r@example.test.elsewhere.test", "r@notexample.test"])
    def test_neighbours_of_our_domain_are_not_ours(self, wire, address):
        wire.greet().send(b"MAIL FROM:<>\r\n")

        assert ["550 5.7.1 Relaying denied"] == wire.send(f"RCPT TO:<{address}>\r\n".encode())

    @pytest.mark.parametrize("domain", ["localhost", "mx.example.com"])
    def test_without_domains_localhost_and_the_hosts_name_are_ours(self, make_wire, domain):
        wire = make_wire(domains=()).greet()
        wire.send(b"MAIL FROM:<>\r\n")

        assert wire.send(f"RCPT TO:<r@{domain}>\r\n".encode())[0].startswith("250 ")
        assert wire.send(b"RCPT TO:<r@example.com>\r\n")[0].startswith("550 ")

    def test_an_address_literal_is_ours_if_it_is_listed(self, make_wire):
        wire = make_wire(domains=("[192.0.2.1]",)).greet()
        wire.send(b"MAIL FROM:<>\r\n")

        assert wire.send(b"RCPT TO:<r@[192.0.2.1]>\r\n")[0].startswith("250 ")

    def test_case_031_postmaster_without_a_domain_goes_to_the_first(self, make_wire, handoff):
        wire = make_wire(domains=("first.test", "second.test")).greet()

        wire.send(b"MAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\n")
        wire.send(b".\r\n")

        assert "postmaster@first.test" == handoff.envelopes[0].recipients[0].address


class TestValidators:
    def test_each_is_asked_at_its_stage_with_what_is_known_then(self, make_wire, handoff):
        asked = Asked()
        wire = make_wire(asked.chain()).greet()

        wire.send(b"MAIL FROM:<a@b.example> SIZE=9\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        wire.send(b"x\r\n.\r\nRSET\r\n")

        assert STAGES == asked.stages
        arguments = [argument for _, argument, _ in asked.calls]
        (envelope,) = handoff.envelopes
        assert [
            None,
            Greeting(verb="EHLO", name="client.example.org"),
            MailCommand(sender="a@b.example", size_bytes=9, parameters={"SIZE": "9"}),
            RcptCommand(address="r@example.test"),
            None,
            envelope,
            Handed(envelope=envelope, replies=[Reply(code=250, enhanced="2.0.0", text="queued as Q")]),
            None,
        ] == arguments
        transactions = [seen[1:] for _, _, seen in asked.calls]
        in_message = ("a@b.example", ("r@example.test",))
        assert [
            (None, ()),
            (None, ()),
            (None, ()),
            ("a@b.example", ()),
            in_message,
            in_message,
            in_message,
            (None, ()),
        ] == transactions

    @pytest.mark.parametrize(
        ("stage", "expected"),
        [
            ("connect", []),
            ("helo", []),
            ("mail", ["503 5.5.1", "503 5.5.1"]),
            ("rcpt", ["250 2.1.0", "550 5.7.1", "554 5.5.1"]),
            ("data", ["250 2.1.0", "250 2.1.5", "550 5.7.1"]),
        ],
    )
    def test_a_refusal_is_the_answer_and_what_depends_on_it_is_refused(self, make_wire, handoff, stage, expected):
        wire = make_wire(Asked(**{stage: NO}).chain())

        lines = wire.send(b"EHLO c\r\n") + wire.send(TO_DATA)

        assert "550 5.7.1 No" in lines
        assert expected == [line[:9] for line in lines][-len(expected) :] if expected else True
        assert [] == handoff.envelopes

    @pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "message", "reset"])
    def test_a_421_closes_the_connection(self, make_wire, handoff, stage):
        wire = make_wire(Asked(**{stage: Reply(code=421, enhanced="4.7.0", text="Go")}).chain()).greet()

        wire.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\n")
        wire.send(b"DATA\r\n")
        wire.send(b".\r\n")
        wire.send(b"RSET\r\n")

        assert wire.is_closed
        assert [] == handoff.envelopes or stage == "reset"

    @pytest.mark.parametrize(
        ("stage", "expected"),
        [
            ("connect", "220 Fine"),
            ("helo", "250-Fine"),
            ("mail", "250 2.1.0 Fine"),
            ("rcpt", "250 2.1.5 Fine"),
            ("data", "354 Fine"),
            ("queued", "250 2.0.0 Fine"),
        ],
    )
    def test_a_success_replaces_the_text_alone(self, make_wire, stage, expected):
        wire = make_wire(Asked(**{stage: FINE}).chain())

        lines = wire.send(b"EHLO c\r\n") + wire.send(TO_DATA) + wire.send(b".\r\n")

        assert expected in lines

    def test_a_message_refused_by_a_validator_is_not_handed_off(self, make_wire, handoff, log):
        wire = make_wire(Asked(message=NO).chain()).begin(rcpts=2)

        assert ["550 5.7.1 No"] == wire.send(b"x\r\n.\r\n")

        assert [] == handoff.envelopes
        assert [2] == [fields["rcpt_count"] for fields in log.of(events.EDGE_MESSAGE_REJECTED)]

    def test_an_objection_after_handoff_comes_too_late(self, make_wire):
        wire = make_wire(Asked(queued=NO).chain()).begin()

        assert ["250 2.0.0 queued as Q"] == wire.send(b"x\r\n.\r\n")

    def test_a_failed_handoff_is_not_told_as_queued(self, make_wire, handoff):
        handoff.script = [LATER]
        asked = Asked(queued=FINE)
        wire = make_wire(asked.chain()).begin()

        assert ["451 4.7.1 Later"] == wire.send(b"x\r\n.\r\n")
        assert "queued" not in asked.stages

    def test_notes_last_for_the_session(self, make_wire):
        seen = []

        def check(session: Any, *_: object) -> None:
            seen.append(dict(session.notes))
            session.notes["probe.count"] = len(seen)

        make_wire(Chain(helo=(check,), mail=(check,))).greet().send(b"MAIL FROM:<>\r\n")

        assert [{}, {"probe.count": 1}] == seen


class TestHandoff:
    def test_a_refusal_of_the_queue_is_the_answer_to_mail_and_no_validator_is_asked(self, make_wire, handoff):
        handoff.refuses = Reply(code=452, enhanced="4.3.1", text="Full")
        asked = Asked()
        wire = make_wire(asked.chain()).greet()

        assert ["452 4.3.1 Full"] == wire.send(b"MAIL FROM:<a@b> SIZE=1234\r\n")

        assert [1234] == handoff.announced_bytes
        assert "mail" not in asked.stages

    def test_the_reply_to_the_message_is_handoffs(self, wire, handoff):
        handoff.script = [LATER]

        assert ["451 4.7.1 Later"] == wire.begin().send(b".\r\n")

    def test_different_replies_are_told_as_the_worst_that_can_be_mended(self, wire, handoff):
        handoff.script = [[FINE, NO, LATER]]

        assert ["451 4.7.1 Later"] == wire.begin(rcpts=3).send(b".\r\n")

    def test_an_interrupted_handoff_leaves_no_answer_and_no_file(self, make_wire, handoff, tmp_path):
        handoff.is_held = True
        handoff.spool_path = tmp_path
        wire = make_wire(spool_threshold_bytes=100).begin()
        sending = gevent.spawn(wire.send, b"x" * 200 + b"\r\n.\r\n")
        handoff.arrived.wait()
        assert [handoff.envelopes[0].content.body.path] == list(tmp_path.iterdir())

        sending.kill()

        assert [] == list(tmp_path.iterdir())
        assert b"" == wire.protocol.data_to_send()

    def test_after_a_message_nothing_of_it_is_left(self, wire):
        wire.begin().send(b".\r\n")

        assert wire.session.sender is None
        assert () == wire.session.recipients


class TestSpool:
    def test_a_large_body_is_a_file_that_is_gone_after_handoff(self, make_wire, handoff, tmp_path):
        handoff.spool_path = tmp_path
        wire = make_wire(spool_threshold_bytes=1000).begin()
        body = b"x" * 70 + b"\r\n"

        wire.send(body * 1000 + b".\r\n", piece_bytes=4096)

        assert handoff.messages[0].endswith(body * 1000)
        assert 72_000 == handoff.envelopes[0].content.body.size_bytes
        assert [] == list(tmp_path.iterdir())

    @pytest.mark.parametrize("end", [b"\n.\r\n.\r\n", b"", b"x" * 3000 + b"\r\n.\r\n"], ids=["bare", "cut", "too-big"])
    def test_a_message_that_is_not_accepted_leaves_no_file(self, make_wire, handoff, tmp_path, end):
        handoff.spool_path = tmp_path
        wire = make_wire(spool_threshold_bytes=1000, max_message_size_bytes=3000).begin()

        wire.send(b"x" * 2000)
        assert 1 == len(list(tmp_path.iterdir()))
        wire.send(end)
        wire.session.close()

        assert [] == list(tmp_path.iterdir())
        assert [] == handoff.envelopes

    def test_a_disk_that_fails_is_told_after_the_message_and_the_session_goes_on(
        self, make_wire, handoff, log, tmp_path
    ):
        handoff.spool_path = tmp_path / "missing"
        wire = make_wire(spool_threshold_bytes=100).begin()

        lines = wire.send(b"x" * 200) + wire.send(b"NOOP\r\n.\r\nNOOP\r\n")

        assert ["451 4.3.0 Local error, try again later", "250 2.0.0 Ok"] == lines
        assert lines[:1] == [fields["reply"] for fields in log.of(events.EDGE_SPOOL_FAILED)]
        assert [] == handoff.envelopes

    def test_a_loop_is_seen_in_a_file_as_well(self, make_wire, handoff, tmp_path):
        handoff.spool_path = tmp_path
        wire = make_wire(spool_threshold_bytes=100).begin()

        lines = wire.send(b"Received: x\r\n" * 101 + b"\r\n" + b"y" * 500 + b"\r\n.\r\n")

        assert ["554 5.4.6 Too many hops"] == lines


class TestReset:
    def test_rset_forgets_the_transaction_and_ehlo_again_as_well(self, wire):
        wire.greet()
        for line in (b"RSET\r\n", b"EHLO c\r\n", b"HELO c\r\n"):
            wire.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<r@example.test>\r\n")
            wire.send(line)

            assert wire.session.sender is None
            assert wire.send(b"RCPT TO:<r@example.test>\r\n")[0].startswith("503 5.5.1")

    def test_a_refused_rset_changes_nothing(self, make_wire, handoff):
        wire = make_wire(Chain(reset=(lambda _: NO,))).greet()
        wire.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<r@example.test>\r\n")

        assert [str(NO)] == wire.send(b"RSET\r\n")

        wire.send(b"RCPT TO:<r2@example.test>\r\nDATA\r\n")
        assert ["250 2.0.0 queued as Q"] == wire.send(b".\r\n")
        assert 2 == len(handoff.envelopes[0].recipients)

    def test_a_refused_ehlo_changes_nothing(self, make_wire, log):
        answers: list[Reply | None] = [None, NO]
        wire = make_wire(Chain(helo=(lambda *_: answers.pop(0),))).greet(b"EHLO first")
        wire.send(b"MAIL FROM:<a@b>\r\n")

        wire.send(b"EHLO second\r\n")

        assert "a@b" == wire.session.sender
        assert "first" == wire.session.client.helo
        assert ["second"] == [fields["helo"] for fields in log.of(events.EDGE_HELO_REJECTED)]
