"""The numbered cases of the session, as real clients see them; and what hostile content costs."""

from __future__ import annotations

import smtplib
import ssl
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from mdacore import Chain, Credentials, Identity, Reply
from mdacore.testing import content_of
from mdacore_edge_smtp import LmtpConfig, SmtpEdge, events
from mdacore_edge_smtp.tls_config import CertificateConfig, TlsConfig

from .tls_files import make_pair

MESSAGE = b"Subject: x\r\n\r\ny\r\n"
NO = Reply(code=550, enhanced="5.2.1", text="Mailbox disabled")
STORED = Reply(code=250, enhanced="2.0.0", text="Stored")


def know_alice(_: object, credentials: Credentials) -> Identity | None:
    is_alice = ("alice", "sesame") == (credentials.authcid, credentials.secret)
    return Identity(name="alice") if is_alice else None


USERS = Chain(auth=(know_alice,))


def in_thread(function: Callable[..., Any], *args: object) -> Any:
    """Python's own client blocks a thread; the edge is in this one."""
    return gevent.get_hub().threadpool.apply(function, args)


def port_of(edge: SmtpEdge) -> int:
    return int(edge.addresses[0].rpartition(":")[2])


class TestUsers:
    @pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
    def test_case_047_pythons_own_client_authenticates_and_sends_anywhere(self, make_edge, handoff, mechanism):
        edge = make_edge(USERS, auth_without_tls=True, require_auth=True, relay_for_authenticated=True)

        def submit() -> None:
            with smtplib.SMTP("127.0.0.1", port_of(edge), timeout=60) as client:
                client.ehlo()
                client.user, client.password = "alice", "sesame"
                client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
                client.sendmail("a@b.example", ["x@elsewhere.test"], MESSAGE)

        in_thread(submit)

        (envelope,) = handoff.envelopes
        assert ("alice", "ESMTPA", "x@elsewhere.test") == (
            envelope.client.identity,
            envelope.client.protocol,
            envelope.recipients[0].address,
        )

    def test_case_047_wrong_passwords_end_the_connection_and_none_is_logged(self, make_edge, connect, log):
        client = connect(make_edge(USERS, auth_without_tls=True, error_delay_s=0)).greet()

        lines = [client.ask(b"AUTH PLAIN AGFsaWNlAGh1bnRlcjI=")[0] for _ in range(3)]

        assert ["535", "535", "421"] == [line[:3] for line in lines]
        assert [] == client.rest()
        assert "hunter2" not in repr(log.events)
        assert "aHVudGVyMg" not in repr(log.events)


class TestUnderTls:
    @pytest.fixture
    def tls_edge(self, make_edge, tmp_path):
        certificate, key = make_pair(tmp_path)
        tls = TlsConfig(certificates=(CertificateConfig(certificate=certificate, key=key),))
        return lambda *args, **config: make_edge(*args, tls=tls, **config)

    @pytest.fixture
    def client_context(self, tmp_path, tls_edge):
        context = ssl.create_default_context(cafile=tmp_path / "mx.crt")
        context.check_hostname = False
        return context

    @pytest.mark.parametrize("is_implicit", [False, True])
    def test_case_046_users_are_asked_for_passwords_under_tls_alone(
        self, tls_edge, client_context, handoff, is_implicit
    ):
        listen = {"listen": (), "listen_tls": ("127.0.0.1:0",)} if is_implicit else {}
        edge = tls_edge(USERS, require_tls=True, require_auth=True, relay_for_authenticated=True, **listen)

        def submit() -> list[int]:
            codes = []
            if is_implicit:
                client = smtplib.SMTP_SSL("127.0.0.1", port_of(edge), context=client_context, timeout=60)
            else:
                client = smtplib.SMTP("127.0.0.1", port_of(edge), timeout=60)
                client.ehlo()
                codes = [client.docmd("AUTH", "PLAIN AGFsaWNlAHNlc2FtZQ==")[0], client.mail("a@b.example")[0]]
                client.starttls(context=client_context)
            with client:
                client.ehlo()
                codes.append(client.mail("a@b.example")[0])
                client.login("alice", "sesame")
                client.sendmail("a@b.example", ["x@elsewhere.test"], MESSAGE)
            return codes

        assert ([530] if is_implicit else [538, 530, 530]) == in_thread(submit)

        client = handoff.envelopes[0].client
        assert ("alice", "ESMTPSA") == (client.identity, client.protocol)

    def test_case_041_what_was_said_in_clear_is_forgotten(self, tls_edge, client_context):
        edge = tls_edge(USERS, auth_without_tls=True)

        def talk() -> list[int]:
            with smtplib.SMTP("127.0.0.1", port_of(edge), timeout=60) as client:
                client.ehlo()
                client.login("alice", "sesame")
                client.mail("a@b.example")
                client.rcpt("r@example.test")
                client.starttls(context=client_context)
                codes = [client.docmd(line)[0] for line in ("RCPT TO:<r@example.test>", "DATA", "MAIL FROM:<a@b.c>")]
                client.ehlo()
                return [*codes, client.docmd("AUTH", "PLAIN AGFsaWNlAHNlc2FtZQ==")[0]]

        assert [503, 503, 503, 235] == in_thread(talk)


class TestGreetings:
    @pytest.mark.parametrize(
        ("address", "goes_to"),
        [("postmaster", "carol@example.test"), ("Postmaster@example.test", "carol@example.test")],
    )
    def test_case_031_every_postmaster_goes_to_the_configured_one(self, make_edge, connect, handoff, address, goes_to):
        client = connect(make_edge(recipients=("bob@example.test",), postmaster="carol@example.test")).greet()

        client.send(f"MAIL FROM:<>\r\nRCPT TO:<{address}>\r\nDATA\r\n".encode())
        client.lines(3)
        client.ask(b".")

        assert goes_to == handoff.envelopes[0].recipients[0].address

    def test_case_036_a_connection_ends_after_its_messages(self, make_edge, connect):
        client = connect(make_edge(max_messages=2)).greet()

        lines = [client.ask(line)[0] for line in [b"MAIL FROM:<>", b"RSET"] * 2 + [b"MAIL FROM:<>"]]

        assert "421 4.7.0" == lines[-1][:9]
        assert [] == client.rest()

    def test_case_050_a_listed_proxy_is_believed_and_nobody_else(self, make_edge, connect, handoff):
        listed, unlisted = make_edge(xclient_from=("127.0.0.0/8",)), make_edge(xclient_from=("192.0.2.1",))
        proxy, liar = connect(listed).greet(), connect(unlisted).greet()

        assert ["220"] == [line[:3] for line in proxy.ask(b"XCLIENT ADDR=198.51.100.9")]
        assert ["550 5.7.0"] == [line[:9] for line in liar.ask(b"XCLIENT ADDR=198.51.100.9")]
        proxy.send(b"EHLO client\r\n")
        proxy.reply()
        proxy.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        proxy.lines(3)
        proxy.ask(b".")

        assert "198.51.100.9" == handoff.envelopes[0].client.ip


class TestLmtp:
    def test_case_038_pythons_own_client_learns_of_each_recipient_over_a_unix_socket(
        self, make_context, handoff, tmp_path
    ):
        handoff.script = [[STORED, NO, STORED]]
        path = tmp_path / "lmtp.sock"
        edge = SmtpEdge(LmtpConfig(listen=(f"unix:{path}",), domains=("example.test",)), make_context())
        edge.bind()
        edge.start()

        def deliver() -> list[bytes]:
            with smtplib.LMTP(str(path)) as client:
                client.ehlo_or_helo_if_needed()
                client.mail("a@b.example")
                for number in range(3):
                    client.rcpt(f"r{number}@example.test")
                client.putcmd("data")
                client.getreply()
                client.send(MESSAGE + b".\r\n")
                return [b"%d %s" % client.getreply() for _ in range(3)]

        with gevent.Timeout(60):
            replies = in_thread(deliver)
            edge.stop()

        assert [str(STORED), str(NO), str(STORED)] == [reply.decode() for reply in replies]
        assert "LMTP" == handoff.envelopes[0].client.protocol


MIB = 1 << 20
BOMBS = {
    "one header of 10 MB": lambda: b"X: " + b"x" * (10 * MIB) + b"\r\n\r\n",
    "one folded header of 10 MB": lambda: b"X: x\r\n" + b" y\r\n" * (10 * MIB // 4) + b"\r\n",
    "100 000 headers": lambda: b"X: x\r\n" * 100_000 + b"\r\n",
    "100 000 nearly Received": lambda: b"Received \r\n" * 100_000 + b"\r\n",
    "spaces after Received": lambda: b"Received" + b" " * MIB + b"\r\n\r\n",
    "10 240 addresses": lambda: b"To: " + b"a@b.example, " * 10_240 + b"c@d.example\r\n\r\n",
    "10 000 parameters": lambda: b"Content-Type: text/plain" + b";\r\n x*0*=utf-8''x" * 10_000 + b"\r\n\r\n",
    "10 000 parts": lambda: b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 10_000,
    "10 000 deep": lambda: b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (depth, depth) for depth in range(10_000)
    ),
    "a boundary of 1 MB": lambda: b"Content-Type: multipart/mixed; boundary=" + b"b" * MIB + b"\r\n\r\n",
}


class TestContent:
    @pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS.keys())
    @pytest.mark.parametrize("is_spooled", [False, True])
    def test_case_053_header_bombs_pass_untouched_and_cost_little(self, make_wire, handoff, tmp_path, make, is_spooled):
        handoff.spool_path = tmp_path if is_spooled else None
        bomb = make()
        wire = make_wire().begin()

        began_at = time.process_time()
        lines = [line for at in range(0, len(bomb), 65_536) for line in wire.send(bomb[at : at + 65_536])]
        lines += wire.send(b".\r\n")
        spent_s = time.process_time() - began_at

        assert ["250 2.0.0 queued as Q"] == lines
        assert handoff.messages[0].endswith(bomb)
        assert spent_s < 2 * max(1, len(bomb) / MIB)

    def test_case_105_twenty_messages_of_25_mb_are_never_held_whole(self, make_wire, handoff, tmp_path):
        """In Python's memory, all at once: at most the threshold and a few pieces each."""
        handoff.spool_path = tmp_path
        wires = [make_wire(max_message_size_bytes=30 * MIB).begin() for _ in range(20)]
        piece = (b"x" * 1022 + b"\r\n") * 64
        tracemalloc.start()
        try:
            for _ in range(25 * MIB // len(piece)):
                for wire in wires:
                    wire.converse(piece)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        for wire in wires:
            wire.session.close()

        assert peak_bytes < 20 * (256 * 1024 + 4 * len(piece))
        assert [] == list(tmp_path.iterdir())


class TestInjection:
    EVIL = "\r\nEvil: 1\x1b[31m\0"

    def test_case_058_what_clients_and_policies_say_stays_one_field(self, make_wire, handoff):
        """Whoever names a user may be as careless as the client."""
        wire = make_wire(Chain(auth=(lambda *_: Identity(name=f"alice{self.EVIL}"),)), auth_without_tls=True)
        wire.greet(b"EHLO $(x)<script>;")
        wire.send(b"AUTH PLAIN AGEAYg==\r\n")
        wire.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        wire.send(MESSAGE + b".\r\n")

        head = handoff.messages[0].removesuffix(MESSAGE)
        assert b"Evil" not in head
        assert 1 == sum(not line.startswith(b"\t") for line in head.splitlines())
        assert handoff.envelopes[0].client.identity.isprintable()

    @pytest.mark.parametrize(
        "field",
        [
            b"Delivered-To: r@example.test",
            b"Return-Path: <evil@b.example>",
            b"X-Spam-Status: NO",
            b"Authentication-Results: mx.example.org; spf=pass",
        ],
    )
    def test_case_058_what_others_wrote_stays_for_those_who_know_it(self, wire, handoff, field):
        """The documented rule: an edge takes out nothing but what was said in its own name."""
        wire.begin().send(field + b"\r\n\r\nx\r\n.\r\n")

        assert handoff.messages[0].endswith(b"+0000\r\n" + field + b"\r\n\r\nx\r\n")

    FORGED = b"Authentication-Results: MX.example.com (us) 1; spf=pass\r\n"
    OTHERS = b"authentication-results :\r\n mx.example.org; spf=fail\r\n"

    def test_case_058_results_in_our_name_are_removed(self, make_wire, handoff, log):
        """RFC 8601 §5; under the Received field, and for validators, there is nothing of them."""
        seen: list[bytes] = []
        wire = make_wire(Chain(message=(lambda _, envelope: seen.append(content_of(envelope)),))).begin()

        wire.send(self.FORGED + self.OTHERS + self.FORGED + b"To: x\r\n\r\n" + self.FORGED + b".\r\n")

        assert handoff.messages[0].endswith(b"+0000\r\n" + self.OTHERS + b"To: x\r\n\r\n" + self.FORGED)
        assert seen == handoff.messages
        (fields,) = log.of(events.EDGE_RESULTS_REMOVED)
        assert 2 == fields["count"]

    @pytest.mark.parametrize("threshold_bytes", [1, 30, 256 * 1024])
    def test_case_058_wherever_the_body_is(self, make_wire, handoff, tmp_path, threshold_bytes):
        handoff.spool_path = tmp_path
        wire = make_wire(spool_threshold_bytes=threshold_bytes).begin()

        wire.send(b"A: 1\r\n" + self.FORGED + b"\r\nx\r\n.\r\n", piece_bytes=10)

        assert handoff.messages[0].endswith(b"+0000\r\nA: 1\r\n\r\nx\r\n")

    @pytest.mark.parametrize(
        ("config", "is_removed"),
        [
            ({}, True),
            ({"hostname": "in.example.com"}, True),
            ({"received": False}, True),
            ({"authserv_ids": ()}, False),
            ({"authserv_ids": ("other.example.com",)}, False),
            ({"authserv_ids": ("other.example.com", "mx.example.com")}, True),
            ({"kind": LmtpConfig}, False),
            ({"kind": LmtpConfig, "authserv_ids": ("mx.example.com",)}, True),
        ],
    )
    def test_case_058_which_names_are_ours_is_configuration(self, make_wire, handoff, config, is_removed):
        """By default the service's and the edge's; over LMTP none: a server of ours speaks there."""
        wire = make_wire(**config)
        wire.send(b"LHLO c\r\n" if "kind" in config else b"EHLO c\r\n")
        wire.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")

        wire.send(self.FORGED + b"\r\nx\r\n.\r\n")

        assert (self.FORGED not in handoff.messages[0]) is is_removed

    def test_case_058_a_header_too_large_to_look_through_is_refused(self, make_wire, handoff, log, tmp_path):
        handoff.spool_path = tmp_path
        wire = make_wire().begin()

        lines = wire.send(b"X: " + b"x" * 2 * MIB + b"\r\n" + self.FORGED + b"\r\n.\r\n", piece_bytes=65_536)

        assert ["554 5.6.0 Header too large"] == lines
        assert ([], []) == (handoff.envelopes, list(tmp_path.iterdir()))
        assert ["554 5.6.0 Header too large"] == [each["reply"] for each in log.of(events.EDGE_MESSAGE_REJECTED)]

    @pytest.mark.parametrize("config", [{}, {"received": False}])
    def test_case_058_a_claim_that_only_some_readers_find_is_refused(self, make_wire, handoff, log, config):
        """Below a line that is no field, where the header ends for us, and goes on for Dovecot."""
        wire = make_wire(**config).begin()

        lines = wire.send(b"A: 1\r\ngarbage\r\n" + self.FORGED + b"\r\nx\r\n.\r\n")

        assert ["554 5.6.0 A line of the header is no field"] == lines
        assert [] == handoff.envelopes
        assert lines == [each["reply"] for each in log.of(events.EDGE_MESSAGE_REJECTED)]
        assert [] == log.of(events.EDGE_RESULTS_REMOVED)

    def test_case_059_whatever_is_logged_is_one_line_of_json(self, make_wire, log):
        wire = make_wire(USERS, auth_without_tls=True, max_errors=1000)
        for line in (
            b"EHLO a\x1b[31mb",
            b"EHLO \xff\xfe",
            b"EHLO $(x)\"'",
            b"AUTH PLAIN AGEbWzMxbQ0KYgBj",
            b'MAIL FROM:<"a\x1b"@b.example>',
            b'MAIL FROM:<"a\\\x7f"@b.example>',
            "MAIL FROM:<a\u202e@b.example> SMTPUTF8".encode(),
            b'MAIL FROM:<"{}\\""@b.example>',
            b'RCPT TO:<"a\\"b\'{}"@elsewhere.test>',
            b"RCPT TO:<" + b"r" * 1900 + b"@elsewhere.test>",
        ):
            wire.send(line + b"\r\n")
        wire.send(b"QUIT\r\n")

        assert log.of(events.EDGE_RCPT_REJECTED)
        assert log.of(events.EDGE_AUTH_FAILED)
        texts = [text for event in log.events for text in event.fields.values() if isinstance(text, str)]
        assert [] == [text for text in texts if not text.isprintable()]
