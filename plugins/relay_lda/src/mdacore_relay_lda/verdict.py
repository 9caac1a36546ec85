"""Verdicts: what the end of a process means for the recipient. Pure; the tables are here.

What is asked, first answer wins: was it killed or overdue (deferred) · is its status 0 (delivered) · the operator's
own table · an enhanced status code at the start of its output (as Postfix has it) · what this program is known to say
· the table of exit statuses. Invariant: nothing but a status, a text or a table that says so makes a permanent
failure: a crash, a full system and a mistake in the configuration never bounce mail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from errno import EACCES, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOEXEC, ENOSPC, ENOTDIR
from types import MappingProxyType

import attrs

from mdacore import Reply, printable
from mdacore_relay_lda.result import MAX_TEXT_CHARS, Result

# RFC 3463 §3; the causes behind them are in the log.
DELIVERED = Reply(code=250, enhanced="2.0.0", text="Delivered")
UNSAFE_ADDRESS = Reply(code=553, enhanced="5.1.3", text="Bad mailbox address syntax")
LOOP = Reply(code=554, enhanced="5.4.6", text="Mail forwarding loop")
BUSY = Reply(code=450, enhanced="4.2.0", text="Mailbox busy, try again later")
OVERDUE = Reply(code=451, enhanced="4.4.2", text="Delivery took too long, try again later")
KILLED = Reply(code=451, enhanced="4.3.0", text="Delivery was broken off, try again later")
STOPPING = Reply(code=451, enhanced="4.3.2", text="Service is stopping, try again later")
LOCAL_ERROR = Reply(code=451, enhanced="4.3.0", text="Temporary failure")
MISCONFIGURED = Reply(code=451, enhanced="4.3.5", text="Local configuration error")
NO_SPACE = Reply(code=452, enhanced="4.3.1", text="Insufficient system storage")
MAILBOX_FULL = Reply(code=552, enhanced="5.2.2", text="Mailbox full")
MAILBOX_FULL_NOW = Reply(code=452, enhanced="4.2.2", text="Mailbox full")

_NOT_EXECUTABLE = frozenset({ENOENT, EACCES, ENOEXEC, ENOTDIR, ELOOP, EISDIR, ENAMETOOLONG})
_ENHANCED_FIRST = re.compile(r"([45]\.[0-9]{1,3}\.[0-9]{1,3})(?:[\s:,-]+(.*))?", re.DOTALL)


@attrs.frozen(kw_only=True)
class ExitTable:
    """What statuses mean; `otherwise` is for those that are not in it.

    126 and 127 are what a shell says when it cannot run something: never the recipient's fault.
    """

    replies: Mapping[int, Reply]
    otherwise: Reply

    def __getitem__(self, status: int) -> Reply:
        return self.replies.get(status, self.otherwise)


def _replies(replies: Mapping[int, str]) -> Mapping[int, Reply]:
    table = {status: Reply.parse(line) for status, line in replies.items()}
    return MappingProxyType(dict.fromkeys((126, 127), MISCONFIGURED) | table)


SYSEXITS = ExitTable(
    replies=_replies(
        {
            64: str(MISCONFIGURED),  # EX_USAGE
            65: "554 5.6.0 Message not accepted",  # EX_DATAERR
            67: "550 5.1.1 Unknown user",  # EX_NOUSER
            68: "550 5.1.2 Unknown host",  # EX_NOHOST
            75: str(LOCAL_ERROR),  # EX_TEMPFAIL
            76: "554 5.5.0 Delivery failed",  # EX_PROTOCOL
            77: "550 5.7.0 Delivery not permitted",  # EX_NOPERM
            78: str(MISCONFIGURED),  # EX_CONFIG
        }
    ),
    otherwise=LOCAL_ERROR,
)
"""The default: permanent is only what says so without doubt."""

POSTFIX = ExitTable(
    replies=_replies(
        {
            64: "554 5.3.0 Command line usage error",
            65: "554 5.6.0 Data format error",
            66: "554 5.3.0 Cannot open input",
            67: "550 5.1.1 User unknown",
            68: "550 5.1.2 Host name unknown",
            69: "554 5.3.0 Service unavailable",
            70: "554 5.3.0 Internal software error",
            71: "451 4.3.0 System resource problem",
            72: "554 5.3.0 Critical file missing",
            73: "554 5.2.0 Cannot create user output file",
            74: "554 5.3.0 Input/output error",
            75: "451 4.3.0 Temporary failure",
            76: "554 5.5.0 Remote error in protocol",
            77: "550 5.7.0 Permission denied",
            78: "554 5.3.5 Local configuration error",
        }
    ),
    otherwise=Reply(code=554, enhanced="5.3.0", text="Delivery failed"),
)
"""What Postfix's pipe(8) makes of them, but for 126 and 127, which it bounces."""


@attrs.frozen(kw_only=True)
class Saying:
    """What one program is known to say: with this status, and `pattern` in its output, the reply is known better."""

    status: int
    pattern: re.Pattern[str]
    reply: Reply


DOVECOT_LDA = (Saying(status=77, pattern=re.compile(r"quota|mailbox [^\n]*full", re.IGNORECASE), reply=MAILBOX_FULL),)
"""dovecot-lda -e ends with 77 for every refusal; the text is `quota_exceeded_message`, as a rule with that word."""

MAILDROP = (Saying(status=75, pattern=re.compile(r"over quota", re.IGNORECASE), reply=MAILBOX_FULL_NOW),)
"""maildrop defers what is over quota."""

SAYINGS: Mapping[str, tuple[Saying, ...]] = MappingProxyType({"dovecot-lda": DOVECOT_LDA, "maildrop": MAILDROP})
"""By the program's name."""


@attrs.frozen(kw_only=True)
class Verdicts:
    """How one relay judges.

    Attributes:
        own: the operator's table; a reply without a text gets the program's output.
        shows_output: whether the program's output becomes part of the reply, and so of notices to the sender.
    """

    own: Mapping[int, Reply] = MappingProxyType({})
    table: ExitTable = SYSEXITS
    sayings: tuple[Saying, ...] = ()
    shows_output: bool = True

    def reply(self, result: Result) -> Reply:
        """What becomes of the recipients of a process that has ended."""
        if result.is_overdue:
            return OVERDUE
        if result.status is None:
            return KILLED
        if result.status == 0:
            return DELIVERED
        said = result.said
        if (own := self.own.get(result.status)) is not None:
            return own if own.text else self._with(own, said)
        if match := _ENHANCED_FIRST.fullmatch(said):
            return self._coded(match[1], match[2] or "")
        for saying in self.sayings:
            if saying.status == result.status and saying.pattern.search(said):
                return self._with(saying.reply, said)
        return self._with(self.table[result.status], said)

    def _with(self, reply: Reply, said: str) -> Reply:
        if not said or not self.shows_output:
            return reply
        return attrs.evolve(reply, text=printable(f"{reply.text}: {said}" if reply.text else said, MAX_TEXT_CHARS))

    def _coded(self, enhanced: str, said: str) -> Reply:
        """The reply to a program that gave an enhanced code itself; its class decides (RFC 3463 §2)."""
        is_permanent = enhanced.startswith("5")
        text = printable(said, MAX_TEXT_CHARS) if self.shows_output else ""
        return Reply(code=550 if is_permanent else 451, enhanced=enhanced, text=text or "Delivery failed")


def reply_to_error(error: OSError) -> Reply:
    """What becomes of the recipients when there was no process: a mistake in the configuration, or a lack."""
    if error.errno in _NOT_EXECUTABLE:
        return MISCONFIGURED
    return NO_SPACE if error.errno == ENOSPC else LOCAL_ERROR


def parse_table(table: Mapping[str, str]) -> dict[int, Reply]:
    """Read ``{"67": "550 5.1.1 Unknown user"}``. Raises ValueError with a sentence for the operator."""
    return {_status(status): _answer(line) for status, line in table.items()}


def _status(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", text) or int(text) > 255:
        raise ValueError(f"{text!r} is not an exit status from 1 to 255")
    return int(text)


def _answer(line: str) -> Reply:
    reply = Reply.parse(line)
    if reply.code // 100 == 3:
        raise ValueError(f"{line!r} is no answer to a delivery: 2yz, 4yz or 5yz is")
    return reply
