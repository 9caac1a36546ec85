"""Which folder is a recipient's: the template, and which names may be part of a path. Pure; no disk in here.

Invariant: the parts of a Folder are plain names, not ``.`` or ``..``, without slashes and control characters. Whoever
opens them one by one, following no symbolic link, stays beneath its root. This is also the place to decide about
sub-addresses: whatever picks a folder, picks it here and by these rules.
"""

from __future__ import annotations

import re
import unicodedata

import attrs

from mdacore import fold_domain, split_address

Folder = tuple[str, ...]
"""A maildir's place below the root, one name a part."""

MAX_NAME_BYTES = 255
"""NAME_MAX of the common file systems."""

_PLACEHOLDER = re.compile(r"\{(local|domain|address)\}")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


class UnsafeAddress(ValueError):
    """An address that cannot name a folder, and why."""


@attrs.frozen
class FolderTemplate:
    """A relative path with ``{local}``, ``{domain}`` and ``{address}`` in it; filled in once, from left to right.

    What is filled in is never looked at again: braces in an address stay as they are.

    Attributes:
        text: ``"{domain}/{local}"``; at least one part, every part a plain name.
        is_case_folded: the local part is taken in lower case, so that ``Alice`` and ``alice`` are one.
        default_domain: the domain of an address that has none, like ``postmaster`` (RFC 5321 §4.1.1.3).

    Raises:
        ValueError: with a sentence for the operator.
    """

    text: str = attrs.field()
    is_case_folded: bool = True
    default_domain: str = "localhost"

    @text.validator
    def _check(self, _: attrs.Attribute[str], text: str) -> None:
        for part in text.split("/"):
            example = _PLACEHOLDER.sub("x", part)
            if "{" in example or "}" in example:
                raise ValueError(f"folder {text!r}: only {{local}}, {{domain}} and {{address}} can be filled in")
            if objection := _objection(example):
                raise ValueError(f"folder {text!r}: the part {part!r} {objection}")

    def folder(self, address: str) -> Folder:
        """The folder of an address.

        Quotes do not make another mailbox (RFC 5321 §4.1.2), nor do the domain's case and final dot; Unicode is
        normalised to NFC (RFC 6532 §3.1).

        Raises:
            UnsafeAddress: if a half of the address, or a part of the path, is no plain name.
        """
        local, domain = split_address(address)
        local = _unquoted(local)
        local = unicodedata.normalize("NFC", local.lower() if self.is_case_folded else local)
        domain = unicodedata.normalize("NFC", fold_domain(domain or self.default_domain))
        values = {"local": _safe(local), "domain": _safe(domain), "address": f"{local}@{domain}"}
        return tuple(_safe(_PLACEHOLDER.sub(lambda match: values[match[1]], part)) for part in self.text.split("/"))


def _unquoted(local: str) -> str:
    is_quoted = len(local) >= 2 and local[0] == local[-1] == '"'
    return _QUOTED_PAIR.sub(r"\1", local[1:-1]) if is_quoted else local


def _safe(name: str) -> str:
    if objection := _objection(name):
        raise UnsafeAddress(f"{name[:80]!r} {objection}")
    return name


def _objection(name: str) -> str:
    """Why this cannot be the name of a folder, ``""`` if it can."""
    if name in ("", ".", ".."):
        return "is not a folder's name"
    if "/" in name or not name.isprintable():
        return "has a slash or a character that cannot be printed"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    return ""
