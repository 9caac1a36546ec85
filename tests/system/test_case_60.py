"""Acceptance case 60: notices: who gets one, what is in it, and that it is stored with the end that it tells of."""

from __future__ import annotations

import email
import email.policy
import smtplib

import attrs
import pytest

from mdacore import Recipient, Reply
from mdacore.testing import ScriptedRelay, assembled_service, content_of, make_envelope

CONFIG = """
plugins = ["edge_smtp", "storage_shelve", "relay_maildir", "relay_blackhole"]
[edges.mx]
kind = "smtp"
listen = ["127.0.0.1:0"]
domains = ["example.test"]
[queues.main]
storage = "spool"
relay = "local"
notice_queue = "notices"
notice_texts.failed = "failed.txt"
[queues.notices]
storage = "spool"
relay = "local"
[[queues.main.routes]]
domains = ["example.test"]
relay = "refusing"
[storages.spool]
kind = "shelve"
[relays.local]
kind = "maildir"
[relays.refusing]
kind = "blackhole"
reply = "550 5.1.1 No such user"
"""
WORDS = "Subject: Unzustellbar\n\nGrüße von ${hostname}:\n\n${recipients}\n"
NEVER = Reply.parse("550 5.1.1 No such user")
OK = Reply.parse("250 2.0.0 Delivered")
SHELVE = {"storages": {"spool": {"kind": "shelve"}}}


def parsed(octets):
    return email.message_from_bytes(octets, policy=email.policy.default)


class TestService:
    """A real `mdacore run`, over SMTP."""

    @pytest.fixture
    def service(self, service):
        (service.folder / "mda.toml").write_text(CONFIG)
        service.state.mkdir()
        (service.state / "failed.txt").write_text(WORDS)
        return service

    def send(self, service, sender):
        with smtplib.SMTP("127.0.0.1", service.port) as client:
            client.sendmail(sender, ["bob@example.test"], "Subject: grüße\r\n\r\nbody\r\n".encode())

    def test_case_060_the_sender_gets_a_notice_by_the_queue_for_notices(self, service):
        service.start()

        self.send(service, "alice@example.org")

        (path,) = service.wait_for_delivery()
        notice = parsed(path.read_bytes())
        text, status, header = notice.iter_parts()
        assert ("Unzustellbar", "auto-replied") == (notice["Subject"], notice["Auto-Submitted"])
        assert "<bob@example.test>:\n    550 5.1.1 No such user\n" in text.get_content()
        assert text.get_content().startswith("Grüße von ")
        assert ("failed", "5.1.1") == (status.get_payload()[1]["Action"], status.get_payload()[1]["Status"])
        assert "Subject: grüße" in header.get_payload(decode=True).decode()
        bounced, stored = service.wait_for_event("queue.bounced"), service.wait_for_event("queue.notice_stored")
        assert ("sent", bounced["queue_id"]) == (bounced["notice"], stored["queue_id"])
        assert stored["notice_id"] == service.wait_for_event("queue.delivered")["queue_id"]

    def test_case_060_the_null_sender_gets_none(self, service):
        service.start()

        self.send(service, "")

        bounced = service.wait_for_event("queue.bounced")
        assert "suppressed: the sender is the null sender" == bounced["notice"]
        assert 0 == service.terminate()
        assert [] == service.delivered()

    def test_case_060_a_text_with_an_unknown_field_starts_nothing(self, service):
        (service.state / "failed.txt").write_text("Dear ${name}")

        with pytest.raises(AssertionError, match=r"queues\.main\.notice_texts\.failed: .*\$\{name\} is no field"):
            service.start()

        assert 78 == service.process.wait()


class TestWishes:
    """A message with DSN parameters, through the queue and the embedded storage to the notice that comes back."""

    def notices(self, envelope, reply, **keys):
        def answer(envelope, _):
            return {rcpt.number: reply if envelope.sender else OK for rcpt in envelope.recipients}

        tables = {**SHELVE, "queues": {"main": keys}}
        relay = ScriptedRelay(answer)
        with assembled_service(tables, plugins=["storage_shelve"], relays={"local": relay}) as service:
            service.send(envelope)
            service.wait_until_idle()
        return [content_of(seen) for seen, _ in relay.attempts if not seen.sender]

    def envelope(self, *notify, **changes):
        recipient = Recipient(number=0, address="bob@example.test", notify=notify, orcpt="rfc822;Bob@example.com")
        return attrs.evolve(make_envelope(), recipients=(recipient,), dsn_envelope_id="QQ314159", **changes)

    @pytest.mark.parametrize(
        ("notify", "reply", "action"),
        [
            (("FAILURE",), NEVER, "failed"),
            ((), NEVER, "failed"),
            (("NEVER",), NEVER, None),
            (("SUCCESS", "DELAY"), NEVER, None),
            (("SUCCESS",), OK, "delivered"),
            (("FAILURE", "DELAY"), OK, None),
            ((), OK, None),
        ],
    )
    def test_case_060_notify_is_obeyed(self, notify, reply, action):
        notices = [parsed(octets) for octets in self.notices(self.envelope(*notify), reply)]

        actions = [list(notice.iter_parts())[1].get_payload()[1]["Action"] for notice in notices]
        assert ([action] if action else []) == actions

    @pytest.mark.parametrize(("wish", "returned"), [("FULL", b"How are you?"), ("HDRS", b"Subject: hello\r\n\r\n--")])
    def test_case_060_ret_envid_and_orcpt_come_back(self, wish, returned):
        (octets,) = self.notices(self.envelope(dsn_return=wish), NEVER)

        for expected in (returned, b"Original-Envelope-Id: QQ314159", b"Original-Recipient: rfc822;Bob@example.com"):
            assert expected in octets
        assert (wish == "FULL") == (b"How are you?" in octets)

    def test_case_060_a_public_edge_need_not_make_backscatter(self):
        assert [] == self.notices(self.envelope(), NEVER, notices_to="authenticated")

    def test_case_060_a_notice_that_fails_goes_to_the_postmaster_or_nowhere(self):
        """And there it ends, whatever becomes of it."""
        for keys, receivers in (({}, []), ({"postmaster": "boss@example.test"}, ["boss@example.test"])):
            relay = ScriptedRelay(NEVER)
            tables = {**SHELVE, "queues": {"main": keys}}
            with assembled_service(tables, plugins=["storage_shelve"], relays={"local": relay}) as service:
                service.send(make_envelope("bob@example.test"))
                service.wait_until_idle()
                assert [] == service.entries()

            to = [envelope.recipients[0].address for envelope, _ in relay.attempts]
            assert ["bob@example.test", "alice@example.org", *receivers] == to
