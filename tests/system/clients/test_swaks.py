"""swaks, the tool with which operators try their servers."""

from __future__ import annotations

import re

import pytest

from .messages import DOTS, PLAIN, SMALL
from .programs import run
from .server import OURS, PASSWORD, USER, below

pytestmark = pytest.mark.needs("openssl", "swaks")

AUTH_FAILED = 28
"""swaks(1), EXIT CODES."""


@pytest.fixture
def swaks(server):
    """Send a message; returns the exit status and the dialogue."""

    def swaks(*options, edge="mx", message=PLAIN):
        # The message is taken as it is, so that its end is ours to write.
        data = ["--no-data-fixup", "--data", "-"]
        trusted = ["--tls-verify", "--tls-ca-path", server.certificate]
        address = server.address(edge)
        where = ["--socket", address[5:]] if address.startswith("unix:") else ["--server", address]
        command = ["swaks", *where, "--from", "alice@example.org", "--timeout", "20s"]
        content = message.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n") + b".\r\n"
        return run(*command, *trusted, *data, *options, stdin=content)

    return swaks


def users(mechanism):
    return ["--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD]


def proxy_header(version, ip):
    """The options for a header about a connection from `ip`, to another address of its family."""
    number = "6" if ":" in ip else "4"
    kinds = {1: [f"TCP{number}"], 2: ["AF_INET6" if ":" in ip else "AF_INET", "--proxy-protocol", "STREAM"]}
    to = ["--proxy-dest", ip[:-1] + "1", "--proxy-dest-port", "25"]
    return [
        "--proxy-version",
        version,
        "--proxy-family",
        *kinds[version],
        "--proxy-source",
        ip,
        "--proxy-source-port",
        "4711",
        *to,
    ]


class TestMessages:
    @pytest.mark.parametrize("message", SMALL.values(), ids=SMALL)
    @pytest.mark.parametrize("is_pipelined", [False, True], ids=["waiting", "pipelined"])
    def test_messages_arrive_octet_for_octet(self, server, swaks, user, is_pipelined, message):
        """RFC 2920 changes when things are said, never what."""
        options = ["--pipeline"] if is_pipelined else []

        status, dialogue = swaks("--to", f"{user}@example.test", *options, message=message)

        assert 0 == status, dialogue
        assert is_pipelined == bool(re.search(r"\n -> MAIL.*\n -> RCPT.*\n -> DATA\n", dialogue))
        assert message == below(server.arrived(user)[0], *OURS)


class TestSecurity:
    @pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
    @pytest.mark.parametrize(("edge", "tls"), [("mx", "--tls"), ("submissions", "--tls-on-connect")])
    @pytest.mark.parametrize("options", [[], ["--pipeline"]], ids=["waiting", "pipelined"])
    def test_users_send_over_tls(self, server, swaks, user, mechanism, edge, tls, options):
        status, dialogue = swaks("--to", f"{user}@example.test", tls, *users(mechanism), *options, edge=edge)

        assert 0 == status, dialogue
        assert PLAIN == below(server.arrived(user)[0], *OURS)
        seen = server.seen(f"{user}@example.test")
        assert ("ESMTPSA", USER) == (seen.protocol, seen.identity)

    @pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
    def test_a_wrong_password_is_535(self, server, swaks, user, mechanism):
        wrong = [*users(mechanism)[:-1], "wrong"]

        status, dialogue = swaks("--to", f"{user}@example.test", "--tls", *wrong)

        assert AUTH_FAILED == status, dialogue
        assert "<~* 535 5.7.8" in dialogue
        assert server.has_nothing_for(user)


class TestProxies:
    @pytest.mark.parametrize(("edge", "tls"), [("behind", []), ("behind_tls", ["--tls-on-connect"])])
    @pytest.mark.parametrize("ip", ["192.0.2.7", "2001:db8::7"])
    @pytest.mark.parametrize("version", [1, 2])
    def test_the_proxy_protocol_says_who_the_client_is(self, server, swaks, user, version, ip, edge, tls):
        """Before anything else, TLS too."""
        status, dialogue = swaks("--to", f"{user}@example.test", *proxy_header(version, ip), *tls, edge=edge)

        assert 0 == status, dialogue
        assert PLAIN == below(server.arrived(user)[0], *OURS)
        assert ip == server.seen(f"{user}@example.test").event["client"]["ip"]

    def test_xclient_says_who_the_client_is(self, server, swaks, user):
        facts = ["--xclient-addr", "192.0.2.8", "--xclient-name", "proxied.example", "--xclient-login", "carol"]

        status, dialogue = swaks("--to", f"{user}@example.test", *facts, edge="trusting")

        assert 0 == status, dialogue
        assert PLAIN == below(server.arrived(user)[0], *OURS)
        client = server.seen(f"{user}@example.test").event["client"]
        assert ("192.0.2.8", "proxied.example", "carol") == (client["ip"], client["host"], client["identity"])


class TestLmtp:
    @pytest.mark.parametrize("edge", ["lmtp", "lmtp_unix"])
    def test_a_message_over_lmtp(self, server, swaks, user, edge):
        """Over TCP and over a UNIX socket."""
        status, dialogue = swaks("--to", f"{user}@example.test", "--protocol", "LMTP", edge=edge, message=DOTS)

        assert 0 == status, dialogue
        assert DOTS == below(server.arrived(user)[0], *OURS)
