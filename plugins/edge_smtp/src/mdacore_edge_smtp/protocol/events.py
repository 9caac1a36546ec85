"""What a client did, as the protocol tells it. Greeting, MailCommand and RcptCommand are the core's own words.

Those under `Question` wait for an answer before anything else happens; the others are for information.
"""

from __future__ import annotations

import enum
from typing import Final, Literal

import attrs

from mdacore import Greeting, MailCommand, RcptCommand, Reply


@attrs.frozen
class Connected:
    """The connection is there: answer with the greeting (RFC 5321 §3.1); a refusal ends it."""


@attrs.frozen
class ResetCommand:
    """RSET: the transaction is forgotten."""


@attrs.frozen
class DataCommand:
    """DATA, with at least one recipient accepted: answer 354, or a refusal."""


@attrs.frozen
class MessageEnded:
    """The message has arrived whole and without fault: the answer is the one that gives away responsibility."""


@attrs.frozen
class MessageOctets:
    """Octets of the message, dots un-stuffed. A message that is refused in the end may have sent some before."""

    data: bytes


@attrs.frozen
class MessageRefused:
    """The message's end has arrived, and the protocol has answered with `reply`; forget the octets."""

    reply: Reply


class Pause(enum.Enum):
    """Nothing more comes out now."""

    NEED_DATA = enum.auto()
    """Send what is to be sent, then wait for the client and call `receive`."""
    CLOSED = enum.auto()
    """Send what is to be sent, then close the connection."""


NEED_DATA: Final[Literal[Pause.NEED_DATA]] = Pause.NEED_DATA
CLOSED: Final[Literal[Pause.CLOSED]] = Pause.CLOSED

Question = Connected | Greeting | MailCommand | RcptCommand | ResetCommand | DataCommand | MessageEnded
Event = Question | MessageOctets | MessageRefused

CONNECTED = Connected()
RESET_COMMAND = ResetCommand()
DATA_COMMAND = DataCommand()
MESSAGE_ENDED = MessageEnded()
