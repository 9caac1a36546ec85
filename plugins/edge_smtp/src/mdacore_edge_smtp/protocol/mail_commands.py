"""What MAIL and RCPT mean: their paths and parameters, and which reply a mistake in them earns.

Pure. An address of plain ASCII takes the short way; anything else is looked at by international.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mdacore import MailCommand, RcptCommand, Reply
from mdacore_edge_smtp.protocol import international, replies
from mdacore_edge_smtp.protocol.extensions import Offer, Parameters
from mdacore_edge_smtp.protocol.grammar import parse_forward_path, parse_parameters, parse_reverse_path
from mdacore_edge_smtp.protocol.meanings import InternationalRcpt, Refused

_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


def mail(argument: bytes, granted: Offer) -> MailCommand:
    """MAIL (RFC 5321 §4.1.1.2).

    Raises:
        Refused: it is in error.
    """
    path = parse_reverse_path(argument)
    if path is None:
        return _unusual_mail(argument, granted)
    return _mail_command(path[0], _parameters(path[1], granted.mail))


def _mail_command(sender: str, parameters: Mapping[str, str]) -> MailCommand:
    return MailCommand(sender=sender, size_bytes=int(parameters.get("SIZE", "0")), parameters=parameters)


def _unusual_mail(argument: bytes, granted: Offer) -> MailCommand:
    try:
        path = international.parse_reverse_path(argument)
    except international.BadDomainError:
        raise Refused(replies.BAD_SENDER_DOMAIN) from None
    if path is None:
        raise Refused(_path_mistake(argument, b"FROM:", replies.BAD_SENDER))
    if not argument.isascii() and "SMTPUTF8" not in granted.mail:
        raise Refused(replies.NEEDS_SMTPUTF8)
    parameters = _parameters(path[1], granted.mail)
    if not argument.isascii() and "SMTPUTF8" not in parameters:
        raise Refused(replies.NEEDS_SMTPUTF8)
    return _mail_command(path[0], parameters)


def rcpt(argument: bytes, granted: Offer) -> RcptCommand | InternationalRcpt:
    """RCPT (RFC 5321 §4.1.1.3).

    Raises:
        Refused: it is in error.
    """
    path = parse_forward_path(argument)
    if path is None:
        return _unusual_rcpt(argument, granted)
    return RcptCommand(address=path[0], parameters=_parameters(path[1], granted.rcpt))


def _unusual_rcpt(argument: bytes, granted: Offer) -> RcptCommand | InternationalRcpt:
    try:
        path = international.parse_forward_path(argument)
    except international.BadDomainError:
        raise Refused(replies.BAD_RCPT_DOMAIN) from None
    if path is None:
        raise Refused(_path_mistake(argument, b"TO:", replies.BAD_RCPT))
    if not argument.isascii() and "SMTPUTF8" not in granted.mail:
        raise Refused(replies.NEEDS_SMTPUTF8)
    command = RcptCommand(address=path[0], parameters=_parameters(path[1], granted.rcpt))
    return command if argument.isascii() else InternationalRcpt(command)


def _path_mistake(argument: bytes, keyword: bytes, bad_path: Reply) -> Reply:
    return replies.BAD_ARGUMENT if argument[: len(keyword)].upper() != keyword else bad_path


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
