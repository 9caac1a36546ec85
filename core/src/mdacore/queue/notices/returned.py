"""The third part of a notice: what goes back of the original, all of it or its header (RFC 3461 §4.3, RFC 6522 §4).

Invariant: whatever the original holds, the part is MIME that survives its way, and at most 50 000 octets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mdacore.queue.notices.mime import Part, is_7bit, is_8bit, plain_part, to_qp
from mdacore.words import Content

MAX_RETURNED_BYTES: Final = 50_000
"""As sent, that is, encoded (acceptance case 60; Postfix's bounce_size_limit)."""


def returned(content: Content, *, is_full: bool, is_utf8: bool) -> Part | None:
    """The part; None = the original cannot be read.

    The whole message is returned only as it is: one that is too large, or could not be sent without an encoding (which
    message/rfc822 must not have, RFC 2046 §5.2.1), gives its header.
    """
    try:
        whole = _first(content.chunks(), MAX_RETURNED_BYTES + 1) if is_full else b""
        header = content.header
    except OSError:
        return None
    if is_full and len(whole) <= MAX_RETURNED_BYTES:
        if not is_utf8 and is_7bit(whole):
            return plain_part("message/rfc822", whole)
        if is_utf8 and is_8bit(whole) and _is_utf8(header):
            return plain_part("message/global", whole)
    return _header_part(_cut(header), is_utf8=is_utf8)


def _header_part(header: bytes, *, is_utf8: bool) -> Part:
    if is_utf8 and is_8bit(header) and _is_utf8(header):
        return plain_part("message/global-headers", header)
    if is_7bit(header):
        return plain_part("text/rfc822-headers", header)
    encoded = _cut(to_qp(header))
    return Part(content_type="text/rfc822-headers", encoding="quoted-printable", data=encoded.removesuffix(b"=\r\n"))


def _first(chunks: Iterable[bytes], size_bytes: int) -> bytes:
    data = b""
    for chunk in chunks:
        data += chunk[: size_bytes - len(data)]
        if len(data) == size_bytes:
            break
    return data


def _cut(lines: bytes) -> bytes:
    """As many whole lines as may be returned."""
    if len(lines) <= MAX_RETURNED_BYTES:
        return lines
    end = lines.rfind(b"\r\n", 0, MAX_RETURNED_BYTES)
    return lines[: end + 2] if end >= 0 else b""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
