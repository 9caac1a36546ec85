"""Service extensions: what EHLO offers, and the parameters that each brings to MAIL and RCPT (RFC 5321 §2.2).

A table; a new extension is a row. What a parameter means is the session's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

Parameters = Mapping[str, re.Pattern[str]]
"""Upper-case keyword to the expression that its value must match whole; a keyword without a value has ``""``."""


@attrs.frozen(kw_only=True)
class Extension:
    """One service extension: its EHLO keyword and its parameters."""

    keyword: str
    mail: Parameters = attrs.field(factory=dict)
    rcpt: Parameters = attrs.field(factory=dict)


SMTP_EXTENSIONS = (
    Extension(keyword="PIPELINING"),  # RFC 2920
    Extension(keyword="SIZE", mail={"SIZE": re.compile(r"[0-9]{1,20}")}),  # RFC 1870 §3
    Extension(keyword="8BITMIME", mail={"BODY": re.compile("7BIT|8BITMIME", re.IGNORECASE)}),  # RFC 6152 §2
    Extension(keyword="ENHANCEDSTATUSCODES"),  # RFC 2034
)


@attrs.frozen(kw_only=True)
class Offer:
    """Extensions, compiled for one kind of session.

    Attributes:
        lines: what follows the server's name in the reply to EHLO.
        mail, rcpt: every parameter that may stand at the command.
    """

    lines: tuple[str, ...] = ()
    mail: Parameters = attrs.field(factory=dict)
    rcpt: Parameters = attrs.field(factory=dict)


NO_EXTENSIONS = Offer()
"""What HELO gets."""


def offer(extensions: Iterable[Extension], *, max_message_size_bytes: int) -> Offer:
    """Compile the extensions; SIZE tells the limit."""
    extensions = tuple(extensions)
    arguments = {"SIZE": f" {max_message_size_bytes}"}
    return Offer(
        lines=tuple(each.keyword + arguments.get(each.keyword, "") for each in extensions),
        mail={keyword: pattern for each in extensions for keyword, pattern in each.mail.items()},
        rcpt={keyword: pattern for each in extensions for keyword, pattern in each.rcpt.items()},
    )
