"""TLS on real sockets: STARTTLS and implicit, deadlines, failures, reloads, and sessions beside each other."""

from __future__ import annotations

import functools
import os
import shutil
import smtplib
import struct
from pathlib import Path

import attrs
import gevent
import pytest
from gevent import socket, ssl

from mdacore import Chain, Reply, Status
from mdacore_edge_smtp import events
from mdacore_edge_smtp.tls_config import CertificateConfig, TlsConfig

from .test_client_hello import HELLO
from .tls_files import make_pair, names_of, trusting
from .waiting import settle, wait_for

MESSAGE = b"Subject: x\r\n\r\ny\r\n.\r\n"


@pytest.fixture(scope="module")
def made_pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def pair(made_pair, tmp_path):
    """Files of its own, for tests that change them."""
    return tuple(Path(shutil.copy(path, tmp_path)) for path in made_pair)


@pytest.fixture
def make_tls_edge(make_edge, pair):
    def make(**config):
        tls = TlsConfig(certificates=(CertificateConfig(certificate=pair[0], key=pair[1]),))
        return make_edge(**{"tls": tls, **config})

    return make


@pytest.fixture
def encrypt(made_pair):
    """Gives a client TLS, as a client does that wants the certificate of the tests; closes it with the test."""
    encrypted = []

    def encrypt(client, name: str = "mx.example.com", context: ssl.SSLContext | None = None, **options):
        context = context or trusting(made_pair[0])
        encrypted.append(context.wrap_socket(client.sock, server_hostname=name, **options))
        return attrs.evolve(client, sock=encrypted[-1])

    yield encrypt
    for sock in encrypted:
        sock.close()


@pytest.fixture
def start_tls(encrypt):
    def start_tls(client, **options):
        client.greet()
        assert ["220"] == [line[:3] for line in client.ask(b"STARTTLS")]
        return encrypt(client, **options)

    return start_tls


def ehlo(client) -> list[str]:
    client.send(b"EHLO client.example.org\r\n")
    return [line[4:] for line in client.reply()]


def closed(log) -> list[dict[str, object]]:
    wait_for(lambda: log.of(events.EDGE_SESSION_CLOSED))
    return log.of(events.EDGE_SESSION_CLOSED)


class TestStartTls:
    def test_a_message_goes_through_it(self, make_tls_edge, connect, start_tls, handoff, log):
        client = start_tls(connect(make_tls_edge()))
        ehlo(client)
        client.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        client.lines(3)

        client.send(MESSAGE)

        assert ["250 2.0.0 queued as Q"] == client.lines(1)
        assert "ESMTPS" == handoff.envelopes[0].client.protocol
        client.ask(b"QUIT")
        assert "TLSv1.3" == closed(log)[0]["tls"]

    def test_it_is_offered_in_clear_and_not_under_tls(self, make_tls_edge, connect, start_tls):
        client = connect(make_tls_edge())
        client.lines(1)

        assert "STARTTLS" in ehlo(client)
        client.ask(b"RSET")
        client.send(b"STARTTLS\r\n")
        client.lines(1)

    def test_case_042_twice_is_refused(self, make_tls_edge, connect, start_tls):
        client = start_tls(connect(make_tls_edge()))

        assert "STARTTLS" not in ehlo(client)
        assert "503" == client.ask(b"STARTTLS")[0][:3]

    def test_case_042_without_certificates_there_is_none(self, make_edge, connect):
        client = connect(make_edge()).greet()

        assert client.ask(b"STARTTLS")[0][:3] in ("454", "502")

    def test_case_040_what_was_sent_behind_it_in_clear_is_never_obeyed(self, make_tls_edge, connect, log):
        client = connect(make_tls_edge()).greet()

        client.send(b"STARTTLS\r\nNOOP\r\n")

        assert ["554"] == [line[:3] for line in client.rest()]

    def test_case_040_nor_what_comes_in_clear_after_the_220(self, make_tls_edge, connect, log, handoff):
        client = connect(make_tls_edge()).greet()
        client.ask(b"STARTTLS")

        client.send(b"NOOP\r\n")

        assert b"250" not in client.sock.recv(1000)
        assert closed(log)[0]["reason"].startswith("connection lost: TLS: ")

    def test_case_041_all_that_was_said_in_clear_is_forgotten(self, make_tls_edge, connect, encrypt):
        client = connect(make_tls_edge()).greet()
        client.ask(b"MAIL FROM:<a@example.org>")
        client.ask(b"STARTTLS")
        client = encrypt(client)

        assert "503" == client.ask(b"RCPT TO:<r@example.test>")[0][:3]
        assert "503" == client.ask(b"MAIL FROM:<a@example.org>")[0][:3]

    def test_case_046_require_tls_refuses_mail_in_clear(self, make_tls_edge, connect, start_tls):
        edge = make_tls_edge(require_tls=True)

        assert ["530 5.7.0"] == [line[:9] for line in connect(edge).greet().ask(b"MAIL FROM:<>")]
        client = start_tls(connect(edge))
        ehlo(client)
        assert "250" == client.ask(b"MAIL FROM:<>")[0][:3]

    def test_commands_right_behind_the_handshake_are_answered(self, make_tls_edge, connect, start_tls):
        client = start_tls(connect(make_tls_edge()), do_handshake_on_connect=False)

        client.sock.do_handshake()
        client.send(b"EHLO client\r\n")

        assert client.reply()[-1].startswith("250 ")

    def test_a_large_message_arrives_as_it_was(self, make_tls_edge, connect, start_tls, handoff):
        client = start_tls(connect(make_tls_edge()))
        ehlo(client)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        client.lines(3)
        body = b"".join(b"%074d..\r\n" % number for number in range(20_000))

        client.send(body + b".\r\n")

        assert "250" == client.lines(1)[0][:3]
        assert [body] == handoff.bodies

    def test_replies_that_a_client_is_slow_to_read_arrive_whole(self, make_tls_edge, connect, start_tls):
        client = start_tls(connect(make_tls_edge(max_idle_commands=10_000_000)))
        ehlo(client)

        writing = gevent.spawn(client.send, b"HELP\r\n" * 20_000)
        lines = client.lines(20_000)

        writing.join()
        assert 20_000 == len(lines)
        assert {"214"} == {line[:3] for line in lines}

    def test_smtplib_is_understood(self, make_tls_edge, handoff, made_pair):
        host, _, port = make_tls_edge().addresses[0].rpartition(":")

        def send() -> None:
            with smtplib.SMTP(host, int(port), timeout=60) as client:
                client.starttls(context=trusting(made_pair[0]))
                client.sendmail("a@example.org", ["r@example.test"], "Subject: x\n\ny\n")

        gevent.get_hub().threadpool.apply(send)

        assert [b"Subject: x\r\n\r\ny\r\n"] == handoff.bodies


class TestImplicit:
    @pytest.fixture
    def edge(self, make_tls_edge):
        return make_tls_edge(listen=(), listen_tls=("127.0.0.1:0",))

    def test_the_greeting_comes_under_tls(self, edge, connect, encrypt):
        client = encrypt(connect(edge))

        assert "220" == client.lines(1)[0][:3]
        assert "STARTTLS" not in ehlo(client)
        assert "503" == client.ask(b"STARTTLS")[0][:3]

    def test_require_tls_is_content(self, make_tls_edge, connect, encrypt):
        client = encrypt(connect(make_tls_edge(listen=(), listen_tls=("127.0.0.1:0",), require_tls=True)))
        client.lines(1)
        ehlo(client)

        assert "250" == client.ask(b"MAIL FROM:<>")[0][:3]

    def test_both_kinds_of_addresses_are_listened_on(self, make_tls_edge, connect, encrypt):
        edge = make_tls_edge(listen_tls=("127.0.0.1:0",))
        in_clear, under_tls = edge.addresses

        assert "220" == connect(edge, in_clear).lines(1)[0][:3]
        assert "220" == encrypt(connect(edge, under_tls)).lines(1)[0][:3]

    def test_a_client_that_speaks_in_clear_is_told_nothing_in_clear(self, edge, connect, log):
        client = connect(edge)

        client.send(b"EHLO client\r\n")

        assert client.sock.recv(1000)[:1] in (b"", b"\x15")
        assert closed(log)[0]["reason"].startswith("connection lost: TLS: ")
        assert [] == [line for line in log.lines if line[0] in ("error", "warning")]

    def test_one_too_many_is_told_nothing_in_clear(self, make_tls_edge, connect):
        edge = make_tls_edge(listen=(), listen_tls=("127.0.0.1:0",), max_sessions=1)
        connect(edge)
        settle()

        assert b"" == connect(edge).sock.recv(1000)


class TestFailures:
    """Case 43: a bad handshake costs its own session, and nothing else."""

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x16",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 20,
        ],
    )
    def test_case_043_a_stalled_handshake_is_closed_at_its_deadline(
        self, make_tls_edge, connect, clock, log, data, start_tls
    ):
        edge = make_tls_edge()
        good = connect(edge).greet()
        bad = connect(edge).greet()
        bad.ask(b"STARTTLS")
        bad.send(data)
        settle()

        clock.advance(31)

        assert b"" == bad.sock.recv(1000)
        assert "timeout" == closed(log)[0]["reason"]
        assert ["250 2.0.0 Ok"] == good.ask(b"NOOP")

    def test_case_043_octets_that_trickle_in_do_not_prolong_it(self, make_tls_edge, connect, clock, log):
        bad = connect(make_tls_edge()).greet()
        bad.ask(b"STARTTLS")

        for octet in b"\x16\x03\x01\x02\x00\x01\x00":
            bad.send(bytes([octet]))
            clock.advance(5)
            settle()

        assert "timeout" == closed(log)[0]["reason"]

    def test_case_043_garbage_is_closed_at_once_with_one_line_and_no_traceback(self, make_tls_edge, connect, log):
        edge = make_tls_edge()
        good, bad = connect(edge).greet(), connect(edge).greet()
        bad.ask(b"STARTTLS")

        bad.send(b"\x16\x03\x01\x00\x05hello")

        bad.sock.recv(1000)
        assert 1 == len(closed(log))
        assert [] == [line for line in log.lines if line[0] in ("error", "warning")]
        assert ["250 2.0.0 Ok"] == good.ask(b"NOOP")
        assert 1 == edge.health().facts["sessions"]

    def test_case_043_a_client_that_refuses_our_certificate_costs_its_own_session(
        self, make_tls_edge, connect, start_tls, log
    ):
        edge = make_tls_edge()
        good, bad = connect(edge).greet(), connect(edge)

        with pytest.raises(ssl.SSLCertVerificationError):
            start_tls(bad, context=trusting())

        assert "connection lost: TLS: tlsv1 alert unknown ca" == closed(log)[0]["reason"]
        assert ["250 2.0.0 Ok"] == good.ask(b"NOOP")

    def test_a_name_that_is_not_ascii_prints_nothing(self, make_tls_edge, connect, log, capfd):
        edge = make_tls_edge(listen=(), listen_tls=("127.0.0.1:0",))

        client = connect(edge)
        client.send(HELLO.replace(b"mx.example", b"\xffx.example"))
        assert b"\x16" == client.sock.recv(1)
        client.sock.close()

        assert "" == capfd.readouterr().err

    def test_a_validator_may_refuse_a_session_after_its_handshake(self, make_edge, connect, start_tls, pair):
        refusal = Reply(code=421, enhanced="4.7.0", text="Not with this cipher")
        tls = TlsConfig(certificates=(CertificateConfig(certificate=pair[0], key=pair[1]),))

        client = start_tls(connect(make_edge(Chain(tls=(lambda session: refusal,)), tls=tls)))

        assert ["421 4.7.0 Not with this cipher"] == client.rest()


class TestEnds:
    def test_case_017_a_cut_without_goodbye_in_a_message_queues_nothing(
        self, make_tls_edge, connect, start_tls, handoff, log
    ):
        client = start_tls(connect(make_tls_edge()))
        ehlo(client)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        client.lines(3)
        client.send(b"Subject: x\r\n")

        client.sock.close()

        assert "client left" == closed(log)[0]["reason"]
        assert [] == handoff.envelopes
        assert [] == [line for line in log.lines if line[0] in ("error", "warning")]

    @pytest.mark.parametrize("command", [b"DATA\r\n", b"BDAT 100\r\nabc"])
    def test_case_017_after_a_goodbye_in_a_message_a_clear_octet_ends_it(
        self, make_tls_edge, connect, start_tls, handoff, log, command
    ):
        client = start_tls(connect(make_tls_edge()))
        ehlo(client)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\n" + command)
        client.lines(2 + command.startswith(b"DATA"))
        raw = socket.socket(fileno=os.dup(client.sock.fileno()))

        with raw:
            client.sock.setblocking(False)
            with pytest.raises((ssl.SSLWantReadError, BlockingIOError)):
                client.sock.unwrap()
            raw.sendall(b".")
            assert "client left" == closed(log)[0]["reason"]
        assert [] == handoff.envelopes

    def test_case_017_a_reset_in_the_handshake_leaves_nothing(self, make_tls_edge, connect, log):
        client = connect(make_tls_edge()).greet()
        client.ask(b"STARTTLS")
        client.send(b"\x16\x03\x01")
        settle()

        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sock.close()

        assert 1 == len(closed(log))
        assert [] == [line for line in log.lines if line[0] in ("error", "warning")]

    @pytest.mark.parametrize("last", [b"QUIT\r\n", b"x" * 5000])
    def test_our_last_words_and_goodbye_reach_the_client(self, make_tls_edge, connect, start_tls, last):
        client = start_tls(connect(make_tls_edge()), suppress_ragged_eofs=False)
        ehlo(client)

        client.send(last)

        assert 1 == len(client.rest())

    @pytest.mark.parametrize("is_established", [True, False])
    def test_case_039_shutdown_tells_those_under_tls_and_cuts_those_in_a_handshake(
        self, make_tls_edge, connect, start_tls, is_established
    ):
        edge = make_tls_edge()
        client = connect(edge)
        if is_established:
            client = start_tls(client)
        else:
            client.greet()
            client.ask(b"STARTTLS")
        settle()

        draining = gevent.spawn(edge.drain, 60)

        last = ["421 4.3.2 Service shutting down, closing connection"]
        assert (last if is_established else []) == client.rest()
        client.sock.close()
        assert draining.get() is True

    def test_case_103_a_trickling_message_under_tls_is_given_up(
        self, make_tls_edge, connect, start_tls, clock, handoff
    ):
        client = start_tls(connect(make_tls_edge()))
        ehlo(client)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        client.lines(3)

        for _ in range(32):
            client.send(b"x")
            clock.advance(10)
            settle()

        assert ["421 4.4.2 Timeout, closing connection"] == client.rest()
        assert [] == handoff.envelopes


class TestCertificates:
    def test_several_names_have_their_certificates(self, make_edge, connect, start_tls, tmp_path):
        pairs = [make_pair(tmp_path, f"{name}.example.com", stem=name) for name in ("one", "two")]
        tls = TlsConfig(certificates=tuple(CertificateConfig(certificate=crt, key=key) for crt, key in pairs))
        edge, context = make_edge(tls=tls), trusting(*(crt for crt, _ in pairs))

        shown = {
            name: names_of(start_tls(connect(edge), name=name, context=context).sock)
            for name in ("one.example.com", "two.example.com", "three.example.com")
        }

        assert {
            "one.example.com": ["one.example.com"],
            "two.example.com": ["two.example.com"],
            "three.example.com": ["one.example.com"],
        } == shown

    def test_case_045_a_changed_pair_is_shown_to_new_sessions_and_old_ones_go_on(
        self, make_tls_edge, connect, start_tls, pair, clock, log, tmp_path
    ):
        edge = make_tls_edge()
        old = start_tls(connect(edge))
        ehlo(old)
        certificate, _ = make_pair(tmp_path, "new.example.com")

        clock.advance(61)
        wait_for(lambda: log.of(events.EDGE_CERTIFICATES_RELOADED))

        assert "250" == old.ask(b"MAIL FROM:<>")[0][:3]
        new = start_tls(connect(edge), name="new.example.com", context=trusting(certificate))
        assert ["new.example.com"] == names_of(new.sock)

    def test_case_045_a_bad_pair_is_logged_shown_in_health_and_never_used(
        self, make_tls_edge, connect, start_tls, pair, clock, log, tmp_path
    ):
        edge = make_tls_edge()
        pair[1].write_text("half-written")
        settle()

        clock.advance(61)
        wait_for(lambda: log.of(events.EDGE_CERTIFICATES_REFUSED))

        assert Status.DEGRADED is edge.health().status
        assert ["mx.example.com"] == names_of(start_tls(connect(edge)).sock)
        assert not any("half-written" in str(line) for line in log.lines)

    def test_case_045_an_edge_with_a_bad_pair_does_not_bind(self, make_tls_edge, pair):
        pair[1].write_text("half-written")

        with pytest.raises(ValueError, match="not in PEM"):
            make_tls_edge()

    def test_case_044_a_ticket_of_one_edge_is_worth_nothing_at_another(
        self, make_tls_edge, connect, start_tls, made_pair
    ):
        one, other = make_tls_edge(), make_tls_edge()
        context = trusting(made_pair[0])
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # a ticket comes with the handshake
        session = start_tls(connect(one), context=context).sock.session

        resume = functools.partial(start_tls, context=context, session=session)

        assert resume(connect(one)).sock.session_reused
        assert not resume(connect(other)).sock.session_reused
