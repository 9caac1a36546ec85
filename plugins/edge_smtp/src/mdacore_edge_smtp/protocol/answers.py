"""What an answer of the caller does to the dialogue: a table from the question to its success, and one to its refusal.

Closing replies are seen to before. Invariant: after each function at most one reply has been sent for each command or,
over LMTP, for each recipient of a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mdacore import Greeting, MailCommand, RcptCommand, Reply
from mdacore_edge_smtp.protocol import events, replies
from mdacore_edge_smtp.protocol.dialogue import Dialogue, await_tls
from mdacore_edge_smtp.protocol.extensions import NO_EXTENSIONS
from mdacore_edge_smtp.protocol.messages import begin_chunks, begin_data, spoil_chunks


def answer_each(dialogue: Dialogue, answers: Sequence[Reply]) -> None:
    """A message's replies, one for each recipient (RFC 2033 §4.2)."""
    for reply in answers:
        dialogue.send(reply)
    dialogue.end_transaction()
    if any(reply.is_success for reply in answers):
        dialogue.strikes.forgive()
    if any(reply.code in replies.CLOSING_CODES for reply in answers):
        dialogue.close(reason="refused")


# --- successes


def _welcome(dialogue: Dialogue, _: events.Connected, reply: Reply) -> None:
    if not dialogue.is_ahead():
        dialogue.send_without_status(reply)


def _grant(dialogue: Dialogue, greeting: Greeting, reply: Reply) -> None:
    dialogue.granted = NO_EXTENSIONS if greeting.verb == "HELO" else dialogue.offered
    dialogue.send_without_status(reply, *dialogue.granted.lines)
    dialogue.outside = dialogue.order.idle
    dialogue.end_transaction()


def _open_transaction(dialogue: Dialogue, command: MailCommand, reply: Reply) -> None:
    dialogue.state = dialogue.order.mail
    dialogue.mail_parameters = command.parameters
    dialogue.output.append(replies.encode(reply))


def _add_rcpt(dialogue: Dialogue, _: RcptCommand, reply: Reply) -> None:
    dialogue.rcpt_count += 1
    dialogue.state = dialogue.order.rcpt
    dialogue.output.append(replies.encode(reply))


def _expect_message(dialogue: Dialogue, command: events.DataCommand, reply: Reply) -> None:
    if command.is_chunked:
        begin_chunks(dialogue)
    else:
        begin_data(dialogue)
        dialogue.send(reply)


def _accept_message(dialogue: Dialogue, _: events.MessageEnded, reply: Reply) -> None:
    dialogue.send_to_each(reply)
    dialogue.end_transaction()
    dialogue.strikes.forgive()


def _reset(dialogue: Dialogue, _: events.ResetCommand, reply: Reply) -> None:
    dialogue.end_transaction()
    dialogue.send(reply)


def _begin_tls(dialogue: Dialogue, _: events.TlsCommand, reply: Reply) -> None:
    dialogue.end_transaction()
    dialogue.send(reply)
    dialogue.turn = await_tls


def _authenticate(dialogue: Dialogue, _: events.AuthAttempt, reply: Reply) -> None:
    dialogue.is_authenticated = True
    dialogue.auth_failure_count = 0
    dialogue.send(reply)


def _begin_anew(dialogue: Dialogue, _: events.XclientCommand, reply: Reply) -> None:
    dialogue.forget()
    dialogue.strikes.forgive()
    dialogue.message_count = dialogue.auth_failure_count = 0
    dialogue.send_without_status(reply)


# --- refusals


def _refuse(dialogue: Dialogue, _: events.Question, reply: Reply) -> None:
    dialogue.send(reply)


def _refuse_rcpt(dialogue: Dialogue, _: RcptCommand, reply: Reply) -> None:
    dialogue.note_refused_rcpt()
    dialogue.send(reply)


def _refuse_data(dialogue: Dialogue, command: events.DataCommand, reply: Reply) -> None:
    if command.is_chunked:
        spoil_chunks(dialogue, reply)
    elif dialogue.strikes.note_idle():  # the transaction stays open, and DATA may come again
        dialogue.cut_off()
    else:
        dialogue.send(reply)


def _refuse_message(dialogue: Dialogue, _: events.MessageEnded, reply: Reply) -> None:
    dialogue.send_to_each(reply)
    dialogue.end_transaction()


def _refuse_credentials(dialogue: Dialogue, _: events.AuthAttempt, reply: Reply) -> None:
    # A 4yz says nothing about the credentials.
    dialogue.auth_failure_count += reply.is_permanent
    if dialogue.auth_failure_count >= dialogue.limits.max_auth_failures:
        dialogue.close(replies.TOO_MANY_AUTH_FAILURES, reason="too many authentication failures")
    else:
        dialogue.send(reply)


_Act = Callable[[Dialogue, Any, Reply], None]

SUCCESSES: Mapping[type[object], _Act] = {
    events.Connected: _welcome,
    Greeting: _grant,
    MailCommand: _open_transaction,
    RcptCommand: _add_rcpt,
    events.DataCommand: _expect_message,
    events.MessageEnded: _accept_message,
    events.ResetCommand: _reset,
    events.TlsCommand: _begin_tls,
    events.AuthAttempt: _authenticate,
    events.XclientCommand: _begin_anew,
}
"""By the type of the question: what a 2yz or 3yz does."""

REFUSALS: Mapping[type[object], _Act] = {
    Greeting: _refuse,
    MailCommand: _refuse,
    events.ResetCommand: _refuse,
    events.TlsCommand: _refuse,
    events.XclientCommand: _refuse,
    RcptCommand: _refuse_rcpt,
    events.DataCommand: _refuse_data,
    events.MessageEnded: _refuse_message,
    events.AuthAttempt: _refuse_credentials,
}
"""By the type of the question: what a 4yz or 5yz does that does not end the connection."""
