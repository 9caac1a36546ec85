"""Addresses and parameters beyond ASCII (RFC 6531 §3.3), and domain labels that stand for such (RFC 5890 §2.3.2).

Pure, and slower than grammar.py, which sends here only what it does not know. Nothing is normalized: what a client
wrote is what goes on, once it is known to hold neither control characters nor such as change the order of the text.
"""

from __future__ import annotations

import re
import unicodedata

from mdacore_edge_smtp.protocol import grammar

_BEYOND_ASCII = rb"(?=[Xx][Nn]--|[A-Za-z0-9-]*[\x80-\xff])[A-Za-z0-9\x80-\xff][A-Za-z0-9\x80-\xff-]*"
"""A label that is not ASCII or stands for such: what it may hold is looked at later."""

_OTHER = rb"(?![Xx][Nn]--)" + grammar.LABEL + rb"(?![A-Za-z0-9\x80-\xff-])"
"""Never what the one above matches: two ways to read each label would be 2**n ways to read n of them."""

_PATHS = grammar.compile_paths(label=rb"(?:" + _BEYOND_ASCII + rb"|" + _OTHER + rb")", other=rb"\x80-\xff")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""C0, C1, line ends, and what turns the direction of a text round (Unicode UAX 9)."""

_DOTS = re.compile("[\u3002\uff0e\uff61]")
"""Some software takes these for the dot between labels (RFC 3490 §3.1), other does not."""

_MAX_LABEL_CHARS = 63
_PREFIX = "xn--"


class BadDomainError(ValueError):
    """A label of the domain says that it is internationalized, and is not a legal one."""


def parse_reverse_path(argument: bytes) -> tuple[str, bytes] | None:
    """As grammar's. The sender may be anything in UTF-8, the parameters too.

    Raises:
        BadDomainError: in the sender.
    """
    return _checked(grammar.parse_reverse_path(argument, _PATHS)) if _is_clean(argument) else None


def parse_forward_path(argument: bytes) -> tuple[str, bytes] | None:
    """As grammar's, likewise.

    Raises:
        BadDomainError: in the recipient.
    """
    return _checked(grammar.parse_forward_path(argument, _PATHS)) if _is_clean(argument) else None


def _is_clean(argument: bytes) -> bool:
    try:
        return not _CONTROL.search(argument.decode())
    except UnicodeDecodeError:
        return False


def _checked(path: tuple[str, bytes] | None) -> tuple[str, bytes] | None:
    if path is None:
        return None
    domain = path[0].rpartition("@")[2]
    if domain.startswith("["):
        return path
    if not all(_is_legal(label) for label in domain.split(".") if _is_international(label)):
        raise BadDomainError(domain)
    return path


def _is_international(label: str) -> bool:
    return not label.isascii() or label[: len(_PREFIX)].lower() == _PREFIX


def _is_legal(label: str) -> bool:
    if not label.isascii():
        return not _DOTS.search(label) and len(_PREFIX) + len(label.encode("punycode")) <= _MAX_LABEL_CHARS
    encoded = label[len(_PREFIX) :].lower()
    try:
        text = encoded.encode("ascii").decode("punycode")
        is_canonical = text.encode("punycode").decode("ascii").lower() == encoded
    except UnicodeError:
        return False
    return (
        is_canonical
        and len(label) <= _MAX_LABEL_CHARS
        and not text.isascii()
        and unicodedata.is_normalized("NFC", text)
        and not _CONTROL.search(text)
        and not _DOTS.search(text)
    )
