"""Service extensions: what EHLO offers, and the parameters that each brings to MAIL and RCPT (RFC 5321 §2.2).

A table; a new extension is a row. What a parameter means is the session's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from mdacore import Reply
from mdacore_edge_smtp.protocol import replies

Parameters = Mapping[str, re.Pattern[str]]
"""Upper-case keyword to the expression that its value must match whole; a keyword without a value has ``""``."""


_ANY_CASE = re.IGNORECASE | re.ASCII
"""Of ASCII alone: some letters of Unicode fold to one of those."""
_XTEXT = r"(?:[!-*,-<>-~]|\+(?:[2-6][0-9A-F]|7[0-9A-E]))"
"""Of printable ASCII, space included: RFC 3461 §4."""
_WORDS = r"(?:SUCCESS|FAILURE|DELAY)"


@attrs.frozen(kw_only=True, eq=False)
class Extension:
    """One service extension.

    Attributes:
        keyword: in the reply to EHLO; `argument` may follow it there.
        verb: the command that it brings, ``b""`` = none.
        mail, rcpt: its parameters.
    """

    keyword: str
    argument: str = ""
    verb: bytes = b""
    mail: Parameters = attrs.field(factory=dict)
    rcpt: Parameters = attrs.field(factory=dict)


SMTP_EXTENSIONS = (
    Extension(keyword="PIPELINING"),  # RFC 2920
    Extension(keyword="SIZE", mail={"SIZE": re.compile(r"[0-9]{1,20}")}),  # RFC 1870 §3
    Extension(keyword="8BITMIME", mail={"BODY": re.compile("7BIT|8BITMIME", _ANY_CASE)}),  # RFC 6152 §2
    Extension(keyword="ENHANCEDSTATUSCODES"),  # RFC 2034
)
"""What every session can be offered; the extensions below need something of the caller, or depend on the session."""

CHUNKING = Extension(keyword="CHUNKING", verb=b"BDAT")  # RFC 3030
SMTPUTF8 = Extension(keyword="SMTPUTF8", mail={"SMTPUTF8": re.compile("")})  # RFC 6531 §3.4
LIMITS = Extension(keyword="LIMITS")  # RFC 9422
STARTTLS = Extension(keyword="STARTTLS", verb=b"STARTTLS")  # RFC 3207
AUTH = Extension(  # RFC 4954 §3, §5
    keyword="AUTH", argument="PLAIN LOGIN", verb=b"AUTH", mail={"AUTH": re.compile(f"<>|{_XTEXT}{{1,500}}")}
)
XCLIENT = Extension(keyword="XCLIENT", argument="NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT", verb=b"XCLIENT")
DSN = Extension(  # RFC 3461 §4; what the values mean is in dsn.py
    keyword="DSN",
    mail={"RET": re.compile("FULL|HDRS", _ANY_CASE), "ENVID": re.compile(f"{_XTEXT}{{1,100}}")},
    rcpt={
        "NOTIFY": re.compile(f"NEVER|{_WORDS}(?:,{_WORDS}){{0,2}}", _ANY_CASE),
        "ORCPT": re.compile(  # RFC 6533 §3: with SMTPUTF8 also as it is
            rf"(?=.{{1,500}}\Z)(?:[Uu][Tt][Ff]-8;(?:{_XTEXT}|[^\x00-\x7f])+|[A-Za-z0-9-]{{1,60}};{_XTEXT}+)"
        ),
    },
)


@attrs.frozen(kw_only=True)
class Offer:
    """Extensions, compiled for one kind of session.

    Attributes:
        lines: what follows the server's name in the reply to EHLO.
        verbs: the commands that they bring.
        withheld: the replies to commands that exist here, but not for such a session.
        mail, rcpt: every parameter that may stand at the command.
    """

    lines: tuple[str, ...] = ()
    verbs: frozenset[bytes] = frozenset()
    withheld: Mapping[bytes, Reply] = attrs.field(factory=dict)
    mail: Parameters = attrs.field(factory=dict)
    rcpt: Parameters = attrs.field(factory=dict)

    def refusal_of(self, verb: bytes) -> Reply | None:
        """What an extension's command is answered where it is not offered; None = it is."""
        return None if verb in self.verbs else self.withheld.get(verb, replies.NOT_IMPLEMENTED)


NO_EXTENSIONS = Offer()
"""What HELO gets."""


def offer(
    extensions: Iterable[Extension],
    *,
    max_message_size_bytes: int,
    max_recipients: int | None = None,
    max_messages: int | None = None,
    withheld: Mapping[Extension, Reply] | None = None,
) -> Offer:
    """Compile the extensions for one kind of session: in clear, under TLS, authenticated.

    Args:
        extensions: what is announced and granted at EHLO, in this order.
        max_message_size_bytes: what SIZE tells.
        max_recipients, max_messages: what LIMITS tells (RFC 9422), None = not told.
        withheld: extensions that exist here, but not for such a session: not announced, their commands get the reply:
            `ENCRYPTION_NEEDED` for AUTH in clear, `XCLIENT_DENIED` to peers that are not trusted, `TLS_UNAVAILABLE`
            without a certificate, `TLS_ALREADY` where TLS came first, `TLS_FOR_ANOTHER` where XCLIENT did. What is
            neither offered nor withheld gets 502.
    """
    extensions = tuple(extensions)
    limits = {"RCPTMAX": max_recipients, "MAILMAX": max_messages}
    arguments = {
        "SIZE": str(max_message_size_bytes),
        "LIMITS": " ".join(f"{name}={limit}" for name, limit in limits.items() if limit is not None),
    }
    return Offer(
        lines=tuple(f"{each.keyword} {arguments.get(each.keyword, each.argument)}".rstrip() for each in extensions),
        verbs=frozenset(each.verb for each in extensions if each.verb),
        withheld={each.verb: reply for each, reply in (withheld or {}).items()},
        mail={keyword: pattern for each in extensions for keyword, pattern in each.mail.items()},
        rcpt={keyword: pattern for each in extensions for keyword, pattern in each.rcpt.items()},
    )
