"""When two spellings of an address mean one mailbox of ours, and what of a local part is a sub-address. Pure.

The rule for domains: without regard to case, to Unicode's normal forms (RFC 6530 §10.1) and to whether a label stands
in Unicode or as its A-label (``xn--…``, RFC 5890 §2.3.2.1). For local parts, which are ours to interpret (RFC 5321
§2.3.11): without regard to case, to normal forms and to quotes that need not be there.
Invariant: keys are for comparing; the address that travels on is what the client wrote.
"""

from __future__ import annotations

import re
import unicodedata

from mdacore import fold_domain, split_address
from mdacore_edge_smtp.protocol import is_domain

Key = tuple[str, str]
"""A mailbox, as it is compared: the local part, ``""`` = every one of the domain, and the domain in ASCII."""

_ACE_PREFIX = "xn--"
_QUOTED_PAIR = re.compile(r"\\(.)")
_LOCAL_PART = re.compile(r'[^\x00-\x20\x7f-\x9f"(),:;<>@\[\\\]]+|"(?:[^\x00-\x1f\x7f-\x9f"\\]|\\[ -~])+"')


def ascii_domain(domain: str) -> str:
    """The one form of a domain that all its spellings share: folded, with A-labels for what is not ASCII."""
    if domain.isascii():
        return fold_domain(domain)
    return ".".join(map(_ascii_label, normal_domain(domain).split(".")))


def normal_domain(domain: str) -> str:
    """Folded, in the normal form C; labels stay in the script that they are written in."""
    return unicodedata.normalize("NFC", fold_domain(unicodedata.normalize("NFC", domain)))


def mailbox_of(address: str) -> Key:
    """The key of an address; ``@example.com`` is every mailbox of that domain."""
    local, domain = split_address(address)
    return _folded(_unquoted(local)), ascii_domain(domain)


def without_extension(key: Key, delimiter: str) -> Key | None:
    """The mailbox that a sub-address belongs to (RFC 5233 §2): up to the first delimiter that is not at the front.

    None: there is no sub-address, or there are none here (`delimiter` is ``""``).
    """
    at = key[0].find(delimiter, 1) if delimiter else -1
    return (key[0][:at], key[1]) if at > 0 else None


def is_address(text: str) -> bool:
    """Whether this is ``local@domain``, either of them perhaps in Unicode (RFC 6531 §3.3)."""
    local, domain = split_address(text)
    return bool(_LOCAL_PART.fullmatch(local)) and is_mail_domain(domain)


def is_mail_domain(text: str) -> bool:
    """Whether this is a domain, perhaps in Unicode, or an address literal."""
    return is_domain(text) if text.isascii() else is_domain(ascii_domain(text))


def _ascii_label(label: str) -> str:
    return label if label.isascii() else _ACE_PREFIX + label.encode("punycode").decode("ascii")


def _unquoted(local: str) -> str:
    is_quoted = len(local) >= 2 and local[0] == local[-1] == '"'
    return _QUOTED_PAIR.sub(r"\1", local[1:-1]) if is_quoted else local


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
