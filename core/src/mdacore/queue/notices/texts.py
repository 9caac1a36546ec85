"""The words for people in a notice, which an operator can replace: a subject and a text with fields. Pure.

Fields are written ``${recipients}`` and replaced in one pass: what stands in an address or a reply is never taken for a
field. Invariant: a text that exists can be rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from string import Template
from types import MappingProxyType
from typing import Final

import attrs

from mdacore.queue.notices.rules import Kind

FIELDS: Final = ("arrived", "hostname", "queue_id", "recipients", "retry_until", "sender", "tried_for", "tried_hours")
"""What a text may name; docs/reference/notices.md says what each is."""
MAX_TEXT_BYTES: Final = 65_536

_BLOCK_FIELDS: Final = frozenset({"recipients"})
_SUBJECT = re.compile(r"Subject:[ \t]*(.*)\n[ \t]*\n", re.IGNORECASE)
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def _check_subject(_: object, __: object, text: str) -> None:
    _check(text)
    if not text.strip() or "\n" in text:
        raise ValueError("the subject is one line that is not empty")
    if found := _BLOCK_FIELDS.intersection(Template(text).get_identifiers()):
        raise ValueError(f"{_quoted(found)} has many lines and cannot stand in a subject")


def _check_body(_: object, __: object, text: str) -> None:
    _check(text)
    if not text.strip():
        raise ValueError("the text is empty")


def _check(text: str) -> None:
    template = Template(text)
    if not template.is_valid():
        raise ValueError("a $ is neither that of a field like ${recipients} nor written twice")
    if unknown := set(template.get_identifiers()) - set(FIELDS):
        raise ValueError(f"{_quoted(unknown)} is no field; there are {_quoted(FIELDS)}")
    if _UNFIT.search(text):
        raise ValueError("it holds control characters")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"${{{name}}}" for name in sorted(names))


@attrs.frozen(kw_only=True)
class NoticeText:
    """The words of one kind of notice, lines ended by LF.

    Raises:
        ValueError: with a sentence for the operator: an unknown field, a lone ``$``, nothing at all.
    """

    subject: str = attrs.field(validator=_check_subject)
    body: str = attrs.field(validator=_check_body)

    @classmethod
    def parse(cls, text: str, default: NoticeText) -> NoticeText:
        """Read a file: the text, after a line ``Subject: ...`` and an empty one if the subject is to be another too.

        Raises:
            ValueError: with a sentence for the operator.
        """
        text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        match = _SUBJECT.match(text)
        if match is None:
            return cls(subject=default.subject, body=text)
        return cls(subject=match[1].strip(), body=text[match.end() :])

    def rendered(self, fields: Mapping[str, str]) -> tuple[str, str]:
        """Subject and text with these values, one for each of FIELDS."""
        return Template(self.subject).substitute(fields), Template(self.body).substitute(fields)


def default_texts() -> Mapping[Kind, NoticeText]:
    """Those that are used where the operator gives no others."""
    return _DEFAULTS


_DEFAULTS: Final[Mapping[Kind, NoticeText]] = MappingProxyType(
    {
        Kind.FAILED: NoticeText(
            subject="Your message could not be delivered",
            body="""\
This is the mail system at ${hostname}.

Your message of ${arrived} could not be delivered to the
recipients below. It will not be tried again. Below each address is what
the mail system that refused your message said.

${recipients}

Please check the address for mistakes and send your message again if you
find one. If the address is right, try to reach the recipient in another
way, and show them this notice.

The details are attached, with your message or the beginning of it.
""",
        ),
        Kind.EXPIRED: NoticeText(
            subject="Your message could not be delivered in time",
            body="""\
This is the mail system at ${hostname}.

Your message of ${arrived} could not be delivered to the
recipients below. It was tried for ${tried_for}, and will not be tried
again. Below each address is the last answer.

${recipients}

The recipient's mail system may be out of order. You can send your message
again later, or try to reach the recipient in another way.

The details are attached, with your message or the beginning of it.
""",
        ),
        Kind.DELAYED: NoticeText(
            subject="Your message is delayed",
            body="""\
This is the mail system at ${hostname}.

YOU NEED NOT SEND YOUR MESSAGE AGAIN. This is only a warning.

Your message of ${arrived} could not be delivered yet to the
recipients below. It has been tried for ${tried_for}, and will be tried until
${retry_until}. Below each address is the last answer.

${recipients}

You will be told if the message cannot be delivered by then.
""",
        ),
        Kind.DELIVERED: NoticeText(
            subject="Your message was delivered",
            body="""\
This is the mail system at ${hostname}.

As you asked to be told: your message of ${arrived}
was delivered to these recipients.

${recipients}
""",
        ),
        Kind.RELAYED: NoticeText(
            subject="Your message was passed on",
            body="""\
This is the mail system at ${hostname}.

As you asked to be told: your message of ${arrived}
was passed on for the recipients below to a mail system that does not send
confirmations. You will be told no more, unless it fails there.

${recipients}
""",
        ),
        Kind.POSTMASTER: NoticeText(
            subject="A notice could not be delivered",
            body="""\
This is the mail system at ${hostname}.

A message without a sender, ${queue_id}, could not be delivered to the
recipients below. As a rule such a message is itself a notice about mail that
could not be delivered. There is nobody else to tell.

${recipients}
""",
        ),
    }
)
