"""The turn of commands: a line is read, understood, and obeyed, refused, or asked about.

Each kind of meaning has its row in a table; answers are in answers.py. Invariant: a command that changes what comes
next (EHLO, DATA, STARTTLS, AUTH, XCLIENT) is the last that was sent, or the connection ends (RFC 2920 §3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mdacore import Greeting, MailCommand, RcptCommand, Reply
from mdacore_edge_smtp.protocol import events, replies
from mdacore_edge_smtp.protocol.authentication import AuthCommand, obey_auth
from mdacore_edge_smtp.protocol.bodies import Chunk
from mdacore_edge_smtp.protocol.commands import LMTP_COMMANDS, SMTP_COMMANDS, announces_octets, interpret
from mdacore_edge_smtp.protocol.dialogue import Dialogue
from mdacore_edge_smtp.protocol.framing import BareLineFeed, LineTooLong
from mdacore_edge_smtp.protocol.meanings import Answered, Farewell, InternationalRcpt, Refused
from mdacore_edge_smtp.protocol.messages import break_off_chunks, obey_chunk

_LAST_OF_GROUP = frozenset((b"EHLO", b"HELO", b"LHLO", b"DATA", b"STARTTLS", b"AUTH", b"XCLIENT"))


def next_of_commands(dialogue: Dialogue) -> events.Event | events.Pause | None:
    """What comes of the next line; None = nothing that the caller must know of."""
    if dialogue.input.is_used_up:
        return events.NEED_DATA
    try:
        line = dialogue.input.next_line()
        if line is None:
            return events.NEED_DATA
        commands = LMTP_COMMANDS if dialogue.is_lmtp else SMTP_COMMANDS
        meaning = interpret(line, commands, dialogue.state.refuses, dialogue.granted)
    except Refused as refused:
        _refuse_line(dialogue, line or b"", refused.reply)
    except BareLineFeed as bare:
        if announces_octets(bare.line):
            dialogue.close(replies.BARE_LF, reason="BDAT without a size")
        else:
            dialogue.refuse(replies.BARE_LF)
    except LineTooLong:
        _judge_long_line(dialogue)
    else:
        return _OBEY[type(meaning)](dialogue, meaning)
    return None


def _refuse_line(dialogue: Dialogue, line: bytes, reply: Reply) -> None:
    verb = line[:9].partition(b" ")[0].upper()
    if verb == b"RCPT":
        dialogue.note_refused_rcpt()
    if verb not in _LAST_OF_GROUP or not dialogue.is_ahead():
        dialogue.refuse(reply)


def _judge_long_line(dialogue: Dialogue) -> None:
    # The initial response of AUTH may be as long as any other (RFC 4954 §4).
    max_bytes = dialogue.limits.max_auth_line_bytes
    if b"AUTH" not in dialogue.granted.verbs or not dialogue.input.starts_with(b"AUTH "):
        dialogue.close(replies.LINE_TOO_LONG, reason="line too long")
    elif dialogue.input.limit_bytes < max_bytes:
        dialogue.input.limit_bytes = max_bytes
    else:
        dialogue.close(replies.AUTH_LINE_TOO_LONG, reason="line too long")


# --- what moves mail


def _obey_mail(dialogue: Dialogue, command: MailCommand) -> events.Question | None:
    if command.size_bytes > dialogue.limits.max_message_size_bytes:
        dialogue.refuse(replies.MESSAGE_TOO_BIG)
        return None
    # RFC 9422 counts MAIL, whatever comes of it. Who does not look at LIMITS and does not ask first (see
    # `_is_probe_in_vain`) gets 421, so that it need not find out by itself that only another connection helps.
    if dialogue.has_brought_all:
        dialogue.part_after_last_message()
        return None
    dialogue.message_count += 1
    dialogue.question = command
    return command


def _obey_rcpt(dialogue: Dialogue, command: RcptCommand) -> events.Question | None:
    if dialogue.rcpt_count < dialogue.limits.max_recipients:
        dialogue.question = command
        return command
    # RFC 5321 §4.5.3.1.10: after 452 the client sends the rest in another transaction. It is not an error.
    dialogue.overshoot_count += 1
    if dialogue.overshoot_count > dialogue.limits.max_excess_recipients:
        dialogue.close(replies.FAR_TOO_MANY_RCPTS, reason="too many recipients")
    else:
        dialogue.send(replies.TOO_MANY_RCPTS)
    return None


def _obey_international_rcpt(dialogue: Dialogue, meaning: InternationalRcpt) -> events.Question | None:
    if "SMTPUTF8" in dialogue.mail_parameters:
        return _obey_rcpt(dialogue, meaning.command)
    dialogue.note_refused_rcpt()
    dialogue.refuse(replies.NEEDS_SMTPUTF8)
    return None


def _obey_data(dialogue: Dialogue, command: events.DataCommand) -> events.Event | None:
    if dialogue.is_ahead():
        return None
    return dialogue.ask(command) if dialogue.body is None else break_off_chunks(dialogue)


# --- what moves none


def _answer(dialogue: Dialogue, answered: Answered) -> None:
    if not (_is_probe_in_vain(dialogue) or _is_idle_too_long(dialogue)):
        dialogue.send(answered.reply)


def _part(dialogue: Dialogue, farewell: Farewell) -> None:
    dialogue.close(farewell.reply, reason=farewell.reason)


def _obey_reset(dialogue: Dialogue, command: events.ResetCommand) -> events.Question | None:
    return None if _is_probe_in_vain(dialogue) or _is_idle_too_long(dialogue) else dialogue.ask(command)


def _obey_as_last(dialogue: Dialogue, command: Greeting | events.XclientCommand) -> events.Question | None:
    return None if dialogue.is_ahead() or _is_idle_too_long(dialogue) else dialogue.ask(command)


def _obey_starttls(dialogue: Dialogue, command: events.TlsCommand) -> events.Question | None:
    if not dialogue.input.is_used_up:
        # Whoever put octets here may not be the one who shakes hands (RFC 3207 §6): not even a lenient edge obeys.
        dialogue.close(replies.OUT_OF_SYNC, reason="out of sync")
        return None
    refusal = replies.TLS_ALREADY if dialogue.is_tls else dialogue.granted.refusal_of(b"STARTTLS")
    if refusal is not None:
        dialogue.refuse(refusal)
        return None
    return None if _is_idle_too_long(dialogue) else dialogue.ask(command)


def _obey_auth(dialogue: Dialogue, command: AuthCommand) -> events.Event | None:
    return None if dialogue.is_ahead() or _is_idle_too_long(dialogue) else obey_auth(dialogue, command)


def _is_probe_in_vain(dialogue: Dialogue) -> bool:
    # Who keeps connections asks with RSET or NOOP whether they are still good: Postfix would put off the message that
    # gets 421 at MAIL, but goes on in a new connection when its RSET does.
    if dialogue.has_brought_all and dialogue.state is dialogue.outside:
        dialogue.part_after_last_message()
        return True
    return False


def _is_idle_too_long(dialogue: Dialogue) -> bool:
    if not dialogue.strikes.note_idle():
        return False
    dialogue.cut_off()
    return True


_OBEY: Mapping[type[object], Callable[[Dialogue, Any], events.Event | None]] = {
    Greeting: _obey_as_last,
    MailCommand: _obey_mail,
    RcptCommand: _obey_rcpt,
    InternationalRcpt: _obey_international_rcpt,
    events.DataCommand: _obey_data,
    Chunk: obey_chunk,
    events.ResetCommand: _obey_reset,
    events.TlsCommand: _obey_starttls,
    AuthCommand: _obey_auth,
    events.XclientCommand: _obey_as_last,
    Answered: _answer,
    Farewell: _part,
}
