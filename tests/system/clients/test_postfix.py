"""Postfix's own clients, smtp(8) and lmtp(8), from Debian's package."""

from __future__ import annotations

import os

import pytest

from mdacore_edge_smtp import SmtpConfig

from .messages import ALL, DOTS, INTERNATIONAL, PLAIN, TEN_MB
from .postfix import Postfix
from .programs import HAS_SASL
from .server import OURS, USER, below

pytestmark = [
    pytest.mark.needs("openssl", "postfix"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix has to be started by root"),
]

TRACE = (*OURS, "Received")
"""Ours, and Postfix's own."""
MAX_MESSAGES = SmtpConfig().max_messages


@pytest.fixture(scope="module")
def postfix(server, new_folder):
    postfix = Postfix(new_folder("postfix"))
    postfix.start(server)
    yield postfix
    postfix.stop()


class TestMessages:
    @pytest.mark.parametrize("way", ["clear", "secure"])
    @pytest.mark.parametrize("message", ALL.values(), ids=ALL)
    def test_messages_arrive_octet_for_octet(self, server, postfix, user, message, way):
        sent = postfix.send(message, f"{user}@example.test", way=way)

        assert {f"{user}@example.test": "sent"} == sent.statuses
        assert message == below(server.arrived(user)[0], *TRACE)
        assert {"clear": "ESMTP", "secure": "ESMTPS"}[way] == server.seen(f"{user}@example.test").protocol

    def test_mail_rcpt_and_data_go_in_one_write(self, postfix, user):
        """RFC 2920: Postfix reads no reply before it has sent them all."""
        dialogue = postfix.send(PLAIN, f"{user}@example.test").dialogue

        (first,) = [number for number, line in enumerate(dialogue) if line.startswith("> MAIL FROM:")]
        commands, replies = dialogue[first : first + 3], dialogue[first + 3 : first + 6]
        assert ["> MAIL", "> RCPT", "> DATA"] == [line[:6] for line in commands]
        assert ["< 250", "< 250", "< 354"] == [line[:5] for line in replies]

    def test_a_second_message_goes_on_the_same_connection(self, server, postfix, user):
        postfix.send(PLAIN, f"{user}@example.test", way="cached")

        sent = postfix.send(DOTS, f"{user}b@example.test", way="cached")

        assert "conn_use=2" in sent.log
        assert DOTS == below(server.arrived(f"{user}b")[0], *TRACE)

    def test_more_messages_than_a_connection_may_bring_are_neither_lost_nor_deferred(self, server, postfix, user):
        """Postfix does not know RFC 9422, but asks with RSET whether a connection that it has kept is still good."""
        addresses = [f"{user}-{number}@example.test" for number in range(MAX_MESSAGES + 50)]

        sent = postfix.send_to_each(PLAIN, addresses, "cached")

        assert dict.fromkeys(addresses, "sent") == sent.statuses
        assert f"conn_use={MAX_MESSAGES}," in sent.log
        assert "status=deferred" not in sent.log
        assert [1] * len(addresses) == [len(server.arrived(f"{user}-{number}")) for number in range(len(addresses))]

    def test_fifty_recipients_in_one_transaction(self, server, postfix, user):
        addresses = [f"{user}-{number}@example.test" for number in range(50)]

        sent = postfix.send(PLAIN, *addresses)

        assert dict.fromkeys(addresses, "sent") == sent.statuses
        assert 50 == len(server.seen(addresses[0]).event["recipients"])
        files = [server.arrived(f"{user}-{number}")[0] for number in range(50)]
        assert [PLAIN] * 50 == [below(file, *TRACE) for file in files]

    def test_utf8_addresses_and_headers(self, server, postfix, user):
        """RFC 6531, which Postfix asks for where an address or a field needs it."""
        address = f"{user}-ü@grüße.test"

        sent = postfix.send(INTERNATIONAL, address)

        assert "sent" == sent.results[address].status
        assert INTERNATIONAL == below(server.arrived(f"{user}-ü")[0], *TRACE)
        assert "UTF8SMTP" == server.seen(address).protocol

    def test_dsn_parameters_reach_the_envelope(self, server, postfix, user):
        """RFC 3461 §4: and as we take over, Postfix sends no notice of success itself."""
        options = ["-N", "success,failure", "-V", "an+id=1", "-R", "hdrs"]

        sent = postfix.send(PLAIN, f"{user}@example.test", options=options)

        seen = server.seen(f"{user}@example.test").event
        assert ["HDRS", "an+id=1"] == seen["dsn"]
        assert ["SUCCESS", "FAILURE"] == seen["recipients"][0]["notify"]
        assert f"rfc822;{user}@example.test" == seen["recipients"][0]["orcpt"]
        assert "delivery status notification" not in postfix.log_until_removed(sent.queue_id)


class TestRefused:
    def test_a_refused_recipient_bounces_there_and_the_others_get_it(self, server, postfix, user):
        sent = postfix.send(PLAIN, f"{user}@example.test", "refused@example.test", f"{user}b@example.test")

        bounced = sent.results["refused@example.test"]
        assert ("bounced", "5.1.1") == (bounced.status, bounced.dsn)
        assert "550 5.1.1 No such user" in bounced.said
        assert "sender non-delivery notification" in postfix.log_until_removed(sent.queue_id)
        for name in (user, f"{user}b"):
            assert "sent" == sent.results[f"{name}@example.test"].status
            assert PLAIN == below(server.arrived(name)[0], *TRACE)

    def test_mail_for_a_domain_that_is_not_ours_bounces(self, postfix):
        sent = postfix.send(PLAIN, "bob@elsewhere.test", way="secure")

        bounced = sent.results["bob@elsewhere.test"]
        assert ("bounced", "5.7.1") == (bounced.status, bounced.dsn)


@pytest.mark.skipif(not HAS_SASL, reason="libsasl2-modules not installed")
class TestUsers:
    @pytest.mark.parametrize("way", ["plain", "login", "wrapped"])
    def test_it_authenticates_over_verified_tls(self, server, postfix, user, way):
        """After STARTTLS with either mechanism, and with TLS from the beginning (`smtp_tls_wrappermode`)."""
        sent = postfix.send(PLAIN, f"{user}@example.test", way=way)

        assert {f"{user}@example.test": "sent"} == sent.statuses
        assert PLAIN == below(server.arrived(user)[0], *TRACE)
        seen = server.seen(f"{user}@example.test")
        assert ("ESMTPSA", USER) == (seen.protocol, seen.identity)
        assert "Verified TLS connection established" in sent.log


class TestLmtp:
    """The proxy queue behind this edge relays while Postfix waits, so each recipient has a reply of his own."""

    @pytest.mark.parametrize("way", ["lmtp_tcp", "lmtp_unix"])
    def test_only_the_recipient_that_failed_comes_back(self, server, postfix, user, way):
        one, full, two = f"{user}@example.test", f"{user}@full.test", f"{user}b@example.test"

        sent = postfix.send(DOTS, one, full, two, way=way)

        assert {one: "sent", full: "bounced", two: "sent"} == sent.statuses
        assert "552 5.2.2 Mailbox full" in sent.results[full].said
        assert [DOTS, DOTS] == [below(server.arrived(name)[0], *TRACE) for name in (user, f"{user}b")]
        assert "sender non-delivery notification" in postfix.log_until_removed(sent.queue_id)

    @pytest.mark.parametrize("way", ["lmtp_tcp", "lmtp_unix"])
    def test_only_the_recipient_that_has_to_wait_stays_queued(self, server, postfix, user, way):
        one, busy, two = f"{user}@example.test", f"{user}@busy.test", f"{user}b@example.test"

        sent = postfix.send(PLAIN, one, busy, two, way=way)

        assert {one: "sent", busy: "deferred", two: "sent"} == sent.statuses
        assert "450 4.2.1 Mailbox busy" in sent.results[busy].said
        assert [PLAIN, PLAIN] == [below(server.arrived(name)[0], *TRACE) for name in (user, f"{user}b")]
        postfix.wait_until_queued(sent.queue_id, busy)

    @pytest.mark.parametrize(("way", "protocol"), [("lmtp_tcp", "LMTP"), ("lmtp_tls", "LMTPS"), ("lmtp_unix", "LMTP")])
    def test_a_large_message_arrives_octet_for_octet(self, server, postfix, user, way, protocol):
        sent = postfix.send(TEN_MB, f"{user}@example.test", way=way)

        assert {f"{user}@example.test": "sent"} == sent.statuses
        assert TEN_MB == below(server.arrived(user)[0], *TRACE)
        assert protocol == server.seen(f"{user}@example.test").protocol

    def test_postfix_sends_the_notice_of_success_itself(self, postfix, user):
        """Nobody behind a proxy queue could send it, so that DSN is not offered there."""
        sent = postfix.send(PLAIN, f"{user}@example.test", way="lmtp_tcp", options=["-N", "success"])

        assert "sender delivery status notification" in postfix.log_until_removed(sent.queue_id)
