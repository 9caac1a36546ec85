"""Real mail through the real service: what arrives is what was sent."""

from __future__ import annotations

import random
import re
import smtplib
import subprocess

import pytest

TRACE = re.compile(rb"(?:(?:Return-Path|Delivered-To|Received):.*\n(?:[ \t].*\n)*)+")
HEADER = b"From: a@example.org\r\nDate: Sun, 22 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"


def message_of(size_bytes: int) -> bytes:
    """A message of about this size that holds what could go wrong: dots, long lines, 8-bit octets, odd folding."""
    chance = random.Random(size_bytes)
    awkward = [b".", b"..", b".x", b"", b" ", b"From me", "grüße".encode(), bytes(range(128, 256)), b"-" * 990]
    lines = [HEADER + b"Subject: odd\r\n  folding \t\r\nX-Empty:\r\n\r\n"]
    total = len(lines[0])
    while total < size_bytes:
        line = chance.choice(awkward) + chance.randbytes(40).hex().encode() + b"\r\n"
        lines.append(line)
        total += len(line)
    return b"".join([*lines, b".\r\n", b"the end\r\n"])


def stuffed(message: bytes) -> bytes:
    """As DATA sends it (RFC 5321 §4.5.2)."""
    return re.sub(rb"(?m)^\.", b"..", message) + b".\r\n"


def without_trace(delivered: bytes) -> bytes:
    trace = TRACE.match(delivered)
    assert trace is not None
    return delivered[trace.end() :]


class TestBytes:
    @pytest.mark.parametrize("size_bytes", [1_000, 2_048, 65_536, 262_144, 262_200, 1_000_000, 20_000_000])
    @pytest.mark.parametrize("is_pipelined", [True, False])
    def test_what_arrives_is_what_was_sent(self, service, open_client, size_bytes, is_pipelined):
        """Byte for byte behind the trace fields, after CRLF has become LF (design §4)."""
        message = message_of(size_bytes)
        service.start()

        with open_client(service.port) as client:
            commands = [b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<bob@example.test>\r\n", b"DATA\r\n"]
            if is_pipelined:
                client.send(b"".join(commands))
                replies = [client.reply() for _ in commands]
            else:
                replies = [client.ask(command.decode().strip()) for command in commands]
            client.send(stuffed(message))
            replies.append(client.reply())

        assert ["250", "250", "354", "250"] == [reply[:3] for reply in replies]
        (delivered,) = service.wait_for_delivery()
        assert message.replace(b"\r\n", b"\n") == without_trace(delivered.read_bytes())

    def test_missing_fields_are_added_above_and_the_rest_is_untouched(self, service):
        message = b"Subject: no date\r\n\r\nbody\r\n"
        service.start()

        with smtplib.SMTP("127.0.0.1", service.port) as client:
            client.sendmail("a@example.org", ["bob@example.test"], message)

        (delivered,) = service.wait_for_delivery()
        text = delivered.read_bytes()
        assert text.endswith(b"\nSubject: no date\n\nbody\n")
        for field in (
            b"Return-Path: <a@example.org>\n",
            b"Delivered-To: bob@example.test\n",
            b"\nDate: ",
            b"\nMessage-I",
        ):
            assert field in text
        assert 1 == text.count(b"Received: ")


class TestClients:
    def test_smtplib_sends_to_several_recipients(self, service):
        service.start()

        with smtplib.SMTP("127.0.0.1", service.port) as client:
            refused = client.sendmail("a@example.org", ["a@example.test", "b@example.test"], b"Subject: x\r\n\r\ny\r\n")

        service.wait_for_delivery(2)
        assert {} == refused
        assert ["a", "b"] == sorted(path.parent.parent.name for path in service.delivered())

    @pytest.mark.needs("swaks")
    @pytest.mark.parametrize("options", [[], ["--pipeline"]])
    def test_swaks_sends(self, service, options):
        service.start()

        sent = subprocess.run(
            ["swaks", "--server", f"127.0.0.1:{service.port}", "--to", "bob@example.test", *options],
            capture_output=True,
            text=True,
            timeout=120,
        )

        assert 0 == sent.returncode, sent.stdout
        (delivered,) = service.wait_for_delivery()
        assert b"This is a test mailing" in delivered.read_bytes()

    def test_many_messages_on_one_connection_all_arrive(self, service, open_client):
        service.start()

        with open_client(service.port) as client:
            for number in range(50):
                client.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
                assert ["250", "250", "354"] == [client.reply()[:3] for _ in range(3)]
                client.send(b"Subject: %d\r\n\r\nx\r\n.\r\n" % number)
                assert client.reply().startswith("250 ")

        service.wait_for_delivery(50)
        subjects = {re.search(rb"Subject: (\d+)", path.read_bytes())[1] for path in service.delivered()}
        assert {b"%d" % number for number in range(50)} == subjects


class TestRefused:
    def test_mail_for_a_domain_that_is_not_ours_is_refused_at_rcpt(self, service, open_client):
        service.start()

        with open_client(service.port) as client:
            client.ask("MAIL FROM:<a@example.org>")
            assert client.ask("RCPT TO:<bob@elsewhere.test>").startswith("550 5.7.1 ")
            assert client.ask("RCPT TO:<bob@example.test>").startswith("250 ")

    def test_one_id_leads_from_the_connection_to_the_maildir(self, service):
        service.start()

        with smtplib.SMTP("127.0.0.1", service.port) as client:
            client.sendmail("a@example.org", ["bob@example.test"], b"Subject: x\r\n\r\ny\r\n")

        accepted = service.wait_for_event("queue.accepted")
        delivered = service.wait_for_event("queue.delivered")
        closed = service.wait_for_event("edge.session_closed")
        assert {accepted["session_id"]} == {delivered["session_id"], closed["session_id"]}
        assert accepted["queue_id"] == delivered["queue_id"]
