"""What `bench/edge.py` measures, on a small scale: that numbers are of what they say, and that failures are seen."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import edge
import pytest
from mdabench import cases, crowd, environments, load, memory
from mdabench.load import Unavailable
from mdabench.rounds import Plan
from mdabench.server import Failed, Server, free_port, running
from mdabench.targets import Bare

MANY_S = 120.0


def plan(folder: Path) -> Plan:
    """As short as it can be; the numbers mean nothing then."""
    return Plan(targets=[], cases=[], rounds=1, seconds=0.05, rest_s=0.0, data=folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(edge.Edge(), tmp_path_factory.mktemp("edge")) as server:
        yield server


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(Bare(), tmp_path_factory.mktemp("bare")) as server:
        yield server


@pytest.mark.needs("cc")
class TestEdge:
    def test_every_message_gets_to_the_handoff(self, tmp_path: Path) -> None:
        """What is measured is the whole way of a message: to the one who takes responsibility."""
        with running(edge.Edge(), tmp_path) as server:
            outcome = load.run(server.port, cases.CASES["2k-20s-single"], messages=60, limit_s=MANY_S)

        last = json.loads((tmp_path / "output.log").read_text().splitlines()[-1])
        assert (60, 0) == (outcome.messages, outcome.errors)
        assert ("bench.handed_off", 60) == (last["event"], last["accepted_count"])

    def test_sessions_are_logged_as_in_the_service(self, tmp_path: Path) -> None:
        with running(edge.Edge(), tmp_path) as server:
            outcome = load.run(server.port, cases.CASES["2k-20s-single"], messages=30, limit_s=MANY_S)

        closed = re.findall(r'"event":"edge.session_closed"', (tmp_path / "output.log").read_text())
        assert outcome.connections + 1 == len(closed)  # and the one that waited for the greeting

    def test_no_limit_is_met_by_many_connections_from_one_address(self, server: Server) -> None:
        with crowd.connected(server.port, 300) as clients:
            crowd.must_be_silent(clients)

            assert 300 == len(clients)

    @pytest.mark.parametrize("name", edge.CASES)
    def test_each_case_gives_what_is_required_of_it(self, server: Server, tmp_path: Path, name: str) -> None:
        case = SMALL.get(name, edge.CASES[name])

        measured = edge.measure(server, case, plan(tmp_path))

        wanted = [one.measure for one in edge.command.REQUIRED if one.case == name and one.target == "edge"]
        assert wanted
        assert set(wanted) <= set(measured.values)


SMALL = {
    "idle": edge.Idle(name="idle", connections=50),
    "large": edge.Large(name="large", sessions=2, size_bytes=2_000_000),
    "trickle": edge.Trickle(name="trickle", sessions=1, others=20, interval_s=0.5),
}


@pytest.mark.needs("cc")
class TestMemory:
    def test_held_memory_grows_with_the_connections(self, bare: Server) -> None:
        before_bytes = memory.held_bytes(bare)

        with crowd.connected(bare.port, 500):
            grown_bytes = memory.held_bytes(bare) - before_bytes

        assert 500 * 2_000 < grown_bytes < 500 * 100_000

    def test_peak_is_remembered_until_it_is_forgotten(self, tmp_path: Path) -> None:
        with running(Hungry(), tmp_path) as hungry:
            peak_bytes = memory.peak_bytes(hungry)
            memory.forget_peak(hungry)
            later_bytes = memory.peak_bytes(hungry)

        assert 100_000_000 < peak_bytes
        assert later_bytes < peak_bytes - 80_000_000


class Hungry(Bare):
    """It has held 100 MB before it greets."""

    name = "hungry"

    def command(self, data: Path, port: int) -> list[str]:
        python, script, number = super().command(data, port)
        hunger = "held = bytearray(b'x') * 100_000_000; del held"
        serve = (
            f"import runpy, sys; sys.argv = [{script!r}, {number!r}]; runpy.run_path({script!r}, run_name='__main__')"
        )
        return [python, "-c", f"{hunger}; {serve}"]


class TestCrowd:
    def test_each_client_sends_octets_that_complete_no_command(self) -> None:
        with socket_pairs(3) as (ours, theirs), crowd.trickling(ours, interval_s=0.01):
            received = [server.recv(1) + server.recv(1) for server in theirs]

        assert [b"xx"] * 3 == received

    def test_client_that_gets_an_answer_is_found_out(self) -> None:
        """One who is answered does not wait, and then the measurement is not of what it says."""
        with socket_pairs(3) as (ours, theirs):
            trickling = crowd.trickling(ours, interval_s=0.01)
            with pytest.raises(Failed, match="1 of 3 waiting clients were answered or disconnected"), trickling:
                theirs[1].sendall(b"500 What?\r\n")

    def test_client_that_is_disconnected_is_found_out(self) -> None:
        with socket_pairs(2) as (ours, theirs):
            theirs[0].close()

            with pytest.raises(Failed, match="1 of 2 waiting clients were answered or disconnected"):
                crowd.must_be_silent(ours)

    @pytest.mark.parametrize(
        ("greeting", "error"),
        [(b"421 4.3.2 Busy\r\n", "a client was told b'421 "), (b"220-", "closed the connection after b'220-'")],
    )
    def test_client_that_is_not_served_is_a_failure(self, greeting: bytes, error: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=say_and_close, args=(listening, greeting))
            thread.start()
            with pytest.raises(Failed, match=error), crowd.connected(listening.getsockname()[1], 1):
                pass
            thread.join()

    def test_nobody_there_is_a_failure(self) -> None:
        with pytest.raises(Failed, match="client 1 of 5: "), crowd.connected(free_port(), 5):
            pass

    def test_more_clients_than_open_files_may_be_is_said_before(self) -> None:
        with pytest.raises(Unavailable, match="ulimit -Hn"):
            crowd.need_descriptors(10**9)


def say_and_close(listening: socket.socket, text: bytes) -> None:
    client, _ = listening.accept()
    with client:
        client.sendall(text)


@contextlib.contextmanager
def socket_pairs(number: int) -> Iterator[tuple[Sequence[socket.socket], Sequence[socket.socket]]]:
    """The clients' ends, and the server's."""
    with contextlib.ExitStack() as opened:
        pairs = [socket.socketpair() for _ in range(number)]
        for one in (end for pair in pairs for end in pair):
            one.settimeout(MANY_S)
            opened.enter_context(one)
        yield [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


class TestEnvironments:
    def test_requirement_that_cannot_be_had_is_said_and_leaves_nothing(self, tmp_path, monkeypatch) -> None:
        (tmp_path / "requirements").mkdir()
        (tmp_path / "requirements" / "peer.txt").write_text("./nothing-here\n")
        monkeypatch.setattr(environments, "BENCH", tmp_path)
        monkeypatch.setattr(environments, "BUILD", tmp_path / "build")

        with pytest.raises(Unavailable, match="nothing-here"):
            environments.python_of("peer")

        assert [] == list((tmp_path / "build").iterdir())

    def test_environment_is_made_once(self, tmp_path, monkeypatch) -> None:
        (tmp_path / "requirements").mkdir()
        (tmp_path / "requirements" / "peer.txt").write_text("# nothing\n")
        monkeypatch.setattr(environments, "BENCH", tmp_path)
        monkeypatch.setattr(environments, "BUILD", tmp_path / "build")

        python = environments.python_of("peer")
        made_ns = python.lstat().st_ctime_ns

        subprocess.run([python, "-c", "import sys; assert sys.prefix != sys.base_prefix"], check=True)
        assert (python, made_ns) == (environments.python_of("peer"), python.lstat().st_ctime_ns)
        assert 1 == len(list((tmp_path / "build").iterdir()))
