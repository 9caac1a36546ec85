"""A conversation as it goes on: how far the octets are read, and what was said and asked. No command is known here.

Invariant: `at` only moves forward, and the transcript only grows.
"""

from __future__ import annotations

import attrs

from mdacore import Reply

from .scenario import Offered, Scenario
from .transcript import Asked, Said, Transcript

CRLF = b"\r\n"


class WaitingError(Exception):
    """There are no more octets."""


class ClosedError(Exception):
    """The connection has ended."""


class TooLongError(Exception):
    """There is no end of line within the limit."""


class RefusedError(Exception):
    """A command is in error."""


@attrs.define
class Transaction:
    """From MAIL on. `chunks` are the octets of BDAT so far, None = there was none yet."""

    is_smtputf8: bool
    rcpt_count: int = 0
    overshoot_count: int = 0
    has_refused_rcpt: bool = False
    chunks: bytes | None = None
    is_spoilt: bool = False


class Conversation:
    """What all commands need."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.rules = scenario.rules
        self.octets = b"".join(scenario.pieces)
        self.at = 0
        self.transcript = Transcript()
        self.question_count = self.errors = self.idle_count = self.message_count = self.auth_failures = 0
        self.is_tls = self.is_authenticated = self.has_greeted = self.is_in_data = False
        self.granted: Offered = Offered(keywords=())
        self.transaction: Transaction | None = None

    # --- octets

    def is_something_behind(self) -> bool:
        """Whether more has arrived than was read, when what was read had just arrived."""
        arrived = 0
        for number, piece in enumerate(self.scenario.pieces):
            is_here = arrived < self.at or (number == 0 and self.scenario.speaks_first)
            arrived += len(piece) if is_here else 0
        return arrived > self.at

    def next_line(self, limit_bytes: int) -> bytes:
        """Up to LF."""
        window = self.octets[self.at : self.at + limit_bytes]
        if b"\n" not in window:
            raise TooLongError if len(window) == limit_bytes else WaitingError
        line = window[: window.index(b"\n") + 1]
        self.at += len(line)
        return line

    def next_command(self) -> bytes:
        """A line that ends as it should; others are answered here."""
        while True:
            line = self.next_line_or_close()
            if line.endswith(CRLF):
                return line[:-2]
            if self.rules.is_normalizing:
                return line[:-1]
            if line[:4].upper() == b"BDAT":
                self.close("500 5.5.2")
            self.error("500 5.5.2")
            self.skip_line()

    def next_line_or_close(self) -> bytes:
        try:
            return self.next_line(self.rules.max_line_bytes)
        except TooLongError:
            if not self.is_auth_next():
                self.close("500 5.5.2")
        return self.next_auth_line()

    def next_auth_line(self) -> bytes:
        """RFC 4954 §4: 12 288 octets at least."""
        try:
            return self.next_line(self.rules.max_auth_line_bytes)
        except TooLongError:
            self.close("500 5.5.6")
            raise

    def is_auth_next(self) -> bool:
        return "AUTH" in self.granted.keywords and self.octets[self.at : self.at + 5].upper() == b"AUTH "

    def skip_line(self) -> None:
        """The rest of a line with a bare LF is part of that line."""
        window = self.octets[self.at : self.at + self.rules.max_line_bytes]
        if CRLF in window:
            self.at += window.index(CRLF) + 2
        elif len(window) < self.rules.max_line_bytes:
            raise WaitingError
        else:
            self.close("500 5.5.2")

    def take(self, count: int) -> bytes:
        taken = self.octets[self.at : self.at + count]
        self.at += len(taken)
        return taken

    # --- what is said and asked

    def say(self, reply: str) -> None:
        code, _, enhanced = reply.partition(" ")
        self.transcript.items.append(Said(int(code), enhanced))

    def repeat(self, reply: Reply, *more_lines: str, has_status: bool = True) -> None:
        """What the caller answered."""
        lines = (*reply.text.split("\n"), *more_lines)
        self.transcript.items.append(Said(reply.code, reply.enhanced if has_status else "", lines))

    def close(self, reply: str) -> None:
        self.say(reply)
        raise ClosedError

    def error(self, reply: str) -> None:
        self.errors += 1
        if self.errors >= self.rules.max_errors:
            self.close("421 4.7.0")
        self.say(reply)

    def idle(self) -> None:
        """A command that moves no mail."""
        self.idle_count += 1
        if self.idle_count > self.rules.max_idle_commands:
            self.errors += 1
            if self.errors >= self.rules.max_errors:
                self.close("421 4.7.0")

    def forgive(self) -> None:
        self.errors = self.idle_count = 0

    def ask(self, kind: str, *details: object) -> Reply:
        self.transcript.items.append(Asked(kind, details))
        reply = self.scenario.answer(self.question_count, kind)
        self.question_count += 1
        if reply.code in (421, 521) or (kind == "Connected" and reply.code >= 400):
            self.repeat(reply)
            raise ClosedError
        return reply

    def must_be_last(self) -> None:
        """RFC 2920 §3.1: the client has to wait for this reply."""
        if self.rules.is_strict_sync and self.is_something_behind():
            self.close("554 5.5.0")
