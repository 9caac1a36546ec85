"""Who gets which notice: the sender's wishes (RFC 3461), the operator's, and what keeps notices from looping. Pure.

Invariants: nothing is ever sent to the null sender; a notice about a message that was itself a notice goes to the
operator's postmaster or nowhere, and one that failed on its way to the postmaster goes nowhere.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Final, Literal

import attrs

from mdacore.words import Content, Envelope, Recipient, Reply, mailbox_key

SENT: Final = "sent"
NULL_SENDER: Final = "suppressed: the sender is the null sender"
NEVER: Final = "suppressed: the sender asked for NOTIFY=NEVER"
UNKNOWN_SENDER: Final = "suppressed: the sender had not logged in"
IS_NOTICE: Final = "suppressed: the message is a notice itself"
IS_AUTOMATIC: Final = "suppressed: no person sent the message"

_REPORT = re.compile(
    rb"\s*multipart/report\b.*?report-type\s*=\s*\"?(?:delivery-status|disposition-notification)\b", re.I | re.S
)
_MAX_VALUE_BYTES: Final = 2000
_BULK: Final = frozenset({b"bulk", b"junk", b"list"})


class Kind(enum.Enum):
    """What a notice says. Each kind has a text of its own, and one notice is of one kind."""

    FAILED = "failed"
    """Refused for good."""
    EXPIRED = "expired"
    """Deferred until the message's lifetime was over."""
    DELAYED = "delayed"
    """Not delivered yet; attempts go on."""
    DELIVERED = "delivered"
    """Final delivery was made."""
    RELAYED = "relayed"
    """Handed to a system that will not send notices."""
    POSTMASTER = "postmaster"
    """A message from the null sender, as a rule a notice, has failed: for the operator."""

    @property
    def wish(self) -> str:
        """The word of NOTIFY that asks for it (RFC 3461 §4.1)."""
        return {"delayed": "DELAY", "delivered": "SUCCESS", "relayed": "SUCCESS"}.get(self.value, "FAILURE")

    @property
    def action(self) -> str:
        """RFC 3464 §2.3.3."""
        return self.value if self.wish != "FAILURE" else "failed"


@attrs.frozen(kw_only=True)
class NoticeRules:
    """What the operator wants.

    Attributes:
        receivers: ``"authenticated"``: only senders who logged in are told anything, so that mail with a forged sender
            makes no backscatter.
        delay_warning_s: how old a message has to be for a warning; 0 = nobody is warned.
        postmaster: who is told of notices that fail; ``""`` = nobody.
    """

    receivers: Literal["everyone", "authenticated"] = "everyone"
    delay_warning_s: float = 0.0
    postmaster: str = ""

    def is_late(self, age_s: float) -> bool:
        """A message of this age is worth a warning."""
        return 0 < self.delay_warning_s <= age_s


@attrs.frozen(kw_only=True)
class Report:
    """What a notice has to say of one recipient.

    Attributes:
        status: the enhanced status code that it comes to; for a message that expired not the reply's.
        reply: the last one.
    """

    kind: Kind
    recipient: Recipient
    status: str
    reply: Reply


def suppressed(kind: Kind, envelope: Envelope, recipient: Recipient, rules: NoticeRules) -> str:
    """Why no notice of this kind is due for this recipient, ``""`` if one is."""
    if kind is Kind.POSTMASTER:
        is_due = rules.postmaster and mailbox_key(rules.postmaster) != mailbox_key(recipient.address)
        return "" if is_due else NULL_SENDER
    if not envelope.sender:
        return NULL_SENDER
    if "NEVER" in recipient.notify:
        return NEVER
    if recipient.notify and kind.wish not in recipient.notify:
        return f"suppressed: the sender did not ask for NOTIFY={kind.wish}"
    if rules.receivers == "authenticated" and not envelope.client.identity:
        return UNKNOWN_SENDER
    if is_notice(envelope.content):
        return IS_NOTICE
    if kind is Kind.DELAYED and not recipient.notify and is_automatic(envelope.content):
        return IS_AUTOMATIC
    return ""


def is_notice(content: Content) -> bool:
    """A delivery or disposition notification, whatever its sender: some systems give theirs one."""
    return any(_REPORT.match(value) for value in _values(content, b"content-type"))


def is_automatic(content: Content) -> bool:
    """A mailing list's, or from a program that says so (RFC 3834 §5, RFC 2919): nobody reads a warning."""
    return (
        bool(_values(content, b"list-id"))
        or any(value not in (b"", b"no") for value in _words(content, b"auto-submitted"))
        or any(value in _BULK for value in _words(content, b"precedence"))
    )


def _words(content: Content, name: bytes) -> Sequence[bytes]:
    return [value.partition(b";")[0].strip().lower() for value in _values(content, name)]


def _values(content: Content, name: bytes) -> Sequence[bytes]:
    try:
        return [value[:_MAX_VALUE_BYTES] for value in content.fields(name)]
    except OSError:  # a body that cannot be read must not keep the recipients' ends from being recorded
        return ()
