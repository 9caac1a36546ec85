"""Who gets in, on real sockets: proxies and their clients, caps, rates, and no descriptors left."""

from __future__ import annotations

import contextlib
import gc
import socket as standard_socket
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import attrs
import gevent
import pytest
from gevent import socket

from mdacore_edge_smtp import LmtpConfig, SmtpEdge, events
from mdacore_edge_smtp import edge as edge_module
from mdacore_edge_smtp.proxy_header import SIGNATURE
from mdacore_edge_smtp.tls_config import CertificateConfig, TlsConfig

from .tls_files import make_pair, trusting
from .waiting import PATIENCE_S, settle, wait_for

MESSAGE = b"Subject: x\r\n\r\ny\r\n.\r\n"
HEADER = b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 25\r\n"
V2_LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
V2_UNIX = SIGNATURE + b"\x21\x31\x00\xd8" + b"\0" * 216
V2_MAPPED = SIGNATURE + b"\x21\x21\x00\x24" + b"\0" * 10 + b"\xff\xff\xc6\x33\x64\x07" + b"\0" * 16 + b"\0" * 4


@pytest.fixture
def make_proxied(make_edge):
    def make(**config):
        return make_edge(**{"proxy_protocol_from": ("127.0.0.0/8",), **config})

    return make


def behind(client, ip: str):
    """The client of a proxy, once it is greeted."""
    client.send(HEADER.replace(b"198.51.100.7", ip.encode()))
    return client


def said_to(client: standard_socket.socket) -> bytes:
    with contextlib.suppress(ConnectionResetError):
        return client.recv(1000)
    return b""


class TestProxied:
    @pytest.mark.parametrize(
        ("header", "ip"),
        [
            (HEADER, "198.51.100.7"),
            (HEADER.replace(b"40000", b"0"), "198.51.100.7"),
            (V2_MAPPED, "198.51.100.7"),
            (V2_LOCAL, "127.0.0.1"),
            (V2_UNIX, "127.0.0.1"),
            (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        ],
    )
    @pytest.mark.parametrize("piece_bytes", [1, 1000])
    def test_case_049_the_client_is_who_the_proxy_says(self, make_proxied, connect, handoff, header, ip, piece_bytes):
        client = connect(make_proxied())
        for start in range(0, len(header), piece_bytes):
            client.send(header[start : start + piece_bytes])
            gevent.idle()
        client.begin()

        client.send(MESSAGE)
        client.lines(1)

        assert ip == handoff.envelopes[0].client.ip

    def test_case_049_the_greeting_waits_for_the_header(self, make_proxied, connect):
        client = connect(make_proxied())
        settle()
        client.sock.setblocking(False)

        with pytest.raises(BlockingIOError):
            client.sock.recv(100)

        client.sock.setblocking(True)
        client.send(HEADER)
        assert "220" == client.lines(1)[0][:3]

    def test_case_049_what_follows_the_header_at_once_is_the_clients_and_is_not_lost(self, make_proxied, connect):
        client = connect(make_proxied(strict_synchronization=False))

        client.send(HEADER + b"EHLO client\r\n")

        assert "220" == client.lines(1)[0][:3]
        assert client.reply()[-1].startswith("250 ")

    def test_case_049_a_handshake_comes_after_the_header(self, make_proxied, connect, handoff, tmp_path):
        certificate, key = make_pair(tmp_path)
        tls = TlsConfig(certificates=(CertificateConfig(certificate=certificate, key=key),))
        client = connect(make_proxied(listen=(), listen_tls=("127.0.0.1:0",), tls=tls))
        client.send(HEADER)

        with trusting(certificate).wrap_socket(client.sock, server_hostname="mx.example.com") as sock:
            client = attrs.evolve(client, sock=sock).begin()
            client.send(MESSAGE)
            client.lines(1)

        assert "198.51.100.7" == handoff.envelopes[0].client.ip

    @pytest.mark.parametrize("data", [b"EHLO client\r\n", b"PROXY TCP4 x\r\n", SIGNATURE + b"\x21\x11\x00\x01x"])
    def test_case_049_anything_else_is_closed_without_a_word(self, make_proxied, connect, log, data):
        client = connect(make_proxied())

        client.send(data)

        assert b"" == said_to(client.sock)
        assert 1 == len(log.of(events.EDGE_PROXY_REFUSED))

    @pytest.mark.parametrize("data", [b"", b"PROXY TC", SIGNATURE + b"\x21\x11\x0f\x00xxx"])
    def test_case_049_without_a_whole_header_it_is_closed_in_time(self, make_proxied, connect, data):
        client = connect(make_proxied(proxy_timeout_s=0.05))
        client.send(data)

        assert b"" == said_to(client.sock)

    def test_case_049_one_that_is_waited_for_is_closed_with_the_edge(self, make_proxied, connect, monkeypatch):
        """Closed by somebody, that is: a socket that is left to the collector says so in a warning."""
        monkeypatch.setattr(edge_module, "STOP_GRACE_S", 0.05)
        edge = make_proxied(proxy_timeout_s=60.0)
        client = connect(edge)
        settle()

        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            edge.stop()
            gc.collect()

        assert [] == [str(each.message) for each in told]
        assert [] == client.rest()

    def test_case_049_a_header_from_anybody_else_is_not_believed(self, make_proxied, connect, log):
        client = connect(make_proxied(proxy_protocol_from=("192.0.2.0/24",)))

        with contextlib.suppress(OSError):
            client.send(HEADER)
            assert [] == client.rest()

        assert [{"ip": "127.0.0.1", "reason": "not in proxy_protocol_from"}] == log.of(events.EDGE_PROXY_REFUSED)

    def test_case_049_without_proxies_a_header_is_only_a_bad_command(self, make_edge, connect):
        client = connect(make_edge())
        client.lines(1)

        client.send(HEADER)

        assert client.lines(1)[0][:1] == "5"

    def test_those_that_say_nothing_are_limited_too(self, make_proxied, connect):
        edge = make_proxied(max_sessions=2)
        waiting = [connect(edge) for _ in range(2)]
        settle()

        assert ["421 4.3.2 Too many connections, try again later"] == connect(edge).rest()
        for client in waiting:
            client.sock.close()

    def test_a_unix_socket_beside_it_needs_no_header(self, make_proxied, tmp_path):
        make_proxied(listen=("unix:mda.sock",))

        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(tmp_path / "mda.sock"))
            assert sock.recv(100).startswith(b"220 ")


class TestCaps:
    """Case 102, with clients that a proxy brings from everywhere."""

    def test_case_102_an_address_has_so_many_and_the_others_go_on(self, make_proxied, connect, log):
        edge = make_proxied(max_sessions_per_address=2, max_new_sessions_a_minute=0)
        for _ in range(2):
            assert "220" == behind(connect(edge), "198.51.100.7").lines(1)[0][:3]

        for _ in range(3):
            assert ["421 4.7.0"] == [line[:9] for line in behind(connect(edge), "198.51.100.7").rest()]

        assert "220" == behind(connect(edge), "198.51.100.8").lines(1)[0][:3]
        assert 1 == len(log.of(events.EDGE_CLIENT_REFUSED))

    def test_case_102_all_addresses_of_one_ipv6_customer_are_one_line_a_minute(self, make_proxied, connect, log):
        edge = make_proxied(max_sessions_per_address=1)
        header = b"PROXY TCP6 2001:db8::%d 2001:db8:1::1 40000 25\r\n"
        clients = [connect(edge) for _ in range(4)]

        for number, client in enumerate(clients):
            client.send(header % number)
            assert client.lines(1)

        assert 1 == len(log.of(events.EDGE_CLIENT_REFUSED))

    def test_case_102_who_leaves_makes_room(self, make_proxied, connect, log):
        edge = make_proxied(max_sessions_per_address=1)
        client = behind(connect(edge), "198.51.100.7").greet()
        client.ask(b"QUIT")
        client.rest()
        wait_for(lambda: log.of(events.EDGE_SESSION_CLOSED))
        settle()

        assert "220" == behind(connect(edge), "198.51.100.7").lines(1)[0][:3]

    def test_case_102_so_many_new_ones_a_minute(self, make_proxied, connect, clock):
        edge = make_proxied(max_new_sessions_a_minute=2)
        codes = [behind(connect(edge), "198.51.100.7").lines(1)[0][:9] for _ in range(3)]
        clock.advance(61)

        assert "421 4.7.0" == codes[2]
        assert "220" == behind(connect(edge), "198.51.100.7").lines(1)[0][:3]

    def test_loopback_is_exempt_unless_the_operator_says_otherwise(self, make_edge, connect):
        exempt = make_edge(max_sessions_per_address=1)
        strict = make_edge(max_sessions_per_address=1, trusted_networks=())

        assert ["220", "220"] == [connect(exempt).lines(1)[0][:3] for _ in range(2)]
        assert ["220", "421"] == [connect(strict).lines(1)[0][:3] for _ in range(2)]

    def test_case_102_a_flood_is_told_and_closed_at_once_and_a_good_client_goes_on(self, make_edge, connect):
        edge = make_edge(max_sessions=1)
        good = connect(edge).greet()
        began_at = time.monotonic()

        flood = [connect(edge) for _ in range(200)]

        assert {"421 4.3.2 Too many connections, try again later"} == {client.rest()[0] for client in flood}
        assert ["250 2.0.0 Ok"] == good.ask(b"NOOP")
        assert time.monotonic() - began_at < 30.0


class TestGreetDelay:
    def test_case_019_who_talks_before_the_greeting_is_refused(self, make_edge, connect, clock):
        client = connect(make_edge(greet_delay_s=2.0))
        client.send(b"EHLO client\r\nMAIL FROM:<>\r\n")
        settle()

        clock.advance(2)

        assert ["554"] == [line[:3] for line in client.rest()]

    def test_case_019_who_waits_is_greeted(self, make_edge, connect, clock):
        client = connect(make_edge(greet_delay_s=2.0))
        settle()

        clock.advance(2)

        assert "220" == client.lines(1)[0][:3]

    def test_who_leaves_meanwhile_is_forgotten(self, make_edge, connect, clock, log):
        client = connect(make_edge(greet_delay_s=2.0))
        settle()
        client.sock.close()

        clock.advance(2)

        wait_for(lambda: log.of(events.EDGE_SESSION_CLOSED))
        assert "client left" == log.of(events.EDGE_SESSION_CLOSED)[0]["reason"]


class TestLmtp:
    def test_case_038_it_is_spoken_on_a_unix_socket(self, make_context, handoff, tmp_path):
        edge = SmtpEdge(LmtpConfig(domains=("example.test",)), make_context())
        edge.bind()
        edge.start()

        with gevent.Timeout(60), socket.socket(socket.AF_UNIX) as sock, sock.makefile("rb") as replies:
            sock.connect(str(tmp_path / "lmtp.sock"))
            assert b"LMTP" in replies.readline()
            sock.sendall(b"LHLO client\r\n")
            while replies.readline()[3:4] == b"-":
                pass
            sock.sendall(b"MAIL FROM:<>\r\nRCPT TO:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
            assert [b"250", b"250", b"250", b"354"] == [replies.readline()[:3] for _ in range(4)]
            sock.sendall(MESSAGE)
            assert [b"250", b"250"] == [replies.readline()[:3] for _ in range(2)]
        edge.stop()


SERVER = """
    from gevent import monkey; monkey.patch_all()
    import resource, sys, gevent
    from pathlib import Path
    from mdacore.runtime import SystemClock
    from mdacore.log import configure, get_log
    from mdacore.testing import RecordingHandoff, make_edge_context
    from mdacore_edge_smtp import SmtpConfig, SmtpEdge

    resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
    configure(level="info", style="json", stream=sys.stderr)
    context = make_edge_context(
        state_path=Path("/"), hostname="mx", clock=SystemClock(), log=get_log(), handoff=RecordingHandoff()
    )
    edge = SmtpEdge(SmtpConfig(listen=("127.0.0.1:0",)), context)
    gevent.get_hub().threadpool.apply(int)  # what is imported late needs descriptors
    edge.bind()
    edge.start()
    if sys.argv[1:] == ["hog"]:  # somebody else takes all that is left
        hog = []
        try:
            while True:
                hog.append(open("/dev/null"))
        except OSError:
            pass
    begun = resource.getrusage(resource.RUSAGE_SELF)
    print(edge.addresses[0], flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.readline)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime - begun.ru_utime - begun.ru_stime, flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.readline)
"""


@pytest.fixture
def start_server():
    """The edge in a process of its own with 60 descriptors; ends with the test."""
    servers = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], tuple[str, int]]:
        server = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SERVER), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        servers.append(server)
        host, _, port = server.stdout.readline().strip().rpartition(":")
        return server, (host, int(port))

    yield start
    for server in servers:
        server.kill()
        server.communicate()


class TestDescriptors:
    """Case 101, in a process of its own."""

    def test_case_101_sessions_leave_descriptors_for_storages_and_relays(self, start_server):
        server, address = start_server()

        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(standard_socket.create_connection(address, PATIENCE_S)) for _ in range(80)]
            said = [said_to(client)[:9] for client in clients]
            wait_for(lambda: len(list(Path(f"/proc/{server.pid}/fd").iterdir())) <= 60 - 60 // 4 + 1)

        assert {b"220 mx ES", b"421 4.3.2"} == set(said)

    def test_case_101_without_any_a_client_is_told_and_nothing_spins(self, start_server):
        server, address = start_server("hog")

        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(standard_socket.create_connection(address, PATIENCE_S)) for _ in range(3)]
            said = [said_to(client)[:9] for client in clients]
        server.stdin.write("\n")
        server.stdin.flush()
        used_s = float(server.stdout.readline())
        server.kill()
        lines = server.stderr.read().splitlines()

        assert [b"421 4.3.2"] * 3 == said
        assert used_s < 3.0
        assert 1 == len([line for line in lines if events.EDGE_ACCEPT_FAILED in line])
        assert not any("Traceback" in line for line in lines)
