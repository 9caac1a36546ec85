"""Scenario: all that decides a conversation: the client's octets, how they are cut, the rules, and what is answered.

Pure data. Invariant: the same scenario means the same conversation, for the reference and for the real protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, cycle

import attrs

from mdacore import Reply


@attrs.frozen(kw_only=True)
class Rules:
    """The limits, small so that short conversations meet them."""

    max_line_bytes: int = 64
    max_message_size_bytes: int = 40
    max_excess_bytes: int = 40
    max_recipients: int = 2
    max_excess_recipients: int = 3
    max_errors: int = 4
    max_idle_commands: int = 3
    max_messages: int = 3
    max_auth_failures: int = 2
    max_auth_line_bytes: int = 128
    is_normalizing: bool = False
    is_strict_sync: bool = False


@attrs.frozen(kw_only=True)
class Offered:
    """What EHLO brings: keywords in their order, and the replies to commands of such as are withheld."""

    keywords: tuple[str, ...]
    withheld: Mapping[str, str] = attrs.field(factory=dict)


_COMMON = ("PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES")
_USUAL = (*_COMMON, "CHUNKING", "SMTPUTF8", "DSN", "LIMITS")

_ALL = Offered(keywords=(*_USUAL, "STARTTLS", "AUTH", "XCLIENT"))
_NO_PASSWORDS_IN_CLEAR = Offered(
    keywords=(*_USUAL, "STARTTLS"), withheld={"AUTH": "538 5.7.11", "XCLIENT": "550 5.7.0"}
)
_ENCRYPTED = Offered(keywords=(*_USUAL, "AUTH"), withheld={"XCLIENT": "550 5.7.0"})
_FEW = Offered(keywords=_COMMON, withheld={"STARTTLS": "454 4.7.0"})

OFFERS: tuple[tuple[Offered, Offered], ...] = ((_ALL, _ALL), (_NO_PASSWORDS_IN_CLEAR, _ENCRYPTED), (_FEW, _FEW))
"""In clear, and under TLS."""

_CODES = (0, 0, 0, 250, 451, 550, 421, 521)
"""What a choice stands for: 0 is success, which 250 is too where nothing else is wanted."""

_SUCCESSES = {"Connected": 220, "TlsCommand": 220, "XclientCommand": 220, "AuthAttempt": 235, "DataCommand": 354}


@attrs.frozen(kw_only=True)
class Scenario:
    """One conversation.

    Attributes:
        pieces: what the client sends, each when the last has been worked off.
        speaks_first: the first piece is there before the greeting.
        offers: the index into `OFFERS`.
        choices: how questions are answered, one after the other, and round again; `()` = all of them well.
        moody_about: the only kind of question that they are for; ``""`` = all but the first two, which would end most
            conversations before they begin.
        has_handshake: TLS comes about when it was agreed on; else the caller closes.
    """

    pieces: tuple[bytes, ...]
    rules: Rules = attrs.field(factory=Rules)
    is_lmtp: bool = False
    speaks_first: bool = False
    offers: int = 0
    choices: tuple[int, ...] = ()
    moody_about: str = ""
    has_handshake: bool = True

    def answer(self, number: int, kind: str) -> Reply:
        """To the question of that number, counted from 0: never a 3yz where 2yz is due, nor the reverse."""
        choice = self._choice(number, kind)
        code = _CODES[choice] or _SUCCESSES.get(kind, 250)
        if code == 250 and kind == "DataCommand":
            code = 354
        text = f"answer {number}\nof two lines" if choice == 1 else f"answer {number}"
        return Reply(code=code, text=text)

    def answer_each(self, number: int, count: int) -> Sequence[Reply] | None:
        """To a message, one reply for each recipient; None = one for all of them."""
        if self._choice(number, "MessageEnded") not in (2, 3):
            return None
        codes = (250, 550, 451, 250, 421)
        return [Reply(code=codes[(number + i) % len(codes)], text=f"answer {number} to {i}") for i in range(count)]

    def _choice(self, number: int, kind: str) -> int:
        is_about_it = kind == self.moody_about or (not self.moody_about and kind not in ("Connected", "Greeting"))
        return self.choices[number % len(self.choices)] if self.choices and is_about_it else 0


KINDS = ("", "Connected", "Greeting", "MailCommand", "RcptCommand", "ResetCommand", "DataCommand", "FirstChunk",
         "MessageEnded", "TlsCommand", "AuthAttempt", "XclientCommand")  # fmt: skip
"""What one may be moody about."""


def pieces_of(octets: bytes, sizes: Sequence[int]) -> tuple[bytes, ...]:
    """Cut into pieces of these sizes, again and again; no sizes = one piece."""
    if not sizes or not any(sizes):
        return (octets,)
    pieces: list[bytes] = []
    for end in accumulate(cycle(sizes)):
        begin = sum(map(len, pieces))
        pieces.append(octets[begin:end])
        if end >= len(octets):
            return tuple(pieces)
    raise AssertionError("cycle ended")
