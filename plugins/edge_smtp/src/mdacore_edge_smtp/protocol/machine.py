"""ServerProtocol: the server's side of SMTP as a state machine without I/O (RFC 5321).

Octets in, events out; answers in, octets out. It owns framing, grammar, the order of commands, the extensions and the
limits; who may send what to whom is its caller's business.
Invariants: no octets from a client raise; a call that is out of order raises `Misuse` and changes nothing; replies
leave in the order of the commands; what is kept of the input is at most one line and the last piece received.
"""

from __future__ import annotations

from mdacore import Greeting, MailCommand, RcptCommand, Reply
from mdacore_edge_smtp.protocol import events, replies, states
from mdacore_edge_smtp.protocol.commands import Answered, Farewell, Meaning, Refused, interpret
from mdacore_edge_smtp.protocol.extensions import NO_EXTENSIONS, Offer
from mdacore_edge_smtp.protocol.framing import BareLineFeed, DataReader, LineBuffer, LineTooLong
from mdacore_edge_smtp.protocol.limits import Limits, Strikes

_IDLE = frozenset((Answered, Greeting, events.ResetCommand))


class Misuse(RuntimeError):
    """The caller broke the rules of this class; nothing has changed."""


class ServerProtocol:
    """One connection's protocol.

    The caller loops over `next_event` and gives each `Question` its `answer`; at NEED_DATA it sends `data_to_send`,
    waits, and calls `receive`; at CLOSED it sends what is left and closes. The first event is `Connected`.

    Attributes:
        is_message_open: a message is on its way, or has arrived and is not answered.
        end_reason: why it is closed, for the log; ``""`` before.
    """

    def __init__(self, *, limits: Limits, offered: Offer) -> None:
        self._limits = limits
        self._offered = offered
        self._granted = NO_EXTENSIONS
        self._input = LineBuffer(limits.max_line_bytes)
        self._output: list[bytes] = []
        self._state = self._outside_transaction = states.STRANGER
        self._reader: DataReader | None = None
        self._unanswered: events.Question | None = None
        self._is_announced = False
        self._rcpt_count = self._overshoot_count = 0
        self._strikes = Strikes(limits)
        self.is_message_open = False
        self.end_reason = ""

    @property
    def error_count(self) -> int:
        """Commands in error since the last message was accepted."""
        return self._strikes.error_count

    def receive(self, data: bytes) -> None:
        """Take what the client sent. Memory is bounded if the pieces are, and one comes after each NEED_DATA."""
        if self._state is not states.CLOSED:
            self._input.append(data)

    def next_event(self) -> events.Event | events.Pause:
        """The next thing that the client did, or why there is none now.

        Raises:
            Misuse: the last question has not been answered.
        """
        if self._unanswered is not None:
            raise Misuse(f"not answered: {type(self._unanswered).__name__}")
        if not self._is_announced:
            self._is_announced = True
            return self._ask(events.CONNECTED)
        event: events.Event | events.Pause | None = None
        while event is None:
            if self._state is states.CLOSED:
                return events.CLOSED
            if self._reader is not None:
                event = self._next_of_message(self._reader)
            else:
                event = events.NEED_DATA if self._input.is_used_up else self._next_of_commands()
        return event

    def answer(self, reply: Reply) -> None:
        """Answer the last question. A 421 or 521 also ends the connection, and so does refusing `Connected`.

        Raises:
            Misuse: there is no question, or the reply is a 3yz where 2yz would be success, or the reverse.
        """
        question = self._unanswered
        if question is None:
            raise Misuse("nothing to answer")
        if reply.code < 400 and (reply.code >= 300) is not (question is events.DATA_COMMAND):
            raise Misuse(f"{reply.code} does not answer {type(question).__name__}")
        self._unanswered = None
        if reply.code < 400:
            self._succeed(question, reply)
        elif reply.code in replies.CLOSING_CODES or question is events.CONNECTED:
            self.close(reply, reason="refused")
        else:
            self._fail(question, reply)

    def close(self, reply: Reply | None = None, *, reason: str) -> None:
        """End the connection, whatever it is doing, with these last words. Closed already, nothing changes."""
        if self._state is states.CLOSED:
            return
        if reply is not None:
            self._send(reply)
        self._state = states.CLOSED
        self._reader = None
        self.is_message_open = False
        self._unanswered = None
        self._is_announced = True
        self._input.take()
        self.end_reason = reason

    def data_to_send(self) -> bytes:
        """The octets for the client since the last call; ``b""`` = none."""
        output, self._output = self._output, []
        return output[0] if len(output) == 1 else b"".join(output)

    # --- commands

    def _next_of_commands(self) -> events.Question | events.Pause | None:
        line: bytes | None = b""
        try:
            line = self._input.next_line()
            if line is None:
                return events.NEED_DATA
            return self._obey(interpret(line, self._state.refuses, self._granted))
        except Refused as refused:
            if line and line[:4].upper() == b"RCPT":
                self._note_refused_rcpt()
            self._refuse(refused.reply)
        except BareLineFeed:
            self._refuse(replies.BARE_LF)
        except LineTooLong:
            self.close(replies.LINE_TOO_LONG, reason="line too long")
        return None

    def _obey(self, meaning: Meaning) -> events.Question | None:
        if type(meaning) in _IDLE and self._strikes.note_idle():
            self._cut_off()
            return None
        match meaning:
            case RcptCommand() if self._rcpt_count >= self._limits.max_recipients:
                self._refuse_rcpt_over_limit()
            case MailCommand(size_bytes=size_bytes) if size_bytes > self._limits.max_message_size_bytes:
                raise Refused(replies.MESSAGE_TOO_BIG)
            case Answered(reply):
                self._send(reply)
            case Farewell(reply, reason):
                self.close(reply, reason=reason)
            case _:
                self._unanswered = meaning
                return meaning
        return None

    def _refuse_rcpt_over_limit(self) -> None:
        # RFC 5321 §4.5.3.1.10: after 452 the client sends the rest in another transaction. It is not an error.
        self._overshoot_count += 1
        if self._overshoot_count > self._limits.max_recipients:
            self.close(replies.FAR_TOO_MANY_RCPTS, reason="too many recipients")
        else:
            self._send(replies.TOO_MANY_RCPTS)

    def _refuse(self, reply: Reply) -> None:
        if self._strikes.note_error():
            self._cut_off()
        else:
            self._send(reply)

    def _cut_off(self) -> None:
        self.close(replies.TOO_MANY_ERRORS, reason="too many errors")

    # --- the message

    def _next_of_message(self, reader: DataReader) -> events.Event | events.Pause:
        if not reader.is_ended:
            data = self._input.take()
            if not data:
                return events.NEED_DATA
            octets = reader.feed(data)
            if reader.excess_bytes > self._limits.max_excess_bytes:
                self.close(replies.FAR_TOO_BIG, reason="message far too big")
                return events.MessageRefused(replies.FAR_TOO_BIG)
            if octets:
                return events.MessageOctets(octets)
            if not reader.is_ended:
                return events.NEED_DATA
        if reader.is_too_big:
            return self._refuse_message(replies.MESSAGE_TOO_BIG)
        if reader.has_bare_line_end:
            return self._refuse_message(replies.BARE_IN_MESSAGE)
        return self._ask(events.MESSAGE_ENDED)

    def _refuse_message(self, reply: Reply) -> events.MessageRefused:
        self._end_message()
        self._strikes.note_error()
        self._send(reply)
        return events.MessageRefused(reply)

    def _end_message(self) -> None:
        if self._reader is not None:
            self._input.append(self._reader.rest)
        self._end_transaction()

    # --- answers

    def _ask(self, question: events.Question) -> events.Question:
        self._unanswered = question
        return question

    def _succeed(self, question: events.Question, reply: Reply) -> None:
        match question:
            case RcptCommand():
                self._rcpt_count += 1
                self._state = states.RCPT
            case MailCommand():
                self._state = states.MAIL
            case events.DataCommand():
                self._reader = DataReader(self._limits.max_message_size_bytes)
                self.is_message_open = True
            case events.MessageEnded():
                self._end_message()
                self._strikes.forgive()
            case events.ResetCommand():
                self._end_transaction()
            case Greeting(verb=verb):
                self._grant(verb, reply)
                return
            case events.Connected():
                self._output.append(replies.encode_lines(reply.code, "", reply.text.split("\n")))
                return
        self._output.append(replies.encode(reply))

    def _fail(self, question: events.Question, reply: Reply) -> None:
        if isinstance(question, RcptCommand):
            self._note_refused_rcpt()
        elif isinstance(question, events.MessageEnded):
            self._end_message()
        self._send(reply)

    def _grant(self, verb: str, reply: Reply) -> None:
        # RFC 2034 §3: the answers to EHLO and HELO have no enhanced codes.
        self._granted = NO_EXTENSIONS if verb == "HELO" else self._offered
        self._output.append(replies.encode_lines(reply.code, "", [*reply.text.split("\n"), *self._granted.lines]))
        self._outside_transaction = states.IDLE
        self._end_transaction()

    def _end_transaction(self) -> None:
        self._reader = None
        self.is_message_open = False
        self._rcpt_count = self._overshoot_count = 0
        self._state = self._outside_transaction

    def _note_refused_rcpt(self) -> None:
        if self._state is states.MAIL:
            self._state = states.MAIL_NO_RCPT

    def _send(self, reply: Reply) -> None:
        self._output.append(replies.encode(reply))
