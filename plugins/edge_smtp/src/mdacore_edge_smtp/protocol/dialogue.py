"""Dialogue: what the parts of the state machine share: where a connection stands, its octets, its limits, its end.

What is done at which command, message or answer is in the modules around it. Invariants: replies leave in the order
in which they are sent; after `close` nothing is read and nothing is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import attrs

from mdacore import Reply
from mdacore_edge_smtp.protocol import events, replies, states
from mdacore_edge_smtp.protocol.bodies import Chunk, ChunkReader
from mdacore_edge_smtp.protocol.extensions import NO_EXTENSIONS, Offer
from mdacore_edge_smtp.protocol.framing import LineBuffer
from mdacore_edge_smtp.protocol.limits import Limits, Strikes

Turn = Callable[["Dialogue"], events.Event | events.Pause | None]
"""Takes something from the input: an event, a pause, or None to be called again."""

_NO_CHUNK = Chunk(0, is_last=False)
_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


@attrs.define(eq=False, kw_only=True)
class Dialogue:
    """One connection's state. `end_transaction`, `forget` and `close` keep its parts in step.

    Attributes:
        turn: who takes the input now; None = commands.
        question: waits for its answer; None = none.
        state: which commands are in order; `outside` is the one to go back to after a transaction.
        mail_parameters: of the open transaction's MAIL.
        body: of the message that comes in chunks, from the first one's welcome on; None = there is none.
        chunk: the last BDAT that was in order.
    """

    limits: Limits
    offered: Offer
    is_lmtp: bool
    order: states.Order
    input: LineBuffer
    strikes: Strikes
    state: states.State
    outside: states.State
    turn: Turn | None
    granted: Offer = NO_EXTENSIONS
    output: list[bytes] = attrs.field(factory=list)
    question: events.Question | None = None
    body: ChunkReader | None = None
    chunk: Chunk = _NO_CHUNK
    mail_parameters: Mapping[str, str] = _NO_PARAMETERS
    rcpt_count: int = 0
    overshoot_count: int = 0
    message_count: int = 0
    auth_failure_count: int = 0
    is_authenticated: bool = False
    is_tls: bool = False
    is_message_open: bool = False
    end_reason: str = ""

    @classmethod
    def begin(cls, limits: Limits, offered: Offer, *, is_lmtp: bool) -> Dialogue:
        """Of a connection that has just been made."""
        order = states.LMTP_ORDER if is_lmtp else states.SMTP_ORDER
        return cls(
            limits=limits,
            offered=offered,
            is_lmtp=is_lmtp,
            order=order,
            input=LineBuffer(limits.max_line_bytes, normalizes=limits.normalizes),
            strikes=Strikes(limits),
            state=order.stranger,
            outside=order.stranger,
            turn=_connect,
        )

    def ask(self, question: events.Question) -> events.Question:
        """Nothing else happens until this is answered."""
        self.question = question
        return question

    def send(self, reply: Reply) -> None:
        """Say this."""
        self.output.append(replies.encode(reply))

    def send_without_status(self, reply: Reply, *more_lines: str) -> None:
        """Say this without its enhanced code: greetings, and the answers to EHLO (RFC 2034 §3)."""
        self.output.append(replies.encode_lines(reply.code, "", (*reply.text.split("\n"), *more_lines)))

    def send_to_each(self, reply: Reply) -> None:
        """Answer a message: over LMTP once for each recipient (RFC 2033 §4.2)."""
        self.output.append(replies.encode(reply) * (self.rcpt_count if self.is_lmtp else 1))

    def refuse(self, reply: Reply) -> None:
        """Say that a command is in error; one error too many ends the connection."""
        if self.strikes.note_error():
            self.cut_off()
        else:
            self.send(reply)

    def cut_off(self) -> None:
        """End the connection of a client that makes nothing but errors."""
        self.close(replies.TOO_MANY_ERRORS, reason="too many errors")

    @property
    def has_brought_all(self) -> bool:
        """The client has sent as many messages as one connection may."""
        return self.message_count >= self.limits.max_messages

    def part_after_last_message(self) -> None:
        """End the connection: its client has to make a new one for what it still has."""
        self.close(replies.TOO_MANY_MESSAGES, reason="too many messages")

    def is_ahead(self) -> bool:
        """Whether the client has spoken before it had the reply that it must wait for; that ends the connection."""
        if self.input.is_used_up or not self.limits.is_strict_sync:
            return False
        self.close(replies.OUT_OF_SYNC, reason="out of sync")
        return True

    def end_transaction(self) -> None:
        """No sender, no recipients, no message; the next thing is a command."""
        self.turn = None
        self.body = None
        self.is_message_open = False
        self.mail_parameters = _NO_PARAMETERS
        self.rcpt_count = self.overshoot_count = 0
        self.state = self.outside

    def forget(self) -> None:
        """All that the client said is forgotten; only counts stay."""
        self.granted = NO_EXTENSIONS
        self.is_authenticated = False
        self.outside = self.order.stranger
        self.end_transaction()

    def note_refused_rcpt(self) -> None:
        """A recipient was refused; if all are, there will be no message."""
        if self.state is self.order.mail:
            self.state = self.order.mail_no_rcpt

    def close(self, reply: Reply | None = None, *, reason: str) -> None:
        """End the connection, whatever it is doing, with these last words. Closed already, nothing changes."""
        if self.turn is closed:
            return
        if reply is not None:
            self.send(reply)
        self.forget()
        self.input.take()
        self.turn = closed
        self.question = None
        self.end_reason = reason


def _connect(dialogue: Dialogue) -> events.Question:
    dialogue.turn = None
    return dialogue.ask(events.CONNECTED)


def await_tls(_: Dialogue) -> events.Pause:
    """The turn of the handshake, which is not carried by this machine."""
    return events.NEED_TLS


def closed(_: Dialogue) -> events.Pause:
    """The turn of nobody."""
    return events.CLOSED
