"""Dialogues: scripts against sessions and sockets, and what is said when a conversation goes otherwise."""

from __future__ import annotations

import gevent
import pytest
from gevent import socket
from gevent.server import StreamServer

from mdacore.testing import (
    Dialogue,
    DialogueError,
    RecordingHandoff,
    SessionPeer,
    SocketPeer,
    make_envelope,
    run_dialogue,
)


class Echo:
    """A session that greets, repeats each line in upper case, and closes after QUIT."""

    def __init__(self, handoff=None):
        self.handoff = handoff
        self.is_closed = False
        self.pieces = []
        self._buffer = b""
        self._is_greeted = False

    def converse(self, data):
        answer = b"" if self._is_greeted else b"220 hello [x]\r\n"
        self._is_greeted = True
        self.pieces.append(data)
        self._buffer += data
        while b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            answer += self._answer(line)
        return answer

    def _answer(self, line):
        if line == b"QUIT":
            self.is_closed = True
        if line == b"SEND":
            self.handoff.accept(make_envelope("b@example.test", sender="a@example.org"))
        return b"" if line == b"QUIET" else b"250-more\r\n250 TWO\r\n" if line == b"TWO" else line.upper() + b"\r\n"

    def peer(self):
        return SessionPeer(self.converse, is_closed=lambda: self.is_closed)


@pytest.fixture
def session():
    return Echo(RecordingHandoff())


@pytest.fixture
def server():
    """The same over sockets: gives host and port."""

    def handle(connection, _):
        session = Echo()
        connection.sendall(session.converse(b""))
        while not session.is_closed and (data := connection.recv(1000)):
            connection.sendall(session.converse(data))

    server = StreamServer(("127.0.0.1", 0), handle)
    server.start()
    yield server.address[0], server.server_port
    server.stop(timeout=0)


def error_of(script, peer, **given):
    with pytest.raises(DialogueError) as caught:
        run_dialogue(script, peer, **given)
    return str(caught.value)


GOOD = """
# A comment, and an empty line:

S: 220 *[x]
C: one
C~ T\\x57O\\r\\n
S: ONE
S: 250-more
S~ 250 (TWO|three)
C: quit
S: QUIT
C: QUIT
S: QUIT
S!
"""


class TestScript:
    @pytest.mark.parametrize("piece_bytes", [0, 1])
    def test_runs_against_a_session(self, piece_bytes):
        run_dialogue(GOOD, Echo().peer(), piece_bytes=piece_bytes)

    def test_runs_against_a_server(self, server):
        run_dialogue(GOOD, server)

    def test_runs_against_a_connected_socket_and_leaves_it_open(self, server):
        with socket.create_connection(server) as connection:
            run_dialogue("S: 220 *\nC: a\nS: A", SocketPeer(connection))
            run_dialogue("C: b\nS: B", SocketPeer(connection))

    def test_a_file_is_read_and_named_in_errors(self, session, tmp_path):
        path = tmp_path / "talk.txt"
        path.write_text("S: 220 *\nC: ä\nS: Ö\n")

        message = error_of(path, session.peer())

        assert message.startswith(f"{path}:3: ")

    def test_lines_of_the_client_that_follow_each_other_go_out_together(self, session):
        run_dialogue("S: 220 *\nC: a\n# still together\nC: b\nS: A\nS: B", session.peer())

        assert [b"", b"a\r\nb\r\n"] == session.pieces

    def test_an_unknown_mark_is_refused_with_its_line(self):
        with pytest.raises(ValueError, match=r"talk:2: 'X: what' begins with none of C!?"):
            Dialogue.parse("S: 220\nX: what", "talk")

    def test_lines_may_all_be_indented(self, session):
        run_dialogue(
            """
            # As a test's own lines are.
            S: 220 *
            C: hello
            S: HELLO
            """,
            session.peer(),
        )

    def test_literal_text_is_no_pattern(self, session):
        assert "came:     S: 220 hello [x]" in error_of("S: 220 hell. [x]", session.peer())


class TestMismatch:
    def test_the_error_shows_line_expectation_what_came_and_what_was_before(self, session):
        message = error_of("S: 220 *\n# comment\nC: a\nS: B\nC: never sent", session.peer())

        assert message == (
            "dialogue:4: the conversation goes otherwise\n"
            "  expected: S: B\n"
            "  came:     S: A\n"
            "  before:   \n"
            "    S: 220 *\n"
            "    C: a"
        )
        assert [b"", b"a\r\n"] == session.pieces

    def test_a_line_too_many_is_found_before_the_client_goes_on(self, session):
        message = error_of("S: 220 *\nC: TWO\nS: 250-more\nC: b", session.peer())

        assert "dialogue:4: " in message
        assert "expected: C: b\n  came:     S: 250 TWO\n" in message

    def test_a_line_too_many_is_found_at_the_end(self, session):
        message = error_of("S: 220 *\nC: TWO\nS: 250-more", session.peer())

        assert "dialogue, at its end: " in message
        assert "expected: nothing more\n  came:     S: 250 TWO\n" in message

    def test_silence_is_said(self, session):
        assert "came:     nothing\n" in error_of("S: 220 *\nC: QUIET\nS: 250", session.peer())

    def test_silence_is_not_anything(self, session):
        assert "came:     nothing\n" in error_of("S: 220 *\nC: QUIET\nS: *", session.peer())

    def test_silence_of_a_socket_ends_after_its_time(self, server):
        message = error_of("S: 220 *\nC: QUIET\nS: 250", server, timeout_s=0.05)

        assert "expected: S: 250\n  came:     nothing\n" in message

    def test_a_server_that_closes_too_early_is_said(self, server):
        message = error_of("S: 220 *\nC: QUIT\nS: QUIT\nS: 250", server)

        assert "came:     the end of the connection\n" in message

    def test_a_session_that_closed_when_the_script_does_not_say_so_is_found(self, session):
        assert "at its end: " in error_of("S: 220 *\nC: QUIT\nS: QUIT", session.peer())
        assert "expected: C: a\n  came:     the end of" in error_of("S: 220 *\nC: QUIT\nS: QUIT\nC: a", Echo().peer())

    def test_a_client_that_cannot_go_on_is_said(self):
        class Gone(SessionPeer):
            def send(self, data):
                raise BrokenPipeError

        message = error_of("C: a", Gone(lambda _: b"", is_closed=lambda: False))

        assert "expected: C: a\n  came:     the end of the connection\n" in message

    @pytest.mark.parametrize("over", ["session", "server"])
    def test_a_server_that_should_have_closed_and_did_not_is_said(self, over, request):
        where = request.getfixturevalue(over)
        peer = where.peer() if over == "session" else where

        message = error_of("S: 220 *\nS!", peer, timeout_s=0.05)

        assert "expected: S!\n  came:     nothing\n" in message

    def test_half_a_line_is_no_line(self):
        peer = SessionPeer(lambda data: b"" if data else b"220", is_closed=lambda: True)

        assert "came:     '220' and the end of the connection\n" in error_of("S: 220", peer)

    def test_a_line_without_an_end_is_not_read_for_ever(self):
        peer = SessionPeer(lambda data: b"x" * 100_000, is_closed=lambda: False)

        assert "octets without an end of line" in error_of("S: 220", peer)

    def test_a_server_that_resets_has_closed(self, server):
        def reset(connection, _):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        resetting = StreamServer(("127.0.0.1", 0), reset)
        resetting.start()
        run_dialogue("S!", (resetting.address[0], resetting.server_port))
        resetting.stop(timeout=0)


class TestMessages:
    def test_what_was_handed_off_is_compared_in_order(self, session):
        run_dialogue(
            "S: 220 *\nC: SEND\nS: SEND\nM: a@example.org -> b@example.test", session.peer(), handoff=session.handoff
        )

    def test_another_message_is_said(self, session):
        message = error_of("S: 220 *\nC: SEND\nS: SEND\nM:  -> x@y", session.peer(), handoff=session.handoff)

        assert "expected: M:  -> x@y\n  came:     M: a@example.org -> b@example.test\n" in message

    def test_none_is_said(self, session):
        message = error_of("S: 220 *\nM:  -> x@y", session.peer(), handoff=session.handoff)

        assert "came:     no message was handed off\n" in message

    def test_one_that_the_script_does_not_name_is_said(self, session):
        message = error_of("S: 220 *\nC: SEND\nS: SEND", session.peer(), handoff=session.handoff)

        assert "expected: nothing more\n  came:     M: a@example.org -> b@example.test\n" in message

    def test_without_a_handoff_there_is_nothing_to_compare(self, session):
        with pytest.raises(ValueError, match="no handoff to look at"):
            run_dialogue("S: 220 *\nM:  -> x@y", session.peer())


def test_a_server_in_this_process_runs_meanwhile(server):
    """The runner's sockets are gevent's: two conversations take turns."""
    talks = [gevent.spawn(run_dialogue, "S: 220 *\nC: a\nS: A\nC: QUIT\nS: QUIT\nS!", server) for _ in range(2)]

    gevent.joinall(talks, raise_error=True, timeout=60)

    assert all(talk.ready() for talk in talks)
