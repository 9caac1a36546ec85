"""MIME as notices need it (RFC 2045, RFC 2046, RFC 6522): parts that may hold anything, joined into one report. Pure.

Invariants: what comes out has CRLF line ends and lines of at most 998 octets, is 7-bit unless 8-bit was allowed, holds
no NUL, and no part contains the boundary.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import attrs

Encoding = Literal["7bit", "8bit", "quoted-printable"]

_LONG_LINE = re.compile(rb"[^\r\n]{999}")  # RFC 5322 §2.1.1
_LONE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_CRLF: Final = b"\r\n"


@attrs.frozen(kw_only=True)
class Part:
    """One body part; `data` is as it is sent, in its encoding.

    Attributes:
        content_type: with its parameters.
    """

    content_type: str
    encoding: Encoding = "7bit"
    data: bytes

    def lines(self) -> bytes:
        """Its header, the empty line, its octets, and the line end that belongs to the boundary (RFC 2046 §5.1.1)."""
        encoding = f"Content-Transfer-Encoding: {self.encoding}\r\n" if self.encoding != "7bit" else ""
        return f"Content-Type: {self.content_type}\r\n{encoding}\r\n".encode("ascii") + self.data + _CRLF


def plain_part(content_type: str, data: bytes) -> Part:
    """A part of octets that need no encoding."""
    return Part(content_type=content_type, encoding="7bit" if data.isascii() else "8bit", data=data)


def text_part(content_type: str, text: str, *, may_be_8bit: bool) -> Part:
    """A part of text for people; its charset is added to its type."""
    data = text.encode().replace(b"\r\n", b"\n").replace(b"\n", _CRLF)
    if is_7bit(data):
        return Part(content_type=f"{content_type}; charset=us-ascii", data=data)
    if may_be_8bit and is_8bit(data):
        return Part(content_type=f"{content_type}; charset=utf-8", encoding="8bit", data=data)
    return Part(content_type=f"{content_type}; charset=utf-8", encoding="quoted-printable", data=to_qp(data))


def is_7bit(data: bytes) -> bool:
    """RFC 2045 §2.7."""
    return data.isascii() and is_8bit(data)


def is_8bit(data: bytes) -> bool:
    """RFC 2045 §2.8."""
    return b"\0" not in data and not _LONE.search(data) and not _LONG_LINE.search(data)


def to_qp(data: bytes) -> bytes:
    """Any octets as quoted-printable text, each CRLF as a line end (RFC 2045 §6.7)."""
    lines = [binascii.b2a_qp(line, istext=False) for line in data.split(_CRLF)]
    return _CRLF.join(line.replace(b"=\n", b"=\r\n") for line in lines)


def report(parts: Sequence[Part], *, boundary: str) -> tuple[str, bytes]:
    """The value of Content-Type and the body of a multipart/report (RFC 6522 §3); the boundary may be lengthened."""
    bodies = [part.lines() for part in parts]
    boundary = _absent(boundary, bodies)
    mark = f"--{boundary}".encode("ascii")
    joined = b"".join(mark + _CRLF + body for body in bodies) + mark + b"--\r\n"
    return f'multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"', joined


def _absent(boundary: str, bodies: Iterable[bytes]) -> str:
    everything = _CRLF.join(bodies)
    found, number = boundary, 0
    while found.encode("ascii") in everything:  # ends: there are fewer numbers in there than octets
        number += 1
        found = f"{boundary}.{number}"
    return found
