"""A caller of the state machine for tests: it answers what it is asked, and says what the client would read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mdacore import Reply
from mdacore_edge_smtp.protocol import (
    AUTH,
    CHUNKING,
    CLOSED,
    DSN,
    LIMITS,
    NEED_DATA,
    NEED_TLS,
    SMTP_EXTENSIONS,
    SMTPUTF8,
    STARTTLS,
    XCLIENT,
    AuthAttempt,
    Connected,
    DataCommand,
    Event,
    Extension,
    Limits,
    MessageOctets,
    MessageRefused,
    Offer,
    ServerProtocol,
    TlsCommand,
    XclientCommand,
    offer,
)

OK = Reply(code=250, enhanced="2.0.0", text="Ok")
GO_ON = Reply(code=354, text="Go on")
READY = Reply(code=220, enhanced="2.0.0", text="mx ESMTP")
WELCOME = Reply(code=235, enhanced="2.7.0", text="Welcome")
NO = Reply(code=550, enhanced="5.7.1", text="No")
LATER = Reply(code=451, enhanced="4.7.1", text="Later")

ALL_EXTENSIONS = (*SMTP_EXTENSIONS, CHUNKING, SMTPUTF8, DSN, LIMITS, STARTTLS, AUTH, XCLIENT)
TO_RCPT = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"

Answers = Mapping[type[object], Reply]


def offer_of(*extensions: Extension, limits: Limits | None = None, **more: Any) -> Offer:
    limits = limits or Limits()
    return offer(extensions, max_message_size_bytes=limits.max_message_size_bytes, **more)


def good_answer(event: Event) -> Reply:
    if isinstance(event, DataCommand):
        return OK if event.is_chunked else GO_ON
    if isinstance(event, (Connected, TlsCommand, XclientCommand)):
        return READY
    return WELCOME if isinstance(event, AuthAttempt) else OK


class Driver:
    """A protocol with its caller. `events` is all that it said; `answers` replaces the good answer to a question."""

    def __init__(
        self,
        limits: Limits | None = None,
        offered: Offer | None = None,
        *,
        is_lmtp: bool = False,
        answers: Answers | None = None,
        choose: Callable[[Event], Reply] | None = None,
    ) -> None:
        limits = limits or Limits()
        self.answers = dict(answers or {})
        self.events: list[Event] = []
        self.octets: list[str] = []
        self._choose = choose or (lambda event: self.answers.get(type(event)) or good_answer(event))
        self.protocol = ServerProtocol(
            limits=limits, offered=offered or offer_of(*ALL_EXTENSIONS, limits=limits), is_lmtp=is_lmtp
        )

    @property
    def is_closed(self) -> bool:
        return bool(self.protocol.end_reason)

    @property
    def body(self) -> bytes:
        """All octets of messages so far."""
        return b"".join(event.data for event in self.events if isinstance(event, MessageOctets))

    def greeted(self, line: bytes = b"EHLO c\r\n") -> Driver:
        """Past the greeting and EHLO."""
        self.run()
        self.send(line)
        self.events.clear()
        return self

    def run(self) -> list[str]:
        """Answer all questions there are; the replies, of many lines the last, as far as their codes go."""
        protocol = self.protocol
        while (event := protocol.next_event()) not in (NEED_DATA, CLOSED, NEED_TLS):
            self.events.append(event)
            if not isinstance(event, (MessageOctets, MessageRefused)):
                protocol.answer(self._choose(event))
        return codes(protocol.data_to_send())

    def send(self, *pieces: bytes) -> list[str]:
        """What the client reads for these octets."""
        said: list[str] = []
        for piece in pieces:
            self.protocol.receive(piece)
            said += self.run()
        return said

    def one_by_one(self, data: bytes) -> list[str]:
        return self.send(*(data[i : i + 1] for i in range(len(data))))


def codes(octets: bytes) -> list[str]:
    """``"250 2.0.0"`` or ``"354"`` for each reply; its last line counts."""
    lines = [line.decode("ascii") for line in octets.split(b"\r\n")[:-1]]
    return [" ".join(line.split(" ")[:2]) if line[4:5] in "245" and "." in line[:9] else line[:3]
            for line in lines if line[3] == " "]  # fmt: skip
