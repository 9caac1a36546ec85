"""What each command line means: a table from the verb to a function of its argument (RFC 5321 §4.1.1).

Pure: a function says what the client wants, or raises `Refused`; whether it is within the limits is the machine's
business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import attrs

from mdacore import Greeting, MailCommand, RcptCommand, Reply
from mdacore_edge_smtp.protocol import replies
from mdacore_edge_smtp.protocol.events import DATA_COMMAND, RESET_COMMAND, DataCommand, ResetCommand
from mdacore_edge_smtp.protocol.extensions import Offer, Parameters
from mdacore_edge_smtp.protocol.grammar import (
    parse_forward_path,
    parse_helo_name,
    parse_parameters,
    parse_reverse_path,
)


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


MeaningT = TypeVar("MeaningT")
Meaning = Greeting | MailCommand | RcptCommand | DataCommand | ResetCommand | Answered | Farewell
Command = Callable[[bytes, Offer], Meaning]

QUIT = "quit"
"""The reason of an end that the client asked for."""

_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})
_NOOP = Answered(replies.NOOP)
_HELP = Answered(replies.HELP)
_VRFY = Answered(replies.VRFY)
_QUIT = Farewell(replies.BYE, QUIT)
_NOT_SMTP = Farewell(replies.NOT_SMTP, "not SMTP")


def _ehlo(argument: bytes, _: Offer) -> Greeting:
    return Greeting(verb="EHLO", name=_helo_name(argument))


def _helo(argument: bytes, _: Offer) -> Greeting:
    return Greeting(verb="HELO", name=_helo_name(argument))


def _helo_name(argument: bytes) -> str:
    name = parse_helo_name(argument)
    if name is None:
        raise Refused(replies.BAD_ARGUMENT)
    return name


def _mail(argument: bytes, granted: Offer) -> MailCommand:
    path = parse_reverse_path(argument)
    if path is None:
        raise Refused(_path_mistake(argument, b"FROM:", replies.BAD_SENDER))
    parameters = _parameters(path[1], granted.mail)
    return MailCommand(sender=path[0], size_bytes=int(parameters.get("SIZE", "0")), parameters=parameters)


def _rcpt(argument: bytes, granted: Offer) -> RcptCommand:
    path = parse_forward_path(argument)
    if path is None:
        raise Refused(_path_mistake(argument, b"TO:", replies.BAD_RCPT))
    return RcptCommand(address=path[0], parameters=_parameters(path[1], granted.rcpt))


def _path_mistake(argument: bytes, keyword: bytes, bad_path: Reply) -> Reply:
    if argument[: len(keyword)].upper() != keyword:
        return replies.BAD_ARGUMENT
    return bad_path if argument.isascii() else replies.NEEDS_SMTPUTF8


def _parameters(rest: bytes, known: Parameters) -> Mapping[str, str]:
    if not rest:
        return _NO_PARAMETERS
    try:
        parameters = parse_parameters(rest)
    except ValueError:
        raise Refused(replies.BAD_PARAMETER) from None
    for keyword, value in parameters.items():
        if keyword not in known:
            raise Refused(replies.UNKNOWN_PARAMETER)
        if not known[keyword].fullmatch(value):
            raise Refused(replies.BAD_PARAMETER)
    return parameters


def _data(argument: bytes, _: Offer) -> DataCommand:
    return _without_argument(argument, DATA_COMMAND)


def _rset(argument: bytes, _: Offer) -> ResetCommand:
    return _without_argument(argument, RESET_COMMAND)


def _quit(argument: bytes, _: Offer) -> Farewell:
    return _without_argument(argument, _QUIT)


def _without_argument(argument: bytes, meaning: MeaningT) -> MeaningT:
    if argument.strip(b" "):
        raise Refused(replies.BAD_ARGUMENT)
    return meaning


def _noop(_: bytes, __: Offer) -> Answered:
    return _NOOP


def _help(_: bytes, __: Offer) -> Answered:
    return _HELP


def _vrfy(argument: bytes, _: Offer) -> Answered:
    if not argument.strip(b" "):
        raise Refused(replies.BAD_ARGUMENT)
    return _VRFY


def _unknown(_: bytes, __: Offer) -> Answered:
    raise Refused(replies.UNKNOWN_COMMAND)


def _not_implemented(_: bytes, __: Offer) -> Answered:
    raise Refused(replies.NOT_IMPLEMENTED)


def _not_smtp(_: bytes, __: Offer) -> Farewell:
    return _NOT_SMTP


_COMMANDS: Mapping[bytes, Command] = {
    b"EHLO": _ehlo,  # §4.1.1.1
    b"HELO": _helo,
    b"MAIL": _mail,  # §4.1.1.2
    b"RCPT": _rcpt,  # §4.1.1.3
    b"DATA": _data,  # §4.1.1.4
    b"RSET": _rset,  # §4.1.1.5
    b"VRFY": _vrfy,  # §4.1.1.6, §3.5.3: 252 gives nothing away
    b"HELP": _help,  # §4.1.1.8
    b"NOOP": _noop,  # §4.1.1.9
    b"QUIT": _quit,  # §4.1.1.10
    b"EXPN": _not_implemented,
    b"ETRN": _not_implemented,
    b"TURN": _not_implemented,
    b"STARTTLS": _not_implemented,
    b"AUTH": _not_implemented,
    # What comes behind these is not commands, and its end is not known: reading on would obey somebody's payload.
    b"BDAT": _not_smtp,
    b"GET": _not_smtp,
    b"HEAD": _not_smtp,
    b"POST": _not_smtp,
    b"PUT": _not_smtp,
    b"OPTIONS": _not_smtp,
    b"CONNECT": _not_smtp,
}

_WITH_ADDRESS = frozenset((b"MAIL", b"RCPT"))


def interpret(line: bytes, refuses: Mapping[bytes, Reply], granted: Offer) -> Meaning:
    """What a command line, without its CRLF, means where these verbs are refused and these extensions granted.

    Raises:
        Refused: it is in error or out of order.
    """
    verb, _, argument = line.partition(b" ")
    command = _COMMANDS.get(verb)
    if command is None:
        verb = verb.upper()
        command = _COMMANDS.get(verb, _unknown)
    # A NUL in an address is a bad address, which the grammar finds.
    if b"\r" in line or (b"\0" in line and verb not in _WITH_ADDRESS):
        raise Refused(replies.BAD_OCTET)
    if verb in refuses:
        raise Refused(refuses[verb])
    return command(argument, granted)
