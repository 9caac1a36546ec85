"""The X-Spam fields: taken out of what came in, and written for a verdict. Pure but for reading a body's header.

Invariant: after `without_fields`, whatever the client said about spam in a field that this policy writes is gone; what
is written is one field each, in lines of at most 78 characters unless one name alone is longer.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from mdacore import Content
from mdacore_policy_spamassassin.spamc import Scan

WRITTEN = ("X-Spam-Status", "X-Spam-Symbols", "X-Spam-Checked")

FAILED = b"X-Spam-Checked: failed\r\n"
TOO_LARGE = b"X-Spam-Checked: skipped, too large\r\n"

_LINE_CHARS = 78
"""RFC 5322 §2.1.1, without the CRLF."""


def without_fields(content: Content, names: Iterable[str]) -> Content:
    """The same without the fields of these names. May block on a disk when the body is a file."""
    cleaned = content
    for name in map(str.encode, names):
        if content.fields(name):  # an edit for each field that is there: no others are stored and made again
            cleaned = cleaned.remove(name)
    return cleaned


def with_verdict(content: Content, scan: Scan) -> Content:
    """The same with X-Spam-Status on top, above X-Spam-Symbols where rules hit.

    The status begins with YES or NO; the rest is as SpamAssassin itself writes it, for those who look for the score.
    """
    if scan.symbols:
        content = content.prepend(_folded(f"X-Spam-Symbols: {', '.join(scan.symbols)}"))
    word = "YES" if scan.is_spam else "NO"
    return content.prepend(_folded(f"X-Spam-Status: {word}, score={scan.score:.1f} required={scan.required:.1f}"))


def _folded(field: str) -> bytes:
    lines = textwrap.wrap(field, _LINE_CHARS, subsequent_indent="\t", break_long_words=False, break_on_hyphens=False)
    return "".join(f"{line}\r\n" for line in lines).encode()
