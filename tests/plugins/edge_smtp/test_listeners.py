"""Addresses as operators write them, and the sockets made of them."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

import pytest
from gevent import socket

from mdacore_edge_smtp.listeners import (
    Access,
    TcpAddress,
    UnixAddress,
    bind_all,
    close,
    name_of,
    parse_address,
    parse_mode,
)

ANY = "0.0.0.0"  # noqa: S104 (that both can be bound is what is tested)


class TestParse:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("127.0.0.1:25", TcpAddress("127.0.0.1", 25)),
            ("0.0.0.0:0", TcpAddress(ANY, 0)),
            ("[::1]:2525", TcpAddress("::1", 2525)),
            ("[2001:0DB8::1]:25", TcpAddress("2001:db8::1", 25)),
            ("unix:/run/mda.sock", UnixAddress(Path("/run/mda.sock"))),
            ("unix:mda.sock", UnixAddress(Path("mda.sock"))),
        ],
    )
    def test_an_address_is_read(self, text, address):
        assert address == parse_address(text)

    @pytest.mark.parametrize(
        "text",
        ["", "25", ":25", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:70000", "::1:25",
         "[127.0.0.1]:25", "localhost:25", "[::1]", "unix:", "unix:" + "x" * 108, "127.0.0.1:²"],
    )  # fmt: skip
    def test_anything_else_is_refused_with_a_sentence(self, text):
        with pytest.raises(ValueError, match=r"\w+ \w+"):
            parse_address(text)

    @pytest.mark.parametrize("text", ["127.0.0.1:25", "[::1]:2525", "unix:/run/mda.sock"])
    def test_it_is_written_as_it_was_read(self, text):
        assert text == str(parse_address(text))


class TestClose:
    def test_the_path_of_the_next_process_is_left_alone(self, tmp_path):
        """It may be bound as soon as the old socket is closed, as where a service is restarted."""

        class Old(socket.socket):
            def close(self) -> None:
                super().close()
                successors.extend(bind_all([UnixAddress(tmp_path / "s")]))

        successors: list[socket.socket] = []
        old = Old(socket.AF_UNIX, socket.SOCK_STREAM)
        old.bind(str(tmp_path / "s"))
        old.listen()

        close(old)

        assert (tmp_path / "s").is_socket()
        close(successors[0])
        assert not (tmp_path / "s").exists()


class TestBindAll:
    def test_if_one_is_taken_none_is_bound(self):
        (taken,) = bind_all([TcpAddress("127.0.0.1", 0)])
        (free,) = bind_all([TcpAddress("127.0.0.1", 0)])
        taken_port, free_port = taken.getsockname()[1], free.getsockname()[1]
        close(free)

        with pytest.raises(OSError, match=f"127.0.0.1:{taken_port}"):
            bind_all([TcpAddress("127.0.0.1", free_port), TcpAddress("127.0.0.1", taken_port)])

        (again,) = bind_all([TcpAddress("127.0.0.1", free_port)])
        close(again)
        close(taken)

    def test_ipv4_beside_the_socket_for_both_is_no_clash(self):
        (probe,) = bind_all([TcpAddress("::", 0)])
        port = probe.getsockname()[1]
        close(probe)

        both = bind_all([TcpAddress("::", port), TcpAddress(ANY, port)])

        assert [f"[::]:{port}", f"0.0.0.0:{port}"] == [name_of(listening) for listening in both]
        for listening in both:
            close(listening)

    def test_a_path_that_a_dead_process_left_is_taken_over(self, tmp_path):
        path = tmp_path / "mda.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))

        (listening,) = bind_all([UnixAddress(path)])

        assert f"unix:{path}" == name_of(listening)
        close(listening)
        assert not path.exists()

    def test_a_socket_is_for_its_own_user_alone_unless_others_are_let_in(self, tmp_path):
        group = grp.getgrgid(os.getgid())
        closed, opened = tmp_path / "closed", tmp_path / "open"
        listening = bind_all([UnixAddress(closed)])
        listening += bind_all([UnixAddress(opened)], Access(mode=0o660, group=group.gr_name))

        assert [0o600, 0o660] == [stat.S_IMODE(path.stat().st_mode) for path in (closed, opened)]
        assert group.gr_gid == opened.stat().st_gid
        for each in listening:
            close(each)

    @pytest.mark.parametrize("text", ["0660", "600", "0"])
    def test_a_mode_is_read_as_an_octal_number(self, text):
        assert int(text, 8) == parse_mode(text)

    @pytest.mark.parametrize("text", ["", "rw", "0888", "07777", "-1"])
    def test_what_is_no_mode_is_told(self, text):
        with pytest.raises(ValueError, match="is not a mode"):
            parse_mode(text)

    def test_a_path_that_somebody_listens_on_is_not(self, tmp_path):
        path = tmp_path / "mda.sock"
        (first,) = bind_all([UnixAddress(path)])

        with pytest.raises(OSError, match="in use"):
            bind_all([UnixAddress(path)])

        assert path.is_socket()
        close(first)

    def test_a_file_at_the_path_is_left_alone(self, tmp_path):
        path = tmp_path / "mda.sock"
        path.write_text("precious")

        with pytest.raises(OSError, match="in use"):
            bind_all([UnixAddress(path)])

        assert "precious" == path.read_text()
