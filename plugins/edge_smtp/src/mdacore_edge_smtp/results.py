"""Authentication-Results: those of a message that claim to be ours are taken out before anybody can believe them.

Only we, and servers that we trust, may speak in our name (RFC 8601 §5); what others say in theirs stays. Invariants: a
message without such a field costs no more than a search of its header; a field is taken out whole or not at all, and
nothing else changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mdacore import Body, Content
from mdacore_edge_smtp.mailboxes import ascii_domain

NAME = b"Authentication-Results"
MAX_HEADER_BYTES = 2**20
"""Of a header that is taken apart: Exim's `header_maxsize`."""
MAX_CLAIMS = 100
"""With more of them than this, all such fields go, which RFC 8601 §5 allows: each place is stored with the message."""
MAX_ID_CHARS = 1000
"""Of a name that is worth comparing."""

_NAME = NAME.lower()
_HEADER_END = b"\r\n\r\n"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_END_OF_WORD = re.compile(r'[\s;("\x00-\x1f\x7f]')
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ENCODED_WORD = "=?"


class HeaderTooLarge(Exception):
    """The header has such fields, and more than `MAX_HEADER_BYTES`."""


class OwnResults:
    """The names that only we may use."""

    def __init__(self, authserv_ids: Iterable[str]) -> None:
        self._ids = frozenset(map(ascii_domain, authserv_ids))

    def claims(self, body: Body, head: bytes) -> tuple[int, ...]:
        """Which of the message's Authentication-Results claim to be ours: their places in `Content.fields`.

        `head` is how the body begins. May block on the disk where the body is in a file, and raises OSError then.

        Raises:
            HeaderTooLarge: nobody should hold it in memory to find out.
        """
        header_bytes = _size_where_named(body, head) if self._ids else 0
        if not header_bytes:
            return ()
        if header_bytes > MAX_HEADER_BYTES:
            raise HeaderTooLarge
        return tuple(index for index, value in enumerate(Content(body).fields(NAME)) if self._is_ours(value))

    def _is_ours(self, value: bytes) -> bool:
        said = authserv_id(value.decode("utf-8", "replace"))
        # No server writes its name as an encoded word; whoever decodes before he parses could read ours there.
        return said.startswith(_ENCODED_WORD) or (len(said) <= MAX_ID_CHARS and ascii_domain(said) in self._ids)


def without_claims(content: Content, claims: tuple[int, ...]) -> Content:
    """The same without the fields at these places."""
    if not claims:
        return content
    return content.remove(NAME, at=claims if len(claims) <= MAX_CLAIMS else None)


def authserv_id(value: str) -> str:
    """Who a field's value says has written it (RFC 8601 §2.2), without quotes; ``""`` = nobody.

    ``" (comment)\\r\\n mx.example.com 1; dkim=pass"`` is of ``"mx.example.com"``. A comment that does not end reaches
    to the end, a quote that does not end is none.
    """
    at = _past_comments(value)
    quoted = _QUOTED.match(value, at)
    if quoted is not None:
        return _QUOTED_PAIR.sub(r"\1", quoted[1]).strip()
    return _END_OF_WORD.split(value[at:].lstrip('"'), maxsplit=1)[0]


def _size_where_named(body: Body, head: bytes) -> int:
    """About how long the header is, if the name stands anywhere in it; 0 = it does not."""
    end = head.find(_HEADER_END)
    if end < 0 and len(head) < body.size_bytes:
        return _size_where_named_in_file(body)
    header = head if end < 0 else head[:end]
    return len(header) if _NAME in header.lower() else 0


def _size_where_named_in_file(body: Body) -> int:
    is_named, size_bytes, window = False, 0, b""
    for piece in body.chunks():
        window = window[1 - len(_NAME) :] + piece  # either may lie across two pieces
        end = window.find(_HEADER_END)
        is_named = is_named or _NAME in (window if end < 0 else window[:end]).lower()
        size_bytes += len(piece)
        if end >= 0:
            break
    return size_bytes if is_named else 0


def _past_comments(value: str) -> int:
    """Where the first word begins: comments nest, and a backslash takes a character's meaning (RFC 5322 §3.2.2)."""
    depth = at = 0
    while at < len(value):
        char = value[at]
        if char == "(":
            depth += 1
        elif not depth and not (char.isspace() or char < " "):
            break
        elif char == ")":
            depth -= 1
        at += 2 if char == "\\" else 1
    return at
