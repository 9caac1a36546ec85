"""Which maildir is a recipient's: the template, and which names may be part of a path. Pure; no disk in here.

Invariant: the parts of a Folder are plain names, not ``.`` or ``..``, without slashes and control characters. Whoever
opens them one by one, following no symbolic link, stays beneath its root. The folders inside a maildir are not in here
(`subfolder`); which one a sub-address asks for is said by `Mailbox.extension`.
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

_NAMES = "{domain}, {user}, {extension}, {local} and {address}"
_PLACEHOLDER = re.compile(r"\{(local|user|extension|domain|address)\}")
_WITH_EXTENSION = frozenset({"local", "extension", "address"})
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


class UnsafeAddress(ValueError):
    """An address that cannot name a folder, and why."""


@attrs.frozen
class Mailbox:
    """Whose maildir an address means, and which of its sub-folders it asks for.

    `extension` is the sub-address in the case in which it was sent; ``""`` if there is none, or if the template has
    used it already. It may hold anything printable but a slash.
    """

    maildir: Folder
    extension: str = ""


@attrs.frozen
class FolderTemplate:
    """A relative path with ``{domain}``, ``{user}`` and the like in it; filled in once, from left to right.

    What is filled in is never looked at again: braces in an address stay as they are. It never makes a part empty or
    begin with a dot.

    Attributes:
        text: ``"{domain}/{user}"``; at least one part, every part a plain name.
        is_case_folded: the local part is taken in lower case, so that ``Alice`` and ``alice`` are one.
        default_domain: the domain of an address that has none, like ``postmaster`` (RFC 5321 §4.1.1.3).
        delimiter: what separates ``{user}`` and ``{extension}`` in a local part (RFC 5233); ``""`` = nothing does.

    Raises:
        ValueError: with a sentence for the operator.
    """

    text: str = attrs.field()
    is_case_folded: bool = True
    default_domain: str = "localhost"
    delimiter: str = ""

    @text.validator
    def _check(self, _: attrs.Attribute[str], text: str) -> None:
        for part in text.split("/"):
            example = _PLACEHOLDER.sub(lambda match: "" if match[1] == "extension" else "x", part)
            if "{" in example or "}" in example:
                raise ValueError(f"folder {text!r}: only {_NAMES} can be filled in")
            if objection := _objection(example):
                raise ValueError(f"folder {text!r}: the part {part!r} {objection}")

    def mailbox(self, address: str) -> Mailbox:
        """The mailbox of an address.

        Quotes do not make another mailbox (RFC 5321 §4.1.2), nor do the domain's case and final dot; Unicode is
        normalised to NFC (RFC 6532 §3.1).

        Raises:
            UnsafeAddress: if a half of the address, or a part of the path, is no plain name.
        """
        local, domain = split_address(address)
        local = _safe(unicodedata.normalize("NFC", _unquoted(local)))
        domain = _safe(unicodedata.normalize("NFC", fold_domain(domain or self.default_domain)))
        user, extension = self._user_and_extension(local)
        folded = self._folded(local)
        values = {
            "local": folded,
            "user": self._folded(user),
            "extension": self._folded(extension),
            "domain": domain,
            "address": f"{folded}@{domain}",
        }
        maildir = tuple(_filled(part, values) for part in self.text.split("/"))
        is_used = any(match[1] in _WITH_EXTENSION for match in _PLACEHOLDER.finditer(self.text))
        return Mailbox(maildir, "" if is_used else extension)

    def _user_and_extension(self, local: str) -> tuple[str, str]:
        """Split at the first delimiter that is not the first character."""
        at = local.find(self.delimiter, 1) if self.delimiter else -1
        return (local, "") if at < 0 else (local[:at], local[at + len(self.delimiter) :])

    def _folded(self, text: str) -> str:
        """Lower case may be longer, and no longer NFC."""
        return unicodedata.normalize("NFC", text.lower()) if self.is_case_folded else text


def _unquoted(local: str) -> str:
    is_quoted = len(local) >= 2 and local[0] == local[-1] == '"'
    return _QUOTED_PAIR.sub(r"\1", local[1:-1]) if is_quoted else local


def _filled(part: str, values: dict[str, str]) -> str:
    name = _safe(_PLACEHOLDER.sub(lambda match: values[match[1]], part))
    if name.startswith(".") and not part.startswith("."):
        raise UnsafeAddress(f"{name[:80]!r} would be a hidden folder")
    return name


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
