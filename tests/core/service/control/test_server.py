"""The control socket, its client, and peers that mean no good. In this process, unpatched, over real sockets."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from mdacore.service.control import ControlClient, ControlSocket, NotRunning, RequestFailed, server
from mdacore.service.control.requests import MAX_REQUEST_BYTES, HealthOf, Ping, Store
from mdacore.testing import CapturedLog
from mdacore.words import StorageError

PATIENCE_S = 60.0


class Desk:
    """Answers a ping, reads messages to their end, and fails at the rest."""

    def __init__(self):
        self.stored = []

    def serve(self, request, peer, channel):
        if isinstance(request, Ping):
            return {"uid": peer.uid, "pid": peer.pid}
        if isinstance(request, Store):
            channel.send({"go": True})
            self.stored.append(b"".join(channel.octets(request.size_bytes)))
            return {"ids": [request.key]}
        raise StorageError("the disk\nis gone")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.sock"


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def log():
    return CapturedLog()


@pytest.fixture
def patience_s():
    return PATIENCE_S


@pytest.fixture
def control(path, desk, log, patience_s):
    """Listening."""
    control = ControlSocket(path, desk, log, patience_s=patience_s)
    control.start()
    yield control
    control.stop()


@pytest.fixture
def connect(path):
    """A raw connection, closed at the end."""
    connections = []

    def connected():
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(PATIENCE_S)
        connections.append(connection)
        connection.connect(str(path))
        return connection

    yield connected
    for connection in connections:
        connection.close()


def send_until_refused(connection, octets, *, pause_s):
    """How often it could be sent before the other side would have no more."""
    for number in itertools.count():
        try:
            connection.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            return number
        gevent.sleep(pause_s)
    return 0


def rest(connection):
    """All that comes until the other side closes."""
    received = b""
    try:
        while piece := connection.recv(65_536):
            received += piece
    except ConnectionResetError:
        pass
    return received


class TestAnswers:
    def test_who_asks_is_known_from_the_kernel(self, control, path):
        assert {"uid": os.geteuid(), "pid": os.getpid()} == ControlClient(path).ask(Ping())

    def test_what_a_component_raises_is_one_line_for_the_operator(self, control, path):
        with pytest.raises(RequestFailed, match=r"^the disk is gone$"):
            ControlClient(path).ask(HealthOf())

    def test_a_message_comes_through_octet_for_octet(self, control, path, desk):
        octets = bytes(range(256)) * 4000
        request = Store(queue="main", envelope={}, held="", due_at=0.0, key="k", size_bytes=len(octets))

        assert {"ids": ["k"]} == ControlClient(path).ask(request, [octets[:10], octets[10:]])

        assert [octets] == desk.stored

    def test_a_path_that_is_too_long_for_the_system_works(self, tmp_path, desk, log):
        folder = tmp_path / ("x" * 100) / ("y" * 100)
        folder.mkdir(parents=True)
        control = ControlSocket(folder / "control.sock", desk, log)
        control.start()
        try:
            assert "uid" in ControlClient(folder / "control.sock").ask(Ping())
        finally:
            control.stop()


class TestItsFile:
    def test_only_its_owner_may_use_it(self, control, path):
        assert (0o600, True) == (stat.S_IMODE(path.stat().st_mode), stat.S_ISSOCK(path.stat().st_mode))

    def test_nothing_is_left_after_a_stop(self, control, path):
        control.stop()

        assert [] == list(path.parent.iterdir())
        with pytest.raises(NotRunning):
            ControlClient(path).ask(Ping())

    def test_the_socket_of_a_dead_process_is_taken_over(self, path, desk, log):
        """Case 70: what a kill leaves behind is no obstacle."""
        code = (
            "import os, sys; from pathlib import Path; from mdacore.service.control.socket_file import SocketFile\n"
            "kept = SocketFile(Path(sys.argv[1])).listen(); os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", code, path], check=False, timeout=PATIENCE_S)
        assert path.exists()
        control = ControlSocket(path, desk, log)

        control.start()

        try:
            assert "uid" in ControlClient(path).ask(Ping())
        finally:
            control.stop()

    def test_that_of_a_live_process_is_refused_with_its_number(self, control, path, desk, log):
        """Case 70; and the first one goes on."""
        with pytest.raises(OSError, match=f"is held by process {os.getpid()}"):
            ControlSocket(path, desk, log).start()

        assert "uid" in ControlClient(path).ask(Ping())

    def test_what_is_no_socket_is_left_alone(self, path, desk, log):
        path.write_text("precious")

        with pytest.raises(FileExistsError, match="is not a socket"):
            ControlSocket(path, desk, log).start()

        assert [("control.sock", "precious")] == [(one.name, one.read_text()) for one in path.parent.iterdir()]


class TestHostilePeers:
    """Whatever they do, the next one is served, and what they cost is soon over."""

    @pytest.fixture
    def patience_s(self):
        """Quickly lost."""
        return 1.0

    @pytest.fixture(autouse=True)
    def goes_on(self, control, path):
        yield
        assert "uid" in ControlClient(path).ask(Ping())
        with gevent.Timeout(PATIENCE_S):
            while control.health().facts["connections"]:
                gevent.sleep(0.01)

    @pytest.mark.parametrize("line", [b"GET / HTTP/1.1\n", b"\x00\xff\n", b"{}\n", b'{"v":1,"do":"rm -rf"}\n'])
    def test_garbage_is_answered_with_an_error(self, connect, log, line):
        connection = connect()

        connection.sendall(line)

        assert rest(connection).startswith(b'{"v":1,"error":"the service does not understand')

    def test_whoever_says_nothing_is_left(self, connect):
        assert b"" == rest(connect())

    def test_whoever_sends_one_octet_at_a_time_has_no_more_time(self, connect):
        """The limit is for the whole line: a peer cannot stretch it."""
        connection = connect()

        with gevent.Timeout(PATIENCE_S):
            assert send_until_refused(connection, b" ", pause_s=0.02) < 1000

    def test_a_line_without_an_end_is_cut_off(self, connect, log):
        connection = connect()

        assert send_until_refused(connection, b"x" * MAX_REQUEST_BYTES, pause_s=0.0) < 1000

    def test_whoever_never_reads_is_left(self, connect, desk):
        serve, is_served = desk.serve, Event()
        desk.serve = lambda *_: is_served.set() or {"much": "x" * 4_000_000}
        connection = connect()

        connection.sendall(b'{"v":1,"do":"ping"}\n')

        assert is_served.wait(PATIENCE_S)
        desk.serve = serve

    def test_whoever_announces_a_message_and_sends_none_is_left(self, connect, desk):
        connection = connect()

        connection.sendall(
            b'{"v":1,"do":"store","queue":"main","envelope":{},"held":"","due_at":0,"key":"","size_bytes":1000000000}\n'
        )

        assert b'{"v":1,"go":true}\n' == rest(connection)
        assert [] == desk.stored

    def test_many_at_once_are_served_a_few_at_a_time(self, connect, control):
        for _ in range(60):
            connect()

        with gevent.Timeout(PATIENCE_S):
            while control.health().facts["connections"] < server.CONNECTIONS_MAX:
                gevent.sleep(0.001)
        gevent.idle()
        assert server.CONNECTIONS_MAX >= control.health().facts["connections"] > 0


@pytest.mark.needs("setpriv")
def test_another_user_is_not_heard(root, public_folder, desk, log):
    """Even if it could open the socket."""
    path = public_folder / "control.sock"
    control = ControlSocket(path, desk, log, patience_s=PATIENCE_S)
    control.start()
    path.chmod(0o666)
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
        's.sendall(b\'{"v":1,"do":"ping"}\\n\'); print(s.recv(100))'
    )
    command = ["setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", code, str(path)]

    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        with gevent.Timeout(PATIENCE_S):
            while process.poll() is None:
                gevent.sleep(0.01)
    finally:
        output, errors = process.communicate()
        control.stop()

    assert b"b''\n" == output or b"ConnectionResetError" in errors or b"BrokenPipeError" in errors, errors
    assert [("service.control_refused", 65534)] == [(line.event, line["uid"]) for line in log.events]
