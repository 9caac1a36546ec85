"""Authentication-Results: those of a message that claim to be ours are taken out before anybody can believe them.

Only we, and servers that we trust, may speak in our name (RFC 8601 §5); what others say in theirs stays. Invariants: a
message without such a field costs no more than a search of its header; a field is taken out whole or not at all, and
nothing else changes; what is no plain name is not interpreted, since every reader does that in his own way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from gevent import get_hub

from mdacore import Body, Content
from mdacore_edge_smtp.mailboxes import ascii_domain

NAME = b"Authentication-Results"
MAX_HEADER_BYTES = 2**20
"""Of a header that is taken apart: Exim's `header_maxsize`."""
MAX_CLAIMS = 100
"""With more of them than this, all such fields go, which RFC 8601 §5 allows: each place is stored with the message."""
MAX_ID_CHARS = 1000
"""Of a name that is worth comparing; to bring marks that combine into order takes the square of their number."""

_NAME = NAME.lower()
_HEADER_END = b"\r\n\r\n"
_FIELD = re.compile(rb"^" + NAME + rb"[ \t]*:((?:.*\r\n[ \t])*.*)", re.IGNORECASE | re.MULTILINE)
_END_OF_WORD = re.compile(r"[ \t\r\n;]")
_DOT_BEHIND_COMMENT = re.compile(r"\)\s*\.")
_AMBIGUOUS = frozenset('()"\\')
_ENCODED_WORD = "=?"
_IDEOGRAPHIC_STOP = "\u3002"
_PLAIN = re.compile(r"[\w.-]+")
_ACE_PREFIX = "xn--"
_NOBODY = ("",)


class HeaderTooLarge(Exception):
    """The header has such fields, and more than `MAX_HEADER_BYTES`."""


class HeaderBroken(Exception):
    """Some readers find a claim where others see the body already, so that it cannot be taken out."""


class OwnResults:
    """The names that only we may use."""

    def __init__(self, authserv_ids: Iterable[str]) -> None:
        names = {tuple(_labels(name)) for name in authserv_ids} - {_NOBODY}
        self._ids = [tuple(map(_spellings, labels)) for labels in names]

    def claims(self, body: Body, head: bytes) -> tuple[int, ...]:
        """Which of the message's Authentication-Results claim to be ours: their places in `Content.fields`.

        `head` is how the body begins. Where the body is in a file it blocks this greenlet, and may raise OSError.

        Raises:
            HeaderTooLarge: nobody should hold it in memory to find out.
            HeaderBroken: one stands below a line that is no field, and above the first empty line.
        """
        header_bytes = _size_where_named(body, head) if self._ids else 0
        if not header_bytes:
            return ()
        if header_bytes > MAX_HEADER_BYTES:
            raise HeaderTooLarge
        content = Content(body)
        if any(map(self._is_ours, _fields_below(content, header_bytes))):
            raise HeaderBroken
        return tuple(index for index, value in enumerate(content.fields(NAME)) if self._is_ours(value))

    def _is_ours(self, value: bytes) -> bool:
        text = value.decode("utf-8", "replace").lstrip(" \t\r\n")
        word = _END_OF_WORD.split(text, maxsplit=1)[0]
        return _is_ambiguous(word, text[len(word) :]) or self._is_own(word) or self._is_own(_plain_part(word))

    def _is_own(self, name: str) -> bool:
        labels = _labels(name) if len(name) <= MAX_ID_CHARS else ()
        return any(
            len(labels) == len(own) and all(label in spellings for label, spellings in zip(labels, own, strict=True))
            for own in self._ids
        )


def without_claims(content: Content, claims: tuple[int, ...]) -> Content:
    """The same without the fields at these places."""
    if not claims:
        return content
    return content.remove(NAME, at=claims if len(claims) <= MAX_CLAIMS else None)


def _is_ambiguous(word: str, rest: str) -> bool:
    """Whether readers may differ about the name that begins so.

    Comments (some nest them), quotes, backslashes and what is invisible are left out by some and not by others;
    SpamAssassin and Python decode encoded words before they parse; OpenDMARC puts ``mx . example . com`` together.
    """
    if not word.isprintable() or not _AMBIGUOUS.isdisjoint(word) or _ENCODED_WORD in word:
        return True
    more = rest.partition(";")[0].strip()
    return more.startswith(".") or _DOT_BEHIND_COMMENT.search(more) is not None or (word.endswith(".") and more != "")


def _plain_part(word: str) -> str:
    """What somebody sees who looks for a name and stops at what cannot stand in one."""
    found = _PLAIN.search(word)
    return found[0] if found else ""


def _labels(name: str) -> Sequence[str]:
    """The parts of a name as they are compared: wide letters and other stops are the plain ones, as in IDNA."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).lower())
    return folded.replace(_IDEOGRAPHIC_STOP, ".").strip(".").split(".")


def _spellings(label: str) -> frozenset[str]:
    """One of our labels as others may write it: whatever they write is never converted, which may be expensive."""
    if not label.startswith(_ACE_PREFIX):
        return frozenset((label, ascii_domain(label)))
    try:
        return frozenset((label, *_labels(label.removeprefix(_ACE_PREFIX).encode().decode("punycode"))))
    except UnicodeError:
        return frozenset((label,))


def _fields_below(content: Content, header_bytes: int) -> list[bytes]:
    """The values of what looks like such a field between the header's end and the first empty line.

    Dovecot and SpamAssassin read on where a line is no field, Python only at some of these lines.
    """
    lines = next(content.body.chunks(header_bytes), b"").partition(_HEADER_END)[0]
    # An empty line on top ends the header for everybody.
    return [] if lines.startswith(b"\r\n") else _FIELD.findall(lines, len(content.header))


def _size_where_named(body: Body, head: bytes) -> int:
    """About how long the header is, if the name stands anywhere in it; 0 = it does not."""
    end = head.find(_HEADER_END)
    if end < 0 and len(head) < body.size_bytes:
        found = get_hub().threadpool.apply(_size_where_named_in_file, (body,))
        if isinstance(found, OSError):
            raise found
        return found
    header = head if end < 0 else head[:end]
    return len(header) if _NAME in header.lower() else 0


def _size_where_named_in_file(body: Body) -> int | OSError:
    """In a thread of the pool, as the file may be long. An error is returned: the pool prints what is raised."""
    is_named, size_bytes, window = False, 0, b""
    try:
        for piece in body.chunks():
            window = window[1 - len(_NAME) :] + piece  # either may lie across two pieces
            end = window.find(_HEADER_END)
            is_named = is_named or _NAME in (window if end < 0 else window[:end]).lower()
            size_bytes += len(piece)
            if end >= 0:
                break
    except OSError as error:
        return error
    return size_bytes if is_named else 0
