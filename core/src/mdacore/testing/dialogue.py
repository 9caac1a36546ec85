"""Dialogues: whole conversations as text, run against a socket or against a session without one.

``C:`` is a line of the client, CRLF is added; ``C~`` is octets as they are, with Python's escapes. ``S:`` is a line of
the server, in which ``*`` stands for anything; ``S~`` is one as a regular expression; ``S!`` says that the server has
closed. ``M:`` is a message handed off, ``sender -> recipient, recipient``. ``#`` begins a comment. Lines of the client
that follow each other go out together, and before they do, everything that the server has said must be in the script.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import attrs
from gevent import socket

from mdacore.testing.handoff import RecordingHandoff
from mdacore.testing.peers import PATIENCE_S, Peer, SocketPeer

MAX_LINE_BYTES = 65_536
"""A server that says more without an end of line is not listened to any longer."""
_MARKS = {"C:", "C~", "S:", "S~", "S!", "M:"}
_TRANSCRIPT_LINES = 8


class DialogueError(AssertionError):
    """The conversation went otherwise: says the script's line and what came instead."""


@attrs.frozen
class Line:
    """One line of a script: its number from 1, its mark (``"C:"``) and what stands after it."""

    number: int
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark} {self.text}".rstrip()


@attrs.frozen(kw_only=True)
class Dialogue:
    """A script that can be run any number of times; `name` stands in its errors."""

    name: str
    lines: Sequence[Line]

    @classmethod
    def parse(cls, text: str, name: str = "dialogue") -> Dialogue:
        """A script, whose lines may all be indented alike.

        Raises ValueError, with the line's number, if a line has no mark that is known.
        """
        lines = []
        for number, line in enumerate(textwrap.dedent(text).splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if line[:2] not in _MARKS:
                raise ValueError(f"{name}:{number}: {line!r} begins with none of {', '.join(sorted(_MARKS))}, #")
            lines.append(Line(number, line[:2], line[2:].removeprefix(" ")))
        return cls(name=name, lines=tuple(lines))

    @classmethod
    def read(cls, path: Path) -> Dialogue:
        """The script in a file, in UTF-8."""
        return cls.parse(path.read_text("utf-8"), str(path))

    def run(self, peer: Peer, *, handoff: RecordingHandoff | None = None, piece_bytes: int = 0) -> None:
        """Talk to the peer as the script says, in pieces of `piece_bytes` (0: whole). Blocks as the peer does.

        With a `handoff` the script names every message that was handed off, else it names none.

        Raises:
            DialogueError: the first thing that is otherwise.
            ValueError: there is an ``M:`` and no `handoff`.
        """
        _Conversation(self, peer, handoff, piece_bytes).run()


def run_dialogue(
    script: str | Path | Dialogue,
    peer: Peer | tuple[str, int],
    *,
    handoff: RecordingHandoff | None = None,
    piece_bytes: int = 0,
    timeout_s: float = PATIENCE_S,
) -> None:
    """Run a script (its text, its file, or one that was parsed) against a peer, or the server at a host and port.

    As `Dialogue.run`. A connection is made with gevent's sockets, waits `timeout_s` for each answer, and is closed at
    the end.
    """
    dialogue = _dialogue(script)
    if isinstance(peer, tuple):
        with socket.create_connection(peer, timeout_s) as sock:
            dialogue.run(SocketPeer(sock, timeout_s), handoff=handoff, piece_bytes=piece_bytes)
    else:
        dialogue.run(peer, handoff=handoff, piece_bytes=piece_bytes)


def _dialogue(script: str | Path | Dialogue) -> Dialogue:
    if isinstance(script, Dialogue):
        return script
    return Dialogue.read(script) if isinstance(script, Path) else Dialogue.parse(script)


@attrs.frozen
class _Heard:
    """What came: a whole line of the server's, or why there is none."""

    text: str
    is_line: bool = True

    def __str__(self) -> str:
        return f"S: {self.text}" if self.is_line else self.text


_SILENCE = _Heard("nothing", is_line=False)
_CLOSED = _Heard("the end of the connection", is_line=False)


@attrs.define
class _Conversation:
    """One run."""

    dialogue: Dialogue
    peer: Peer
    handoff: RecordingHandoff | None
    piece_bytes: int
    unread: bytes = b""
    is_closed: bool = False
    named: int = 0
    transcript: list[str] = attrs.field(factory=list)

    def run(self) -> None:
        for speaker, lines in groupby(self.dialogue.lines, key=lambda line: line.mark[0]):
            group = list(lines)
            if speaker == "C":
                self.say(group)
            for line in group:
                if speaker == "S":
                    self.hear(line)
                elif speaker == "M":
                    self.name_message(line)
                self.transcript.append(str(line))
        self.end()

    def say(self, lines: Sequence[Line]) -> None:
        self.expect_silence(lines[0])
        data = b"".join(map(_octets, lines))
        step = self.piece_bytes or len(data) or 1
        try:
            for start in range(0, len(data), step):
                self.peer.send(data[start : start + step])
        except ConnectionError as error:
            raise self.error(lines[0], _CLOSED) from error

    def hear(self, line: Line) -> None:
        heard = self.next_line()
        if not _is_expected(line, heard):
            raise self.error(line, heard)
        self.is_closed = heard is _CLOSED

    def name_message(self, line: Line) -> None:
        if self.handoff is None:
            raise ValueError(f"{self.dialogue.name}:{line.number}: {line}, and there is no handoff to look at")
        handed = _messages(self.handoff)[self.named :]
        if handed[:1] != [line.text]:
            raise self.error(line, f"M: {handed[0]}" if handed else "no message was handed off")
        self.named += 1

    def end(self) -> None:
        self.expect_silence(None)
        unnamed = _messages(self.handoff)[self.named :] if self.handoff is not None else []
        if unnamed:
            raise self.error(None, f"M: {unnamed[0]}")

    def expect_silence(self, line: Line | None) -> None:
        pending = self.peer.pending()
        self.unread += pending or b""
        if self.unread:
            raise self.error(line, self.next_line())
        if pending is None and not self.is_closed:
            raise self.error(line, _CLOSED)

    def next_line(self) -> _Heard:
        while b"\r\n" not in self.unread:
            if len(self.unread) > MAX_LINE_BYTES:
                return _Heard(f"more than {MAX_LINE_BYTES} octets without an end of line", is_line=False)
            try:
                more = self.peer.receive()
            except TimeoutError:
                return self.rest(_SILENCE)
            if not more:
                return self.rest(_CLOSED)
            self.unread += more
        line, _, self.unread = self.unread.partition(b"\r\n")
        return _Heard(_text(line))

    def rest(self, otherwise: _Heard) -> _Heard:
        return _Heard(f"{_text(self.unread)!r} and {otherwise}", is_line=False) if self.unread else otherwise

    def error(self, line: Line | None, came: object) -> DialogueError:
        where = f"{self.dialogue.name}:{line.number}" if line else f"{self.dialogue.name}, at its end"
        before = "".join(f"\n    {one}" for one in self.transcript[-_TRANSCRIPT_LINES:])
        return DialogueError(
            f"{where}: the conversation goes otherwise\n"
            f"  expected: {line or 'nothing more'}\n"
            f"  came:     {came}\n"
            f"  before:   {before or 'nothing'}"
        )


def _octets(line: Line) -> bytes:
    if line.mark == "C:":
        return line.text.encode() + b"\r\n"
    return line.text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")


def _is_expected(line: Line, heard: _Heard) -> bool:
    if line.mark == "S!":
        return heard is _CLOSED
    pattern = line.text if line.mark == "S~" else ".*".join(map(re.escape, line.text.split("*")))
    return heard.is_line and re.fullmatch(pattern, heard.text) is not None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _messages(handoff: RecordingHandoff) -> list[str]:
    return [
        f"{envelope.sender} -> {', '.join(recipient.address for recipient in envelope.recipients)}"
        for envelope in handoff.envelopes
    ]
