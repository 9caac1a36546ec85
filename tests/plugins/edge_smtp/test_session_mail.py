"""What of a message's commands goes into its envelope, and how its recipients learn what became of it."""

from __future__ import annotations

from typing import Any

import pytest

from mdacore import Chain, Envelope, Handed, Recipient, Reply
from mdacore_edge_smtp import LmtpConfig, events

NO = Reply(code=550, enhanced="5.7.1", text="No")
LATER = Reply(code=451, enhanced="4.7.1", text="Later")
STORED = Reply(code=250, enhanced="2.0.0", text="Stored")


def deliver(wire: Any, mail: str, *rcpts: str, message: bytes = b"x\r\n") -> list[str]:
    """The replies to the message."""
    commands = [f"MAIL FROM:{mail}", *(f"RCPT TO:{rcpt}" for rcpt in rcpts), "DATA"]
    assert wire.send("".join(f"{command}\r\n" for command in commands).encode())[-1].startswith("354")
    return wire.send(message + b".\r\n")


class TestDsn:
    """RFC 3461 §4."""

    def test_wishes_are_kept_decoded_and_each_with_its_recipient(self, wire, handoff):
        deliver(
            wire.greet(),
            "<a@b.example> ret=hdrs ENVID=QQ+2B314",
            "<r1@example.test>",
            "<r2@example.test> NOTIFY=success,DELAY ORCPT=rfc822;bob+2Btag@b.example",
            "<r3@example.test> NOTIFY=NEVER",
        )

        (envelope,) = handoff.envelopes
        assert ("HDRS", "QQ+314") == (envelope.dsn_return, envelope.dsn_envelope_id)
        assert (
            Recipient(number=0, address="r1@example.test"),
            Recipient(
                number=1,
                address="r2@example.test",
                notify=("SUCCESS", "DELAY"),
                orcpt="rfc822;bob+tag@b.example",
            ),
            Recipient(number=2, address="r3@example.test", notify=("NEVER",)),
        ) == envelope.recipients

    def test_what_was_not_said_is_not_there(self, wire, handoff):
        deliver(wire.greet(), "<a@b.example>", "<r@example.test>")

        (envelope,) = handoff.envelopes
        assert ("", "", "", False) == (
            envelope.dsn_return,
            envelope.dsn_envelope_id,
            envelope.body_type,
            envelope.is_smtputf8,
        )

    def test_wishes_end_with_their_transaction(self, wire, handoff):
        wire.greet().send(b"MAIL FROM:<> RET=FULL\r\nRCPT TO:<r@example.test> NOTIFY=NEVER\r\nRSET\r\n")

        deliver(wire, "<>", "<r@example.test>")

        assert "" == handoff.envelopes[0].dsn_return
        assert Recipient(number=0, address="r@example.test") == handoff.envelopes[0].recipients[0]


class TestSmtputf8:
    """RFC 6531."""

    def test_addresses_and_trace_are_in_utf8_and_the_word_says_so(self, wire, handoff):
        deliver(wire.greet(), "<jörg@b.example> SMTPUTF8 BODY=8BITMIME", "<bøb@example.test>")

        (envelope,) = handoff.envelopes
        assert ("jörg@b.example", "bøb@example.test") == (envelope.sender, envelope.recipients[0].address)
        assert (True, "8BITMIME", "UTF8SMTP") == (envelope.is_smtputf8, envelope.body_type, envelope.client.protocol)
        received = handoff.messages[0].decode()
        assert " with UTF8SMTP id " in received
        assert "\r\n\tfor <bøb@example.test>;\r\n" in received

    def test_the_session_keeps_its_own_word(self, wire, handoff):
        wire.greet()
        deliver(wire, "<jörg@b.example> SMTPUTF8", "<r@example.test>")
        deliver(wire, "<a@b.example>", "<r@example.test>")

        assert ["UTF8SMTP", "ESMTP"] == [envelope.client.protocol for envelope in handoff.envelopes]

    def test_without_it_the_trace_stays_ascii_also_where_the_mail_goes_elsewhere(self, make_wire, handoff):
        wire = make_wire(recipients=("bob@example.test",), catch_all="bøb@example.test").greet()

        deliver(wire, "<a@b.example>", "<x@example.test>")

        assert "bøb@example.test" == handoff.envelopes[0].recipients[0].address
        assert handoff.messages[0].isascii()


class TestWhereItGoes:
    def test_what_the_client_said_is_kept_beside_where_it_goes(self, make_wire, handoff):
        wire = make_wire(recipients=("bob@example.test",), catch_all="carol@example.test").greet()

        deliver(wire, "<>", "<bob+x@example.test>", "<eve@example.test> NOTIFY=NEVER")

        assert (
            Recipient(number=0, address="bob+x@example.test"),
            Recipient(number=1, address="carol@example.test", original_address="eve@example.test", notify=("NEVER",)),
        ) == handoff.envelopes[0].recipients

    def test_validators_are_asked_about_where_it_goes_and_only_if_it_goes(self, make_wire):
        asked: list[str] = []
        chain = Chain(rcpt=(lambda _, command: asked.append(command.address),))
        wire = make_wire(chain, recipients=("bob@example.test",), postmaster="carol@example.test").greet()

        wire.send(b"MAIL FROM:<>\r\nRCPT TO:<eve@example.test>\r\nRCPT TO:<postmaster@example.test>\r\n")

        assert ["carol@example.test"] == asked

    def test_an_unknown_recipient_is_logged_as_it_was_sent(self, make_wire, log):
        wire = make_wire(recipients=("bob@example.test",)).greet()

        wire.send(b"MAIL FROM:<>\r\nRCPT TO:<eve@example.test>\r\n")

        (fields,) = log.of(events.EDGE_RCPT_REJECTED)
        assert ("eve@example.test", "550 5.1.1 Recipient unknown") == (fields["rcpt"], fields["reply"])

    def test_a_file_says_who_is_known_while_the_edge_runs(self, make_wire, clock, tmp_path):
        file = tmp_path / "recipients"
        file.write_text("bob@example.test OK\n")
        wire = make_wire(recipients_file=file).greet()
        assert ["250", "250", "550"] == [
            line[:3]
            for line in wire.send(b"MAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<eve@example.test>\r\n")
        ]

        file.write_text("eve@example.test OK\n# bob has left\n")
        clock.advance(1)

        lines = wire.send(b"RCPT TO:<bob@example.test>\r\nRCPT TO:<eve@example.test>\r\n")
        assert ["550", "250"] == [line[:3] for line in lines]


class TestTryingOutAddresses:
    """Whoever asks for one address after the other learns which there are, and fills the log."""

    def test_one_refused_recipient_more_than_the_limit_ends_the_connection(self, make_wire):
        wire = make_wire(max_refused_recipients=3).greet()
        wire.send(b"MAIL FROM:<a@b.example>\r\n")

        replies = wire.send(b"RCPT TO:<r@elsewhere.example>\r\n" * 5)

        assert ["550"] * 3 + ["421"] == [reply[:3] for reply in replies]
        assert wire.is_closed

    def test_another_transaction_does_not_help_but_an_accepted_message_does(self, make_wire):
        wire = make_wire(max_refused_recipients=3).greet()
        transaction = b"MAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<r@elsewhere.example>\r\n" * 2
        wire.send(transaction + b"RCPT TO:<r@example.test>\r\nDATA\r\n")
        wire.send(b"x\r\n.\r\n")

        wire.send(transaction + b"RSET\r\n")
        assert not wire.is_closed
        wire.send(transaction)
        assert wire.is_closed

    def test_another_client_of_a_proxy_begins_anew(self, make_wire):
        wire = make_wire(max_refused_recipients=3, xclient_from=("192.0.2.7",)).greet()
        refused = b"MAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<r@elsewhere.example>\r\n" * 3
        wire.send(refused + b"RSET\r\n")
        wire.send(b"XCLIENT ADDR=198.51.100.9\r\n")

        wire.greet().send(refused)

        assert not wire.is_closed

    def test_without_a_limit_it_may_go_on(self, make_wire):
        wire = make_wire(max_refused_recipients=0).greet()
        wire.send(b"MAIL FROM:<a@b.example>\r\n")

        assert 500 == len(wire.send(b"RCPT TO:<r@elsewhere.example>\r\n" * 500))


class TestLmtp:
    """RFC 2033 §4.2."""

    @pytest.fixture
    def lmtp(self, make_wire):
        return lambda *args, **config: make_wire(*args, kind=LmtpConfig, **config).greet(b"LHLO client.example.org")

    RCPTS = ("<r1@example.test>", "<r2@example.test>", "<r1@example.test>")

    @pytest.mark.parametrize("is_proxy", [False, True])
    def test_case_038_each_recipient_gets_his_own_reply_in_order(self, lmtp, handoff, is_proxy):
        handoff.is_proxy = is_proxy
        handoff.script = [[STORED, NO, LATER]]

        lines = deliver(lmtp(), "<a@b.example>", *self.RCPTS)

        assert [str(STORED), str(NO), str(LATER)] == lines

    def test_it_is_lmtp_in_the_trace(self, lmtp, handoff):
        deliver(lmtp(), "<a@b.example>", "<r@example.test>")

        assert "LMTP" == handoff.envelopes[0].client.protocol
        assert b" with LMTP id " in handoff.messages[0]

    @pytest.mark.parametrize("cause", [{"message": b"bare\nline\r\n"}, {"message": b"Received: x\r\n" * 101 + b"\r\n"}])
    def test_what_the_edge_refuses_it_refuses_for_each(self, lmtp, handoff, cause):
        lines = deliver(lmtp(), "<a@b.example>", *self.RCPTS, **cause)

        assert 3 == len(lines)
        assert 1 == len({line for line in lines if line.startswith("55")})
        assert [] == handoff.envelopes

    def test_a_validators_refusal_is_for_each(self, lmtp, handoff):
        assert [str(NO)] * 3 == deliver(lmtp(Chain(message=(lambda *_: NO,))), "<a@b.example>", *self.RCPTS)

    def test_a_queued_validator_changes_the_text_of_the_successes(self, lmtp, handoff):
        handoff.script = [[STORED, NO, STORED]]
        seen: list[Handed] = []
        praise = Reply(code=250, enhanced="2.6.0", text="Well done")

        lines = deliver(
            lmtp(Chain(queued=(lambda _, handed: seen.append(handed) or praise,))), "<a@b.example>", *self.RCPTS
        )

        assert ["250 2.0.0 Well done", str(NO), "250 2.0.0 Well done"] == lines
        assert [[STORED, NO, STORED]] == [handed.replies for handed in seen]

    def test_one_success_is_an_accepted_message(self, lmtp, handoff):
        handoff.script = [[NO, STORED]]
        wire = lmtp()

        deliver(wire, "<a@b.example>", "<r1@example.test>", "<r2@example.test>")

        assert (1, STORED) == (wire.session.accepted_count, wire.session.accepted_reply)


class TestProxyQueues:
    """A queue that stores nothing has a reply for each recipient, and SMTP room for one."""

    def test_smtp_takes_one_recipient_and_puts_off_the_rest_without_asking_anybody(self, make_wire, handoff):
        handoff.is_proxy = True
        asked: list[str] = []
        wire = make_wire(Chain(rcpt=(lambda _, command: asked.append(command.address),))).greet()

        lines = wire.send(b"MAIL FROM:<>\r\nRCPT TO:<r1@example.test>\r\n" + b"RCPT TO:<r2@example.test>\r\n" * 30)

        assert ["250 2.1.0", "250 2.1.5"] + ["452 4.5.3"] * 30 == [line[:9] for line in lines]
        assert ["r1@example.test"] == asked
        assert 0 == wire.session.rejected_count

    def test_who_goes_on_naming_recipients_for_ever_is_cut_off(self, make_wire, handoff):
        """As many are put off as an edge in front of another queue takes: a client with a long list gets through."""
        handoff.is_proxy = True
        wire = make_wire(max_recipients=100).greet()

        lines = wire.send(b"MAIL FROM:<>\r\n" + b"RCPT TO:<r@example.test>\r\n" * 110)

        assert ["250", "250"] + ["452"] * 100 + ["421"] == [line[:3] for line in lines]

    def test_one_that_was_refused_leaves_room_for_another(self, wire, make_wire, handoff):
        handoff.is_proxy = True
        wire = make_wire().greet()

        lines = wire.send(b"MAIL FROM:<>\r\nRCPT TO:<x@elsewhere.test>\r\nRCPT TO:<r2@example.test>\r\n")

        assert ["250", "550", "250"] == [line[:3] for line in lines]


class TestChunks:
    def test_a_refused_first_chunk_ends_the_transaction_and_leaves_no_file(self, make_wire, handoff):
        wire = make_wire(Chain(data=(lambda _: NO,))).greet()
        wire.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\n")

        assert [str(NO)] == wire.send(b"BDAT 3 LAST\r\nx\r\n")

        assert wire.session.sender is None

    def test_chunks_are_one_message(self, wire, handoff):
        wire.greet().send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nBDAT 5\r\nA: b\r")

        assert ["250 2.0.0 queued as Q"] == wire.send(b"BDAT 10 LAST\r\n\n\r\n..x\r\n\r\n")[-1:]

        assert [b"A: b\r\n\r\n..x\r\n\r\n"] == handoff.bodies


STAGES = {
    "connect": b"",
    "helo": b"EHLO c\r\n",
    "auth": b"AUTH PLAIN AGEAYg==\r\n",
    "mail": b"MAIL FROM:<a@b.example>\r\n",
    "rcpt": b"RCPT TO:<r@example.test>\r\n",
    "reset": b"RSET\r\n",
    "data": b"MAIL FROM:<a@b.example>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n",
    "message": b"x\r\n.\r\n",
}
"""What leads to each stage, after what stands before it."""


class TestEachStage:
    """A validator is ten lines; whatever it answers is the answer."""

    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("answer", [NO, Reply(code=421, enhanced="4.7.0", text="Go")], ids=["refused", "closed"])
    def test_its_reply_is_the_answer_and_closes_if_it_says_so(self, make_wire, handoff, stage, answer):
        class Policy:
            """Ten lines of somebody else's."""

            def __init__(self) -> None:
                self.asked = 0

            def __call__(self, session: Any, *arguments: object) -> Reply | None:
                self.asked += 1
                return answer

        policy = Policy()
        wire = make_wire(Chain(**{"auth": (lambda *_: None,), stage: (policy,)}), auth_without_tls=True)
        lines: list[str] = []
        for name, octets in STAGES.items():
            lines = wire.send(octets)
            if name == stage:
                break

        assert str(answer) == lines[-1]
        assert 1 == policy.asked
        assert (answer.code == 421 or stage == "connect") is wire.is_closed
        assert [] == handoff.envelopes


def test_a_queue_gets_what_it_needs_to_write_a_notice(wire, handoff):
    """All of it in one envelope, from one session."""
    deliver(wire.greet(), "<a@b.example> RET=FULL ENVID=x SMTPUTF8", "<r@example.test> NOTIFY=FAILURE")

    (envelope,) = handoff.envelopes
    assert isinstance(envelope, Envelope)
    assert ("FULL", "x", True, ("FAILURE",)) == (
        envelope.dsn_return,
        envelope.dsn_envelope_id,
        envelope.is_smtputf8,
        envelope.recipients[0].notify,
    )
