"""nodemailer, from npm: what most programs in JavaScript send mail with."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from .messages import DOTS, PLAIN, SMALL
from .programs import NODE_MODULES, run
from .server import HOSTNAME, OURS, PASSWORD, USER, below

pytestmark = [
    pytest.mark.needs("node", "openssl"),
    pytest.mark.skipif(not NODE_MODULES.is_dir(), reason="nodemailer is not there: ./test fetches it"),
]

PROGRAM = Path(__file__).parent / "nodemailer" / "send.js"


@pytest.fixture
def send(server):
    """Send these messages to an edge, all at once; returns what was sent, and what became of each."""

    def send(messages, *, edge="mx", **transport):
        transport = {
            "host": "127.0.0.1",
            "port": server.port(edge),
            "name": "client.example.org",
            "tls": {"ca": server.certificate.read_text(), "servername": HOSTNAME},
            **transport,
        }
        asked = json.dumps({"transport": transport, "messages": messages}).encode()
        environment = {**os.environ, "NODE_PATH": str(NODE_MODULES)}
        status, said = run("node", PROGRAM, stdin=asked, environment=environment)
        assert 0 == status, said
        return [Sent(one) for one in json.loads(said)]

    return send


class Sent:
    """One message as nodemailer wrote it, with LF at its ends of lines, and what it was told."""

    def __init__(self, fields):
        self.message = base64.b64decode(fields["raw"]).replace(b"\r\n", b"\n")
        self.info = fields.get("info", {})
        self.error = fields.get("error", {})


def mail(*users, message=PLAIN, **envelope):
    """A message that is sent as it is."""
    to = [user if "@" in user else f"{user}@example.test" for user in users]
    return {"mail": {"raw": base64.b64encode(message).decode()}, "envelope": {"from": USER, "to": to, **envelope}}


class TestMessages:
    def test_messages_on_one_pooled_connection_arrive_octet_for_octet(self, server, send, user):
        """`pool` and one connection: they go through the same session one after the other."""
        messages = [*SMALL.values()] * 3

        sent = send([mail(user, message=message) for message in messages], pool=True, maxConnections=1)

        assert [f"{user}@example.test"] * 12 == [address for one in sent for address in one.info["accepted"]]
        assert sorted(messages) == sorted(below(file, *OURS) for file in server.arrived(user, 12))
        assert 1 == len({seen.event["session_id"] for seen in server.all_seen(f"{user}@example.test", 12)})

    def test_attachments_and_html_as_nodemailer_builds_them(self, server, send, user):
        attachments = [{"filename": f"größe{number}.bin", "content": "A" * 70_000} for number in range(3)]
        parts = {"text": ".\nGrüße\n", "html": "<p>Grüße</p>", "attachments": attachments}
        addressed = {"from": USER, "to": f"{user}@example.test", "subject": "Grüße"}

        (sent,) = send([{"mail": {**addressed, **parts}}])

        assert sent.message == below(server.arrived(user)[0], *OURS)
        assert 3 * 70_000 < len(sent.message)

    def test_utf8_addresses_are_sent_with_smtputf8(self, server, send, user):
        """RFC 6531."""
        address = f"{user}-ü@grüße.test"

        (sent,) = send([mail(address)])

        assert [f"{user}-ü@xn--gre-6ka8l.test"] == sent.info["accepted"]
        assert PLAIN == below(server.arrived(f"{user}-ü")[0], *OURS)

    def test_dsn_parameters_reach_the_envelope(self, server, send, user):
        """RFC 3461."""
        wishes = {"id": "a+b=c", "return": "headers", "notify": ["failure", "delay"], "recipient": "rfc822;x@y.test"}

        send([{**mail(user), "mail": {**mail(user)["mail"], "dsn": wishes}}])

        seen = server.seen(f"{user}@example.test").event
        assert ["HDRS", "a+b=c"] == seen["dsn"]
        assert ["FAILURE", "DELAY"] == seen["recipients"][0]["notify"]

    def test_a_refused_recipient_is_told_and_the_others_get_it(self, server, send, user):
        (sent,) = send([mail("refused", user)])

        assert [f"{user}@example.test"] == sent.info["accepted"]
        assert [550] == [error["responseCode"] for error in sent.info["rejectedErrors"]]
        assert PLAIN == below(server.arrived(user)[0], *OURS)


class TestSecurity:
    @pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
    @pytest.mark.parametrize(("edge", "secure"), [("mx", False), ("submissions", True)])
    def test_users_send_over_tls(self, server, send, user, method, edge, secure):
        """STARTTLS, and TLS from the beginning."""
        login = {"user": USER, "pass": PASSWORD}

        send([mail(user)], edge=edge, secure=secure, requireTLS=True, auth=login, authMethod=method)

        assert PLAIN == below(server.arrived(user)[0], *OURS)
        seen = server.seen(f"{user}@example.test")
        assert ("ESMTPSA", USER) == (seen.protocol, seen.identity)

    def test_a_wrong_password_sends_nothing(self, server, send, user):
        (sent,) = send([mail(user)], requireTLS=True, auth={"user": USER, "pass": "wrong"})

        assert ("EAUTH", 535) == (sent.error["code"], sent.error["responseCode"])
        assert server.has_nothing_for(user)


class TestLmtp:
    def test_a_message_over_lmtp(self, server, send, user):
        send([mail(user, message=DOTS)], edge="lmtp", lmtp=True, ignoreTLS=True)

        assert DOTS == below(server.arrived(user)[0], *OURS)
        assert "LMTP" == server.seen(f"{user}@example.test").protocol

    def test_each_recipient_has_his_own_reply(self, server, send, user):
        """RFC 2033 §4.2: one of three fails after the message, and only he is told so."""
        (sent,) = send([mail(user, "x@full.test", f"{user}b")], edge="lmtp", lmtp=True, ignoreTLS=True)

        assert [f"{user}@example.test", f"{user}b@example.test"] == sent.info["accepted"]
        assert ["x@full.test"] == sent.info["rejected"]
        assert PLAIN == below(server.arrived(f"{user}b")[0], *OURS)
