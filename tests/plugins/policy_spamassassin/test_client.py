"""The client of spamd, against scripted ones: what goes over the wire, its one deadline, and its end."""

from __future__ import annotations

import contextlib
import errno

import gevent
import pytest
from gevent import socket
from gevent.event import AsyncResult, Event

from mdacore import Content, FileBody, MemoryBody
from mdacore_policy_spamassassin.address import UnixAddress, parse_address
from mdacore_policy_spamassassin.client import ScanFailed, SpamdClient
from mdacore_policy_spamassassin.spamc import Scan

MESSAGE = b"Subject: hello\r\n\r\nHow are you?\r\n"
CLEAN_SCAN = Scan(is_spam=False, score=-0.1, required=5.0, symbols=("DKIM_SIGNED", "NO_RECEIVED"))
LONG_S = 60.0
SHORT_S = 0.1


def client(address: str, *, timeout_s: float = LONG_S, concurrency: int = 5, user: str = "") -> SpamdClient:
    return SpamdClient(parse_address(address), user=user, timeout_s=timeout_s, concurrency=concurrency)


def content(message: bytes = MESSAGE) -> Content:
    return Content(MemoryBody(message))


class TestRequest:
    def test_the_message_goes_out_whole_after_its_size(self, fake):
        scan = client(fake.listen(), user="bob").scan(content().prepend(b"X-A: 1\r\n"))

        message = b"X-A: 1\r\n" + MESSAGE
        head = b"SYMBOLS SPAMC/1.5\r\nUser: bob\r\nContent-length: %d\r\n\r\n" % len(message)
        assert [head + message] == fake.requests
        assert CLEAN_SCAN == scan

    def test_a_unix_socket_works_alike(self, fake, short_path):
        assert CLEAN_SCAN == client(fake.listen(short_path / "spamd.sock")).scan(content())

    def test_a_name_is_looked_up(self, fake):
        port = fake.listen().rpartition(":")[2]

        assert CLEAN_SCAN == client(f"localhost:{port}").scan(content())

    def test_an_empty_message_has_an_end_too(self, fake):
        """spamd reads a line before it looks at the size, and would wait for one that never comes."""
        client(fake.listen()).scan(content(b""))

        assert [b"SYMBOLS SPAMC/1.5\r\nContent-length: 0\r\n\r\n"] == fake.requests

    def test_a_body_in_a_file_is_streamed(self, fake, tmp_path):
        path = tmp_path / "body"
        path.write_bytes(MESSAGE + b"x" * 3_000_000)

        client(fake.listen()).scan(Content(FileBody(path, path.stat().st_size)))

        (request,) = fake.requests
        assert request.endswith(path.read_bytes())

    def test_half_a_body_is_never_scanned_as_a_whole_one(self, fake, tmp_path):
        path = tmp_path / "body"
        path.write_bytes(MESSAGE)

        with pytest.raises(ScanFailed, match="the body's file lacks 1 of"):
            client(fake.listen()).scan(Content(FileBody(path, len(MESSAGE) + 1)))


class TestDeadline:
    def test_a_silent_spamd_ends_at_the_deadline(self, fake):
        fake.script = lambda connection: Event().wait()

        with pytest.raises(ScanFailed, match="no verdict within"):
            client(fake.listen(), timeout_s=SHORT_S).scan(content())

    def test_it_is_one_for_the_whole_scan_and_not_for_each_octet(self, fake):
        def drip(connection: socket.socket) -> None:
            for octet in b"SPAMD/1.1 0 EX_OK" + b"!" * 1000:
                connection.send(bytes([octet]))
                gevent.sleep(SHORT_S / 10)  # what the peer does to us

        fake.script = drip

        with pytest.raises(ScanFailed, match="no verdict within"):
            client(fake.listen(), timeout_s=SHORT_S).scan(content())

    def test_a_spamd_that_does_not_read_ends_at_the_deadline(self, fake):
        fake.script = lambda connection: Event().wait()

        with pytest.raises(ScanFailed, match="no verdict within"):
            client(fake.listen(), timeout_s=SHORT_S).scan(content(b"x" * 20_000_000))

    def test_waiting_for_a_place_counts(self, fake):
        """Those who wait behind a silent spamd run out of time with it; they do not get it one after the other."""
        fake.script = lambda connection: Event().wait()
        busy = client(fake.listen(), timeout_s=SHORT_S, concurrency=1)

        scans = [gevent.spawn(busy.scan, content()) for _ in range(20)]
        gevent.joinall(scans)

        assert [ScanFailed] * 20 == [type(scan.exception) for scan in scans]
        assert fake.connections < 20
        assert 0 == busy.in_hand

    def test_it_ends_with_the_scan(self, fake):
        """A timer that is left behind would strike whatever this greenlet does next."""
        for timeout_s in (SHORT_S, 2.0, 20.0):  # a machine that is too busy for one is given another
            with contextlib.suppress(ScanFailed):
                client(fake.listen(), timeout_s=timeout_s).scan(content())
                break
        else:
            pytest.fail("no scan is in time")

        assert not Event().wait(3 * timeout_s)

    def test_a_deadline_of_somebody_else_is_passed_on(self, fake):
        fake.script = lambda connection: Event().wait()

        with pytest.raises(gevent.Timeout) as caught, gevent.Timeout(SHORT_S) as outer:
            client(fake.listen()).scan(content())

        assert caught.value is outer


class TestConcurrency:
    def test_no_more_than_so_many_are_scanned_at_once(self, fake):
        gate, two_are_in = Event(), Event()
        at_once = []

        def answer_when_open(connection: socket.socket) -> None:
            at_once.append(scanner.in_hand)
            if len(at_once) == 2:
                two_are_in.set()
            gate.wait()
            fake.read_and_answer(connection)

        fake.script = answer_when_open
        scanner = client(fake.listen(), concurrency=2)
        scans = [gevent.spawn(scanner.scan, content()) for _ in range(6)]
        two_are_in.wait(LONG_S)
        gevent.idle()

        assert 2 == fake.connections
        gate.set()
        assert [CLEAN_SCAN] * 6 == [scan.get(timeout=LONG_S) for scan in scans]
        assert max(at_once) <= 2

    def test_a_place_is_free_again_after_a_failure(self, dead_address):
        scanner = client(dead_address, concurrency=1)

        for _ in range(3):
            with pytest.raises(ScanFailed, match="refused"):
                scanner.scan(content())

        assert 0 == scanner.in_hand


class TestEnd:
    def test_a_scan_that_is_killed_takes_its_connection_along(self, fake, short_path):
        is_waiting, is_killed = Event(), Event()
        outcome: AsyncResult[int | None] = AsyncResult()

        def send_into_the_void(connection: socket.socket) -> None:
            is_waiting.set()
            is_killed.wait()
            try:
                connection.sendall(b"anybody there?")
                outcome.set(None)
            except OSError as error:
                outcome.set(error.errno)

        fake.script = send_into_the_void
        scanner = client(fake.listen(short_path / "spamd.sock"))
        scan = gevent.spawn(scanner.scan, content())
        is_waiting.wait(LONG_S)

        scan.kill()
        is_killed.set()

        assert errno.EPIPE == outcome.get(timeout=LONG_S)
        assert 0 == scanner.in_hand

    def test_a_unix_socket_with_a_full_backlog_fails_at_once(self, short_path):
        """gevent would ask for the connection again and again, without a pause, until the deadline."""
        address = UnixAddress(short_path / "spamd.sock")
        with contextlib.ExitStack() as sockets:
            listener = sockets.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(address.path))
            listener.listen(0)
            is_full = False
            while not is_full:
                waiting = sockets.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                is_full = waiting.connect_ex(str(address.path)) == errno.EAGAIN

            with pytest.raises(ScanFailed, match="temporarily unavailable"):
                client(str(address)).scan(content())

    def test_a_path_too_long_for_a_socket_is_a_failed_scan(self):
        with pytest.raises(ScanFailed, match="too long"):
            client("unix:/" + "s" * 200).scan(content())
