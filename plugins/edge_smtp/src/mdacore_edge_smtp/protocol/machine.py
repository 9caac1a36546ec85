"""ServerProtocol: the server's side of SMTP and LMTP as a state machine without I/O (RFC 5321, RFC 2033).

Octets in, events out; answers in, octets out. It owns framing, grammar, the order of commands, the extensions and the
limits; who may send what to whom is its caller's business. This is its face; a `Dialogue` is its state, and what it
does is in obeying.py, messages.py, authentication.py and answers.py.
Invariants: no octets from a client raise; a call that is out of order raises `Misuse` and changes nothing; replies
leave in the order of the commands; what is kept of the input is at most one line and the last piece received.
"""

from __future__ import annotations

from collections.abc import Sequence

from mdacore import Reply
from mdacore_edge_smtp.protocol import answers, events, replies
from mdacore_edge_smtp.protocol.dialogue import Dialogue, await_tls, closed
from mdacore_edge_smtp.protocol.extensions import Offer
from mdacore_edge_smtp.protocol.limits import Limits
from mdacore_edge_smtp.protocol.obeying import next_of_commands


class Misuse(RuntimeError):
    """The caller broke the rules of this class; nothing has changed."""


class ServerProtocol:
    """One connection's protocol.

    The caller loops over `next_event` and gives each `Question` its `answer`; at NEED_DATA it sends `data_to_send`,
    waits, and calls `receive`; at NEED_TLS it sends likewise, shakes hands, and calls `tls_started`; at CLOSED it
    sends what is left and closes. The first event is `Connected`: what was received before it is answered, the client
    sent too early.
    """

    __slots__ = ("_dialogue",)

    def __init__(self, *, limits: Limits, offered: Offer, is_lmtp: bool = False) -> None:
        """`is_lmtp`: RFC 2033: LHLO in place of EHLO, and one reply for each recipient after the message."""
        self._dialogue = Dialogue.begin(limits, offered, is_lmtp=is_lmtp)

    @property
    def is_message_open(self) -> bool:
        """A message is on its way, or has arrived and is not answered; in chunks, also between them."""
        return self._dialogue.is_message_open

    @property
    def end_reason(self) -> str:
        """Why it is closed, for the log; ``""`` before."""
        return self._dialogue.end_reason

    @property
    def error_count(self) -> int:
        """Commands in error since the last message was accepted."""
        return self._dialogue.strikes.error_count

    def receive(self, data: bytes) -> None:
        """Take what the client sent. Memory is bounded if the pieces are, and one comes after each NEED_DATA.

        Raises:
            Misuse: TLS is about to start: what the client sends is for the handshake.
        """
        dialogue = self._dialogue
        turn = dialogue.turn
        if turn is await_tls:
            raise Misuse("TLS has not started")
        if turn is not closed:
            dialogue.input.append(data)

    def next_event(self) -> events.Event | events.Pause:
        """The next thing that the client did, or why there is none now.

        Raises:
            Misuse: the last question has not been answered.
        """
        dialogue = self._dialogue
        if dialogue.question is not None:
            raise Misuse(f"not answered: {type(dialogue.question).__name__}")
        event: events.Event | events.Pause | None = None
        while event is None:
            event = (dialogue.turn or next_of_commands)(dialogue)
        return event

    def answer(self, reply: Reply) -> None:
        """Answer the last question. A 421 or 521 also ends the connection, and so does refusing `Connected`.

        Over LMTP the answer to `MessageEnded` is said for each recipient.

        Raises:
            Misuse: there is no question, or the reply is a 3yz where 2yz would be success, or the reverse.
        """
        dialogue = self._dialogue
        question = dialogue.question
        if question is None:
            raise Misuse("nothing to answer")
        if reply.code < 400 and (reply.code >= 300) is not (question is events.DATA_COMMAND):
            raise Misuse(f"{reply.code} does not answer {type(question).__name__}")
        dialogue.question = None
        if reply.code < 400:
            answers.SUCCESSES[type(question)](dialogue, question, reply)
        elif reply.code in replies.CLOSING_CODES or question is events.CONNECTED:
            dialogue.close(reply, reason="refused")
        else:
            answers.REFUSALS[type(question)](dialogue, question, reply)

    def answer_each(self, given: Sequence[Reply]) -> None:
        """Answer `MessageEnded` with one reply for each accepted RCPT, in their order (RFC 2033 §4.2); over SMTP, one.

        A 421 or 521 among them also ends the connection, after the last of them.

        Raises:
            Misuse: `MessageEnded` is not the question, these are not as many as there must be, or one is a 3yz.
        """
        dialogue = self._dialogue
        count = dialogue.rcpt_count if dialogue.is_lmtp else 1
        if dialogue.question is not events.MESSAGE_ENDED:
            raise Misuse("no message to answer")
        if len(given) != count or any(300 <= reply.code < 400 for reply in given):
            raise Misuse(f"{len(given)} replies where {count} are to be final ones")
        dialogue.question = None
        answers.answer_each(dialogue, given)

    def offer_from_now(self, offered: Offer) -> None:
        """What the next EHLO grants, for instance under TLS or to who has authenticated. What is granted stays."""
        self._dialogue.offered = offered

    def tls_started(self) -> None:
        """The handshake is done: all that was learnt in clear is forgotten, but for errors (RFC 3207 §4.2).

        The next EHLO grants what `offer_from_now` said, before or after this call. If the handshake fails, `close`.

        Raises:
            Misuse: NEED_TLS is not what the protocol waits for.
        """
        dialogue = self._dialogue
        if dialogue.turn is not await_tls:
            raise Misuse("nobody asked for TLS")
        dialogue.forget()
        dialogue.is_tls = True

    def close(self, reply: Reply | None = None, *, reason: str) -> None:
        """End the connection, whatever it is doing, with these last words. Closed already, nothing changes."""
        self._dialogue.close(reply, reason=reason)

    def data_to_send(self) -> bytes:
        """The octets for the client since the last call; ``b""`` = none."""
        dialogue = self._dialogue
        output, dialogue.output = dialogue.output, []
        return output[0] if len(output) == 1 else b"".join(output)
