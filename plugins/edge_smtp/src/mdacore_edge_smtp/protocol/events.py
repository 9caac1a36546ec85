"""What a client did, as the protocol tells it. Greeting, MailCommand and RcptCommand are the core's own words.

Those under `Question` wait for an answer before anything else happens; the others are for information.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, Literal

import attrs

from mdacore import Credentials, Greeting, MailCommand, RcptCommand, Reply


@attrs.frozen
class Connected:
    """The connection is there: answer with the greeting (RFC 5321 §3.1); a refusal ends it."""


@attrs.frozen
class ResetCommand:
    """RSET: the transaction is forgotten."""


@attrs.frozen
class TlsCommand:
    """STARTTLS (RFC 3207): answer 220 and `NEED_TLS` comes next, or refuse. The transaction is over with a 220."""


@attrs.frozen
class AuthAttempt:
    """AUTH came to its end (RFC 4954): answer 235, 535, 454 and so on. Too many refusals end the connection."""

    credentials: Credentials


@attrs.frozen
class XclientCommand:
    """XCLIENT: what a trusted peer says about the client (https://www.postfix.org/XCLIENT_README.html).

    Answer 220 with the text of a greeting, or refuse. With a 220 all is as after `Connected`: no EHLO, no transaction,
    no identity; but `Connected` does not come again.

    Attributes:
        attributes: upper-case name to decoded value; ``"[UNAVAILABLE]"`` and ``"[TEMPUNAVAIL]"`` as they were sent.
    """

    attributes: Mapping[str, str]


@attrs.frozen
class DataCommand:
    """DATA or the first BDAT, with at least one recipient accepted: the message is about to come.

    Answer DATA with 354, and BDAT with any 2yz, which is not sent; or refuse. DATA that is refused leaves the
    transaction open. BDAT that is refused does not: the chunk is lost, so its transaction is over for the caller, and
    no `MessageRefused` follows.

    Attributes:
        is_chunked: it is BDAT (RFC 3030).
    """

    is_chunked: bool = False


@attrs.frozen
class MessageEnded:
    """The message has arrived whole and without fault: the answer is the one that gives away responsibility."""


@attrs.frozen
class MessageOctets:
    """Octets of the message, dots un-stuffed. A message that is refused in the end may have sent some before."""

    data: bytes


@attrs.frozen
class MessageRefused:
    """The protocol has refused the message with `reply`: forget its octets and its transaction."""

    reply: Reply


class Pause(enum.Enum):
    """Nothing more comes out now."""

    NEED_DATA = enum.auto()
    """Send what is to be sent, then wait for the client and call `receive`."""
    NEED_TLS = enum.auto()
    """Send what is to be sent, then shake hands and call `tls_started`; or `close`, if that fails."""
    CLOSED = enum.auto()
    """Send what is to be sent, then close the connection."""


NEED_DATA: Final[Literal[Pause.NEED_DATA]] = Pause.NEED_DATA
NEED_TLS: Final[Literal[Pause.NEED_TLS]] = Pause.NEED_TLS
CLOSED: Final[Literal[Pause.CLOSED]] = Pause.CLOSED

Question = (
    Connected
    | Greeting
    | MailCommand
    | RcptCommand
    | ResetCommand
    | DataCommand
    | MessageEnded
    | TlsCommand
    | AuthAttempt
    | XclientCommand
)
Event = Question | MessageOctets | MessageRefused

CONNECTED = Connected()
RESET_COMMAND = ResetCommand()
DATA_COMMAND = DataCommand()
FIRST_CHUNK = DataCommand(is_chunked=True)
TLS_COMMAND = TlsCommand()
MESSAGE_ENDED = MessageEnded()
