"""The real protocol in a scenario: what it says and asks, in the words of the reference, and whether it may.

`observe` is a caller that does all it should. A nosy one also does at every step what it must not, and sees to it that
each time there is a `Misuse` and nothing else. Invariant: nothing here knows what the protocol ought to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mdacore import Greeting, MailCommand, RcptCommand, Reply
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
    DataCommand,
    Event,
    Limits,
    MessageEnded,
    MessageOctets,
    MessageRefused,
    Misuse,
    Offer,
    ServerProtocol,
    XclientCommand,
    offer,
)

from .reference import OFFERS, Asked, Message, Offered, Rules, Said, Scenario, Transcript, expected

_EXTENSIONS = {
    each.keyword: each for each in (*SMTP_EXTENSIONS, CHUNKING, SMTPUTF8, DSN, LIMITS, STARTTLS, AUTH, XCLIENT)
}
_REPLY_LINE = re.compile(r"([2-5][0-9][0-9])([ -])(?:([245]\.[0-9]{1,3}\.[0-9]{1,3}) )?([ -~]*)\r\n")
_MAX_REPLY_LINE_BYTES = 512
_SOME = Reply(code=250, text="in the wrong moment")
_GO_AHEAD = Reply(code=354, text="in the wrong moment")


def problem_of(scenario: Scenario) -> str:
    """In what the protocol differs from the reference; ``""`` = in nothing. Every exception of the protocol passes."""
    return expected(scenario).difference(observe(scenario))


def observe(scenario: Scenario, *, is_nosy: bool = False) -> Transcript:
    """What the protocol makes of it."""
    caller = _Caller(scenario, is_nosy=is_nosy)
    caller.run()
    return caller.transcript


def new_protocol(scenario: Scenario) -> ServerProtocol:
    """As the scenario wants it, and nothing received."""
    limits = limits_of(scenario.rules)
    return ServerProtocol(limits=limits, offered=offer_of(OFFERS[scenario.offers][0], limits), is_lmtp=scenario.is_lmtp)


def limits_of(rules: Rules) -> Limits:
    return Limits(
        max_line_bytes=rules.max_line_bytes,
        max_message_size_bytes=rules.max_message_size_bytes,
        max_excess_bytes=rules.max_excess_bytes,
        max_recipients=rules.max_recipients,
        max_excess_recipients=rules.max_excess_recipients,
        max_errors=rules.max_errors,
        max_idle_commands=rules.max_idle_commands,
        max_messages=rules.max_messages,
        max_auth_failures=rules.max_auth_failures,
        max_auth_line_bytes=rules.max_auth_line_bytes,
        line_ends="normalize" if rules.is_normalizing else "refuse",
        is_strict_sync=rules.is_strict_sync,
    )


def offer_of(offered: Offered, limits: Limits) -> Offer:
    return offer(
        [_EXTENSIONS[keyword] for keyword in offered.keywords],
        max_message_size_bytes=limits.max_message_size_bytes,
        max_recipients=limits.max_recipients,
        max_messages=limits.max_messages,
        withheld={_EXTENSIONS[keyword]: Reply.parse(reply) for keyword, reply in offered.withheld.items()},
    )


class _Caller:
    def __init__(self, scenario: Scenario, *, is_nosy: bool) -> None:
        self.scenario = scenario
        self.protocol = new_protocol(scenario)
        self.transcript = Transcript()
        self.is_nosy = is_nosy
        self.question_count = self.rcpt_count = 0

    def run(self) -> None:
        if not self.scenario.speaks_first:
            self.work_off()
        for piece in self.scenario.pieces:
            self.protocol.receive(piece)
            self.work_off()
        self.transcript.end = "closed" if self.protocol.end_reason else "waiting"
        self.transcript.error_count = self.protocol.error_count
        self.transcript.is_message_open = self.protocol.is_message_open

    def work_off(self) -> None:
        while (event := self.next_event()) not in (NEED_DATA, CLOSED):
            if event is NEED_TLS:
                self.shake_hands()
            elif isinstance(event, MessageOctets):
                self.transcript.messages[-1].octets += event.data
            else:
                self.transcript.items.append(asked(event))
                if not isinstance(event, MessageRefused):
                    self.answer(event)
                    self.note_replies()

    def next_event(self) -> object:
        event = self.protocol.next_event()
        if self.is_nosy:
            self.misuse(event)
        self.note_replies()
        return event

    def note_replies(self) -> None:
        self.transcript.items += replies_in(self.protocol.data_to_send())

    def shake_hands(self) -> None:
        if not self.scenario.has_handshake:
            self.protocol.close(reason="no handshake")
            return
        limits = limits_of(self.scenario.rules)
        self.protocol.offer_from_now(offer_of(OFFERS[self.scenario.offers][1], limits))
        self.protocol.tls_started()

    def answer(self, question: Event) -> None:
        number, self.question_count = self.question_count, self.question_count + 1
        reply = self.scenario.answer(number, kind_of(question))
        if isinstance(question, MessageEnded):
            given = self.scenario.answer_each(number, self.rcpt_count if self.scenario.is_lmtp else 1)
            if given is not None:
                self.protocol.answer_each(given)
                return
        if isinstance(question, DataCommand) and reply.code < 400:
            self.transcript.messages.append(Message())
        self.note_rcpt(question, is_accepted=reply.code < 400)
        self.protocol.answer(reply)

    def note_rcpt(self, question: Event, *, is_accepted: bool) -> None:
        if isinstance(question, MailCommand):
            self.rcpt_count = 0
        self.rcpt_count += isinstance(question, RcptCommand) and is_accepted

    def misuse(self, event: object) -> None:
        """Everything that is not allowed after this event."""
        protocol = self.protocol
        is_data = isinstance(event, DataCommand) and not event.is_chunked
        if isinstance(event, (MessageOctets, MessageRefused)):
            return
        expect_misuse(lambda: protocol.answer(_SOME if is_data else _GO_AHEAD))
        expect_misuse(lambda: protocol.answer_each([_SOME] * 99))
        expect_misuse(lambda: protocol.answer_each([_GO_AHEAD] * (self.rcpt_count or 1)))
        if event in (NEED_DATA, NEED_TLS, CLOSED):
            expect_misuse(lambda: protocol.answer(_SOME))
        else:
            expect_misuse(protocol.next_event)
        if event is NEED_TLS:
            expect_misuse(lambda: protocol.receive(b"QUIT\r\n"))
        else:
            expect_misuse(protocol.tls_started)


def expect_misuse(call: Callable[[], object]) -> None:
    """Raises AssertionError if the call is allowed."""
    try:
        call()
    except Misuse:
        return
    raise AssertionError("a call that is out of order was allowed")


def kind_of(event: object) -> str:
    """Its class, and ``"FirstChunk"`` for the BDAT that is asked about."""
    return "FirstChunk" if isinstance(event, DataCommand) and event.is_chunked else type(event).__name__


def asked(event: object) -> Asked:
    """An event in the words of the reference."""
    kind = kind_of(event)
    match event:
        case Greeting(verb=verb, name=name):
            return Asked(kind, (verb, name))
        case MailCommand(sender=sender, size_bytes=size, parameters=parameters):
            return Asked(kind, (sender, size, dict(parameters)))
        case RcptCommand(address=address, parameters=parameters):
            return Asked(kind, (address, dict(parameters)))
        case AuthAttempt(credentials=credentials):
            return Asked(kind, (credentials,))
        case XclientCommand(attributes=attributes):
            return Asked(kind, (dict(attributes),))
        case MessageRefused(reply=reply):
            return Asked(kind, (reply.code, reply.enhanced))
    return Asked(kind)


def replies_in(octets: bytes) -> list[Said]:
    """Read replies by the letter (RFC 5321 §4.2); raises AssertionError where they are not."""
    replies: list[Said] = []
    lines: list[tuple[str, ...]] = []
    for raw in octets.splitlines(keepends=True):
        match = _REPLY_LINE.fullmatch(raw.decode("ascii"))
        assert match is not None, raw
        assert len(raw) <= _MAX_REPLY_LINE_BYTES, raw
        code, separator, enhanced, text = match.groups(default="")
        lines.append((code, enhanced, text))
        if separator == " ":
            codes = {line[:2] for line in lines}
            assert len(codes) == 1, octets
            replies.append(Said(int(code), enhanced, tuple(line[2] for line in lines)))
            lines = []
    assert not lines, octets
    return replies
