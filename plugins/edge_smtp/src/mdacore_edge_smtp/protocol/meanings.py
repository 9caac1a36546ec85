"""What a command line can mean. Data only; how it is found out is in commands.py, what is done in obeying.py."""

from __future__ import annotations

import attrs

from mdacore import Greeting, MailCommand, RcptCommand, Reply
from mdacore_edge_smtp.protocol.authentication import AuthCommand
from mdacore_edge_smtp.protocol.bodies import Chunk
from mdacore_edge_smtp.protocol.events import DataCommand, ResetCommand, TlsCommand, XclientCommand


class Refused(Exception):
    """The command is in error, and this is what the client is told."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@attrs.frozen
class Answered:
    """Nobody needs to be asked: this is the reply."""

    reply: Reply


@attrs.frozen
class Farewell:
    """The connection ends here, with this reply; `reason` is for the log."""

    reply: Reply
    reason: str


@attrs.frozen
class InternationalRcpt:
    """RCPT in words that only a transaction with SMTPUTF8 may use (RFC 6531 §3.4)."""

    command: RcptCommand


Meaning = (
    Greeting
    | MailCommand
    | RcptCommand
    | InternationalRcpt
    | DataCommand
    | Chunk
    | ResetCommand
    | TlsCommand
    | AuthCommand
    | XclientCommand
    | Answered
    | Farewell
)
