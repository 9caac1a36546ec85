"""What each command line means: a table from the verb to a function of its argument (RFC 5321 §4.1.1).

Pure: a function says what the client wants, or raises `Refused`; whether it is within the limits is the machine's
business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from mdacore import Greeting, Reply
from mdacore_edge_smtp.protocol import replies
from mdacore_edge_smtp.protocol.authentication import AuthCommand
from mdacore_edge_smtp.protocol.bodies import Chunk
from mdacore_edge_smtp.protocol.events import (
    DATA_COMMAND,
    RESET_COMMAND,
    TLS_COMMAND,
    DataCommand,
    ResetCommand,
    TlsCommand,
    XclientCommand,
)
from mdacore_edge_smtp.protocol.extensions import Offer
from mdacore_edge_smtp.protocol.grammar import parse_helo_name
from mdacore_edge_smtp.protocol.mail_commands import mail, rcpt
from mdacore_edge_smtp.protocol.meanings import Answered, Farewell, Meaning, Refused
from mdacore_edge_smtp.protocol.xclient import parse_attributes

Command = Callable[[bytes, Offer], Meaning]
MeaningT = TypeVar("MeaningT")

QUIT = "quit"
"""The reason of an end that the client asked for."""

_NOOP = Answered(replies.NOOP)
_HELP = Answered(replies.HELP)
_VRFY = Answered(replies.VRFY)
_QUIT = Farewell(replies.BYE, QUIT)
_NOT_SMTP = Farewell(replies.NOT_SMTP, "not SMTP")
_NOT_A_CHUNK = Farewell(replies.BAD_ARGUMENT, "BDAT without a size")

_CHUNK = re.compile(rb"([0-9]{1,18})(?: +([Ll][Aa][Ss][Tt]))? *")


def _ehlo(argument: bytes, _: Offer) -> Greeting:
    return Greeting(verb="EHLO", name=_helo_name(argument))


def _helo(argument: bytes, _: Offer) -> Greeting:
    return Greeting(verb="HELO", name=_helo_name(argument))


def _lhlo(argument: bytes, _: Offer) -> Greeting:
    return Greeting(verb="LHLO", name=_helo_name(argument))


def _helo_name(argument: bytes) -> str:
    name = parse_helo_name(argument)
    if name is None:
        raise Refused(replies.BAD_ARGUMENT)
    return name


def _data(argument: bytes, _: Offer) -> DataCommand:
    return _without_argument(argument, DATA_COMMAND)


def _bdat(argument: bytes, _: Offer) -> Chunk | Farewell:
    match = _CHUNK.fullmatch(argument)
    # Where the octets behind this end is not known, and they must not be obeyed.
    return _NOT_A_CHUNK if match is None else Chunk(int(match[1]), is_last=match[2] is not None)


def _starttls(argument: bytes, _: Offer) -> TlsCommand:
    return _without_argument(argument, TLS_COMMAND)


def _auth(argument: bytes, granted: Offer) -> AuthCommand:
    _demand(b"AUTH", granted)
    words = argument.split()
    if not 1 <= len(words) <= 2 or not argument.isascii():
        raise Refused(replies.BAD_ARGUMENT)
    return AuthCommand(words[0].decode("ascii").upper(), words[1] if len(words) == 2 else None)


def _xclient(argument: bytes, granted: Offer) -> XclientCommand:
    _demand(b"XCLIENT", granted)
    try:
        return XclientCommand(parse_attributes(argument))
    except ValueError:
        raise Refused(replies.BAD_ARGUMENT) from None


def _demand(verb: bytes, granted: Offer) -> None:
    refusal = granted.refusal_of(verb)
    if refusal is not None:
        raise Refused(refusal)


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


def _not_a_chunk(_: bytes, __: Offer) -> Farewell:
    return _NOT_A_CHUNK


def _not_smtp(_: bytes, __: Offer) -> Farewell:
    return _NOT_SMTP


Commands = Mapping[bytes, Command]

_COMMON_COMMANDS: Commands = {
    b"MAIL": mail,  # §4.1.1.2
    b"RCPT": rcpt,  # §4.1.1.3
    b"DATA": _data,  # §4.1.1.4
    b"RSET": _rset,  # §4.1.1.5
    b"VRFY": _vrfy,  # §4.1.1.6, §3.5.3: 252 gives nothing away
    b"HELP": _help,  # §4.1.1.8
    b"NOOP": _noop,  # §4.1.1.9
    b"QUIT": _quit,  # §4.1.1.10
    b"EXPN": _not_implemented,
    b"ETRN": _not_implemented,
    b"TURN": _not_implemented,
    b"STARTTLS": _starttls,  # RFC 3207 §4
    b"AUTH": _auth,  # RFC 4954 §4
    b"BDAT": _bdat,  # RFC 3030 §2
    b"XCLIENT": _xclient,
    # What comes behind these is not commands, and its end is not known: reading on would obey somebody's payload.
    b"GET": _not_smtp,
    b"HEAD": _not_smtp,
    b"POST": _not_smtp,
    b"PUT": _not_smtp,
    b"OPTIONS": _not_smtp,
    b"CONNECT": _not_smtp,
}

SMTP_COMMANDS: Commands = {**_COMMON_COMMANDS, b"EHLO": _ehlo, b"HELO": _helo}  # §4.1.1.1
LMTP_COMMANDS: Commands = {**_COMMON_COMMANDS, b"LHLO": _lhlo}  # RFC 2033 §4.1

_WITH_ADDRESS = frozenset((b"MAIL", b"RCPT"))


def announces_octets(line: bytes) -> bool:
    """It begins as BDAT does: whatever is wrong with the rest, octets may follow that are no commands."""
    return line[:4].upper() == b"BDAT"


def interpret(line: bytes, commands: Commands, refuses: Mapping[bytes, Reply], granted: Offer) -> Meaning:
    """What a command line, without its CRLF, means where these verbs are refused and these extensions granted.

    Raises:
        Refused: it is in error or out of order.
    """
    verb, _, argument = line.partition(b" ")
    command = commands.get(verb)
    if command is None:
        verb = verb.upper()
        command = commands.get(verb, _not_a_chunk if announces_octets(verb) else _unknown)
    # A NUL in an address is a bad address, which the grammar finds.
    if b"\r" in line or (b"\0" in line and verb not in _WITH_ADDRESS):
        if announces_octets(verb):
            return _NOT_A_CHUNK
        raise Refused(replies.BAD_OCTET)
    if verb in refuses:
        raise Refused(refuses[verb])
    return command(argument, granted)
