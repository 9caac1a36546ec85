"""The edge on real sockets: sessions beside each other, deadlines, limits, and how it all ends."""

from __future__ import annotations

import hashlib
import smtplib
import statistics
import struct
import time
import tracemalloc

import attrs
import gevent
import pytest
from gevent import socket

from mdacore import FileBody, Reply
from mdacore_edge_smtp import SmtpConfig, SmtpEdge, events

from .waiting import settle, wait_for

MESSAGE = b"Subject: x\r\n\r\ny\r\n.\r\n"


class TestSessions:
    def test_a_message_goes_from_the_socket_to_handoff(self, make_edge, connect, handoff):
        client = connect(make_edge()).begin()

        client.send(MESSAGE)

        assert ["250 2.0.0 queued as Q"] == client.lines(1)
        assert [b"Subject: x\r\n\r\ny\r\n"] == handoff.bodies
        assert "127.0.0.1" == handoff.envelopes[0].client.ip

    def test_many_messages_pipelined_on_one_connection_are_all_accepted(self, make_edge, connect, handoff):
        client = connect(make_edge()).greet()

        for _ in range(50):
            client.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
            assert "354" == client.lines(3)[-1][:3]
            client.send(MESSAGE)
            assert "250" == client.lines(1)[0][:3]

        assert 50 == len(handoff.envelopes)

    def test_replies_to_pipelined_commands_leave_in_one_piece(self, make_edge, connect):
        client = connect(make_edge()).greet()

        client.send(b"NOOP\r\n" * 20)

        assert 20 == client.sock.recv(65_536).count(b"250 2.0.0 Ok\r\n")

    def test_replies_leave_before_a_handoff_that_may_take_long(self, make_edge, connect, handoff):
        """Also for a client that sends its message without waiting for 354."""
        client = connect(make_edge(strict_synchronization=False)).greet()
        handoff.is_held = True

        client.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n" + MESSAGE)

        assert ["250", "250", "354"] == [line[:3] for line in client.lines(3)]
        handoff.go_on.set()
        assert ["250 2.0.0 queued as Q"] == client.lines(1)

    def test_replies_are_not_held_back_by_the_system(self, make_edge, connect):
        """Without TCP_NODELAY pipelining costs 40 ms a message."""
        edge = make_edge()
        connect(edge).greet()

        (connection,) = edge._connections
        assert connection._transport._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_sessions_do_not_wait_for_each_other(self, make_edge, connect, handoff):
        edge = make_edge()
        handoff.is_held = True
        first, second = connect(edge).begin(), connect(edge).greet()
        first.send(MESSAGE)
        handoff.arrived.wait()

        assert ["250 2.0.0 Ok"] == second.ask(b"NOOP")

        handoff.go_on.set()
        assert ["250 2.0.0 queued as Q"] == first.lines(1)

    def test_a_bug_costs_one_session_and_is_logged(self, make_edge, connect, handoff, log):
        edge = make_edge()
        good, bad = connect(edge).greet(), connect(edge).begin()
        handoff.script = ["not replies"]  # type: ignore[assignment]  # that is the bug

        bad.send(MESSAGE)

        assert [] == bad.rest()
        assert ["250 2.0.0 Ok"] == good.ask(b"NOOP")
        assert 1 == len(log.of("plugin.failed"))

    def test_one_line_tells_of_each_session(self, make_edge, connect, log):
        client = connect(make_edge()).begin()
        client.send(MESSAGE)
        client.lines(1)
        client.ask(b"MAIL FROM:<>")
        client.ask(b"RCPT TO:<r@elsewhere.test>")
        client.ask(b"QUIT")
        client.rest()
        wait_for(lambda: log.of(events.EDGE_SESSION_CLOSED))

        (closed,) = log.of(events.EDGE_SESSION_CLOSED)
        assert {
            "ip": "127.0.0.1",
            "helo": "client.example.org",
            "tls": "",
            "reason": "quit",
            "accepted_count": 1,
            "rejected_count": 1,
            "duration_s": 0.0,
        } == closed

    def test_smtplib_is_understood(self, make_edge, handoff):
        edge = make_edge()
        host, _, port = edge.addresses[0].rpartition(":")

        def send() -> dict[str, tuple[int, bytes]]:
            with smtplib.SMTP(host, int(port), timeout=60) as client:
                return client.sendmail(
                    "a@example.org",
                    ["r@example.test", "x@elsewhere.test"],
                    "Subject: x\n\n.dots\n..\n",
                    mail_options=["BODY=8BITMIME"],
                )

        refused = gevent.get_hub().threadpool.apply(send)

        assert {"x@elsewhere.test": (550, b"5.7.1 Relaying denied")} == refused
        assert [b"Subject: x\r\n\r\n.dots\r\n..\r\n"] == handoff.bodies
        assert "8BITMIME" == handoff.envelopes[0].body_type


class TestListening:
    def test_an_ipv6_socket_is_listened_on(self, make_edge, connect, handoff):
        edge = make_edge(listen=("[::1]:0",))
        client = connect(edge).begin()

        client.send(MESSAGE)
        client.lines(1)

        assert edge.addresses[0].startswith("[::1]:")
        assert "::1" == handoff.envelopes[0].client.ip
        assert b"([IPv6:::1])" in handoff.messages[0]

    def test_a_client_over_ipv4_on_a_socket_for_both_is_an_ipv4_client(self, make_edge, connect, handoff):
        edge = make_edge(listen=("[::]:0",))
        client = connect(edge, "127.0.0.1:" + edge.addresses[0].rpartition(":")[2]).begin()

        client.send(MESSAGE)
        client.lines(1)

        assert "127.0.0.1" == handoff.envelopes[0].client.ip

    def test_a_unix_socket_is_listened_on_and_removed(self, make_edge, handoff, tmp_path):
        edge = make_edge(listen=("unix:mda.sock",))
        path = tmp_path / "mda.sock"

        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            assert sock.recv(100).startswith(b"220 ")
        edge.stop()

        assert not path.exists()

    def test_clients_may_come_before_the_start_and_wait(self, make_context, connect):
        edge = SmtpEdge(SmtpConfig(listen=("127.0.0.1:0",)), make_context())
        edge.bind()
        client = connect(edge)

        edge.start()

        assert "220" == client.lines(1)[0][:3]
        edge.stop()

    def test_after_stop_nobody_listens(self, make_edge, connect):
        edge = make_edge()
        address = edge.addresses[0]

        edge.stop()
        edge.stop()

        assert [] == list(edge.addresses)
        with pytest.raises(ConnectionRefusedError):
            connect(edge, address)

    def test_an_edge_that_was_only_bound_can_be_stopped(self, make_context):
        edge = SmtpEdge(SmtpConfig(listen=("127.0.0.1:0",)), make_context())
        edge.bind()

        edge.stop()

        assert [] == list(edge.addresses)


class TestMaxSessions:
    def test_case_102_one_more_is_told_and_closed_and_the_others_go_on(self, make_edge, connect, log):
        edge = make_edge(max_sessions=2)
        first, second = connect(edge).greet(), connect(edge).greet()

        for _ in range(3):
            assert ["421 4.3.2 Too many connections, try again later"] == connect(edge).rest()

        assert ["250 2.0.0 Ok"] == first.ask(b"NOOP")
        assert 2 == edge.health().facts["sessions"]
        assert [{"max_sessions": 2}] == log.of(events.EDGE_SESSION_LIMIT_REACHED)
        second.ask(b"QUIT")
        wait_for(lambda: edge.health().facts["sessions"] == 1)
        assert "220" == connect(edge).lines(1)[0][:3]


class TestDeadlines:
    def test_a_silent_client_is_told_and_closed_at_the_command_timeout(self, make_edge, connect, clock, log):
        client = connect(make_edge()).greet()

        clock.advance(299)
        assert ["250 2.0.0 Ok"] == client.ask(b"NOOP")
        clock.advance(299)
        assert ["250 2.0.0 Ok"] == client.ask(b"NOOP")
        clock.advance(302)

        assert ["421 4.4.2 Timeout, closing connection"] == client.rest()
        client.sock.close()
        wait_for(lambda: log.of(events.EDGE_SESSION_CLOSED))
        assert "timeout" == log.of(events.EDGE_SESSION_CLOSED)[0]["reason"]

    def test_case_103_octets_that_trickle_in_do_not_prolong_a_command(self, make_edge, connect, clock):
        client = connect(make_edge()).greet()

        for _ in range(31):
            client.send(b"N")
            clock.advance(10)

        assert ["421 4.4.2 Timeout, closing connection"] == client.rest()

    def test_case_103_a_message_that_trickles_in_is_given_up_and_not_queued(self, make_edge, connect, clock, handoff):
        client = connect(make_edge()).begin()

        for _ in range(32):
            client.send(b"x")
            clock.advance(10)
            settle()

        assert ["421 4.4.2 Timeout, closing connection"] == client.rest()
        assert [] == handoff.envelopes

    def test_a_message_may_take_long_if_it_moves(self, make_edge, connect, clock, handoff):
        client = connect(make_edge()).begin()

        for _ in range(100):
            client.send(b"x" * 4998 + b"\r\n")
            settle()
            clock.advance(10)
        client.send(b".\r\n")

        assert ["250 2.0.0 queued as Q"] == client.lines(1)
        assert [500_000] == [len(body) for body in handoff.bodies]

    def test_case_104_a_client_that_does_not_read_is_closed(self, make_edge, connect, clock, log):
        edge = make_edge(max_idle_commands=10_000_000)
        client = connect(edge).greet()
        with pytest.raises(BlockingIOError):
            send_until_nobody_takes_it(client)

        clock.advance(61)
        settle()

        wait_for(lambda: log.of(events.EDGE_SESSION_CLOSED))
        assert "timeout" == log.of(events.EDGE_SESSION_CLOSED)[0]["reason"]

    def test_a_session_ends_after_its_time_in_all(self, make_edge, connect, clock):
        client = connect(make_edge()).greet()

        for _ in range(13):
            client.ask(b"NOOP")
            clock.advance(280)

        assert ["421 4.4.2 Timeout, closing connection"] == client.rest()

    def test_a_handoff_that_takes_long_is_not_the_clients_fault(self, make_edge, connect, clock, handoff):
        client = connect(make_edge()).begin()
        handoff.is_held = True
        client.send(MESSAGE)
        handoff.arrived.wait()

        clock.advance(400)
        handoff.go_on.set()

        assert ["250 2.0.0 queued as Q"] == client.lines(1)
        assert ["250 2.0.0 Ok"] == client.ask(b"NOOP")

    def test_case_035_answers_are_held_back_after_ten_errors(self, make_edge, connect, clock):
        client = connect(make_edge()).greet()
        for _ in range(10):
            assert ["500 5.5.1 Unknown command"] == client.ask(b"FOO")

        client.send(b"FOO\r\n")
        settle()
        client.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.sock.recv(100)
        client.sock.setblocking(True)
        clock.advance(1)

        assert ["500 5.5.1 Unknown command"] == client.lines(1)

    def test_last_words_reach_a_client_that_goes_on_sending(self, make_edge, connect):
        """A close with octets unread would reset the connection under them."""
        client = connect(make_edge()).greet()

        client.send(b"x" * 60_000)

        assert ["500 5.5.2 Line too long"] == client.rest()


def send_until_nobody_takes_it(client) -> None:
    client.sock.setblocking(False)
    while True:
        client.sock.send(b"HELP\r\n" * 10_000)
        settle()


class TestCrowd:
    def test_case_103_hundreds_of_slow_clients_do_not_stop_a_good_one(self, make_edge, connect, clock, handoff):
        """They sit in all places, before EHLO, in DATA and in BDAT, and each sends an octet now and then."""
        edge = make_edge()
        slow = [connect(edge) for _ in range(300)]
        for number, client in enumerate(slow):
            if number % 3:
                client.greet()
                last = b"DATA\r\n" if number % 3 == 1 else b"BDAT 1000\r\n"
                client.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\n" + last)
        good, waits_s = connect(edge).greet(), []

        for _ in range(50):
            for client in slow:
                client.send(b"x")
            began_at = time.monotonic()
            good.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
            good.lines(3)
            good.send(MESSAGE)
            assert "250" == good.lines(1)[0][:3]
            waits_s.append(time.monotonic() - began_at)

        assert 50 == len(handoff.envelopes)
        assert statistics.median(waits_s) < 10.0  # a machine that stands still now and then is not what is tested
        good.sock.close()
        clock.advance(301)
        wait_for(lambda: edge.health().facts["sessions"] == 0)


class TestDrop:
    """Case 17: nothing queued, no file, no traceback."""

    @pytest.mark.parametrize("is_reset", [False, True])
    @pytest.mark.parametrize("last", [b"", b"x" * 2000, b"x" * 2000 + b"\r\n.", b"x" * 2000 + b"\r\n.\r"])
    def test_case_017_a_client_that_goes_in_a_message_leaves_nothing(
        self, make_edge, connect, handoff, log, tmp_path, last, is_reset
    ):
        handoff.spool_path = tmp_path
        client = connect(make_edge(spool_threshold_bytes=1000)).begin()
        client.send(last)
        settle()

        leave(client, is_reset=is_reset)

        wait_for(lambda: log.of(events.EDGE_SESSION_CLOSED))
        assert [] == handoff.envelopes
        assert [] == list(tmp_path.iterdir())
        assert [] == [line for line in log.lines if line[0] in ("error", "warning")]

    @pytest.mark.parametrize("is_reset", [False, True])
    def test_case_017_in_a_command_as_well(self, make_edge, connect, handoff, log, is_reset):
        client = connect(make_edge()).greet()
        client.send(b"MAIL FR")
        settle()

        leave(client, is_reset=is_reset)

        wait_for(lambda: log.of(events.EDGE_SESSION_CLOSED))
        assert [] == [line for line in log.lines if line[0] in ("error", "warning")]

    @pytest.mark.parametrize("is_reset", [False, True])
    def test_case_018_a_client_that_goes_before_our_reply_has_been_accepted_and_the_log_says_so(
        self, make_edge, connect, handoff, log, is_reset
    ):
        client = connect(make_edge()).begin()
        handoff.is_held = True
        client.send(MESSAGE)
        handoff.arrived.wait()

        leave(client, is_reset=is_reset)
        settle()
        handoff.go_on.set()

        wait_for(lambda: log.of(events.EDGE_SESSION_CLOSED))
        assert [{"reply": "250 2.0.0 queued as Q"}] == log.of(events.EDGE_REPLY_UNCONFIRMED)
        assert 1 == log.of(events.EDGE_SESSION_CLOSED)[0]["accepted_count"]

    def test_a_client_that_goes_after_its_next_command_has_had_the_reply(self, make_edge, connect, log):
        client = connect(make_edge()).begin()
        client.send(MESSAGE)
        client.lines(1)
        client.ask(b"RSET")

        leave(client, is_reset=False)

        wait_for(lambda: log.of(events.EDGE_SESSION_CLOSED))
        assert [] == log.of(events.EDGE_REPLY_UNCONFIRMED)


def leave(client, *, is_reset: bool) -> None:
    if is_reset:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sock.close()


class TestDrain:
    """Case 39."""

    def test_idle_sessions_are_told_at_once_and_nobody_else_gets_in(self, make_edge, connect):
        edge = make_edge()
        stranger, greeted, in_transaction = connect(edge), connect(edge).greet(), connect(edge).greet()
        stranger.lines(1)
        in_transaction.ask(b"MAIL FROM:<>")
        address = edge.addresses[0]

        draining = gevent.spawn(edge.drain, 60)

        for client in (stranger, greeted, in_transaction):
            assert ["421 4.3.2 Service shutting down, closing connection"] == client.rest()
            client.sock.close()
        assert draining.get() is True
        with pytest.raises(ConnectionRefusedError):
            connect(edge, address)

    def test_a_message_on_its_way_is_finished_and_answered(self, make_edge, connect, handoff):
        edge = make_edge()
        client = connect(edge).begin()
        client.send(b"Subject: x\r\n")
        draining = gevent.spawn(edge.drain, 60)
        settle()

        client.send(b"\r\ny\r\n.\r\n")

        assert ["250 2.0.0 queued as Q", "421 4.3.2 Service shutting down, closing connection"] == client.rest()
        client.sock.close()
        assert draining.get() is True
        assert [b"Subject: x\r\n\r\ny\r\n"] == handoff.bodies

    def test_a_message_being_stored_is_answered(self, make_edge, connect, handoff):
        edge = make_edge()
        client = connect(edge).begin()
        handoff.is_held = True
        client.send(MESSAGE)
        handoff.arrived.wait()
        draining = gevent.spawn(edge.drain, 60)
        settle()

        handoff.go_on.set()

        assert ["250", "421"] == [line[:3] for line in client.rest()]
        client.sock.close()
        assert draining.get() is True

    @pytest.mark.parametrize("is_reset", [False, True])
    def test_a_client_that_goes_in_its_message_does_not_hold_it_up(self, make_edge, connect, handoff, is_reset):
        edge = make_edge()
        client = connect(edge).begin()
        client.send(b"Subject: x\r\n")
        draining = gevent.spawn(edge.drain, 60)
        settle()

        leave(client, is_reset=is_reset)

        assert draining.get() is True
        assert [] == handoff.envelopes

    @pytest.mark.parametrize("end", [lambda edge: edge.drain(60), SmtpEdge.stop], ids=["drain", "stop"])
    def test_case_039_an_answer_that_is_held_back_leaves_at_once(self, make_edge, connect, clock, end):
        """The clock stands still: nobody sits out `error_delay_s`."""
        edge = make_edge()
        client = connect(edge).greet()
        client.send(b"FOO\r\n" * 11)
        settle()
        ending = gevent.spawn(end, edge)

        assert ["500"] * 11 + ["421"] == [line[:3] for line in client.rest()]
        client.sock.close()
        assert ending.get() is not False

    @pytest.mark.parametrize("end", [lambda edge: edge.drain(60), SmtpEdge.stop], ids=["drain", "stop"])
    def test_case_039_who_has_not_been_greeted_yet_is_told_at_once(self, make_edge, connect, end):
        edge = make_edge(greet_delay_s=60.0)
        client = connect(edge)
        settle()
        ending = gevent.spawn(end, edge)

        assert ["421 4.3.2 Service shutting down, closing connection"] == client.rest()
        client.sock.close()
        assert ending.get() is not False

    def test_what_does_not_finish_within_the_grace_is_told(self, make_edge, connect):
        edge = make_edge()
        connect(edge).begin()

        assert edge.drain(0.01) is False

    def test_stop_ends_a_message_that_is_not_whole_without_queueing(self, make_edge, connect, handoff):
        edge = make_edge()
        client = connect(edge).begin()
        client.send(b"Subject: x\r\n")
        stopping = gevent.spawn(edge.stop)

        assert ["421 4.3.2 Service shutting down, closing connection"] == client.rest()
        client.sock.close()
        stopping.join()
        assert [] == handoff.envelopes

    def test_stop_cuts_a_handoff_short_and_its_client_gets_no_success(self, make_edge, connect, handoff, tmp_path):
        handoff.spool_path = tmp_path
        handoff.is_held = True
        edge = make_edge(spool_threshold_bytes=10)
        client = connect(edge).begin()
        client.send(MESSAGE)
        handoff.arrived.wait()

        edge.stop()

        assert [] == client.rest()
        assert [] == list(tmp_path.iterdir())
        assert 0 == edge.health().facts["sessions"]


@attrs.define
class HashingHandoff:
    """Reads each message in pieces, as a storage does."""

    spool_path: object
    is_proxy: bool = False
    accepted: list[tuple[object, str]] = attrs.field(factory=list)

    def refusal(self, size_bytes: int) -> None:
        return None

    def accept(self, envelope) -> list[Reply]:
        digest = hashlib.sha256()
        for chunk in envelope.content.body.chunks():
            digest.update(chunk)
        self.accepted.append((envelope.content.body, digest.hexdigest()))
        return [Reply(code=250, text="Ok")]


class TestLargeMessages:
    def test_twenty_megabytes_go_through_a_file_in_bounded_memory(self, make_edge, connect, make_context, tmp_path):
        """Design §4: a body past 256 KB is a file in the queue's spool folder, and it is gone afterwards."""
        spool = tmp_path / "spool"
        spool.mkdir()
        handoff = HashingHandoff(spool)
        edge = SmtpEdge(
            SmtpConfig(listen=("127.0.0.1:0",), domains=("example.test",)),
            attrs.evolve(make_context(), handoff=handoff),
        )
        edge.bind()
        edge.start()
        client = connect(edge).begin()
        piece = (b"x" * 77 + b"\r\n.." + b"y" * 76 + b"\r\n") * 400
        tracemalloc.start()

        for _ in range(20_000_000 // len(piece)):
            client.send(piece)
        client.send(b".\r\n")
        reply = client.lines(1)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert "250" == reply[0][:3]
        ((body, digest),) = handoff.accepted
        meant = piece.replace(b"\r\n..", b"\r\n.") * (20_000_000 // len(piece))
        assert isinstance(body, FileBody)
        assert len(meant) == body.size_bytes
        assert hashlib.sha256(meant).hexdigest() == digest
        assert peak_bytes < 2_000_000
        assert [] == list(spool.iterdir())
        edge.stop()

    def test_case_105_many_at_once_stay_within_the_budget(self, make_edge, connect, handoff, tmp_path):
        """Each is below the threshold at which it would go to a file by itself; all together are not.

        What is on its way to the disk may exceed the budget by a piece a session: it is looked at afterwards.
        """
        handoff.spool_path = tmp_path
        edge = make_edge(max_inflight_bytes=2**20, spool_threshold_bytes=2**20)
        clients = [connect(edge).begin() for _ in range(20)]

        def in_memory() -> int:
            return edge.health().facts["in_memory_bytes"]

        def in_files() -> int:
            return sum(path.stat().st_size for path in tmp_path.iterdir())

        for count, client in enumerate(clients, start=1):
            client.send((b"x" * 78 + b"\r\n") * 2501)
            sent_bytes = count * 2501 * 80
            wait_for(lambda least=sent_bytes - 4 * count: in_memory() + in_files() >= least)
            wait_for(lambda: in_memory() <= 2**20)
        for client in clients:
            client.send(b".\r\n")
            assert "250" == client.lines(1)[0][:3]

        assert [2501 * 80] * 20 == [envelope.content.body.size_bytes for envelope in handoff.envelopes]
        assert 0 == edge.health().facts["in_memory_bytes"]
        assert [] == list(tmp_path.iterdir())

    def test_case_105_without_a_folder_what_exceeds_the_budget_gets_452(self, make_edge, connect, handoff):
        client = connect(make_edge(max_inflight_bytes=2**20)).begin()

        client.send((b"x" * 78 + b"\r\n") * 30_000 + b".\r\n")

        assert ["452 4.3.1"] == [line[:9] for line in client.lines(1)]
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        client.lines(3)
        client.send(MESSAGE)
        assert "250" == client.lines(1)[0][:3]

    def test_case_105_without_a_folder_mail_that_would_exceed_the_budget_is_refused_before_it_is_sent(
        self, make_edge, connect, handoff
    ):
        edge = make_edge(max_inflight_bytes=2**20)
        handoff.is_held = True
        client, other = connect(edge).begin(), connect(edge).greet()
        client.send((b"x" * 78 + b"\r\n") * 12_500 + b".\r\n")
        handoff.arrived.wait()

        assert "452 4.3.1 Too much mail on its way, try again later" == other.ask(b"MAIL FROM:<> SIZE=100000")[0]
        assert "250" == other.ask(b"MAIL FROM:<> SIZE=10000")[0][:3]
        handoff.go_on.set()
        assert "250" == client.lines(1)[0][:3]
