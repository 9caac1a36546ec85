"""Addresses as decoded text: their two halves, and when two of them name one mailbox.

The grammar of paths on the wire is not in here; an edge parses it and hands over ``local@domain`` without brackets.
Quoted local parts keep their quotes, so that what was received can be written again.
"""

from __future__ import annotations


def split_address(address: str) -> tuple[str, str]:
    """Split at the last ``@`` into local part and domain; the domain is ``""`` for a bare name."""
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (domain, "")


def fold_domain(domain: str) -> str:
    """The form in which two spellings of a domain compare equal: lower case, no final dot (RFC 5321 §2.4)."""
    return domain.lower().removesuffix(".")


def domain_of(address: str) -> str:
    """The folded domain of an address, ``""`` for a bare name."""
    return fold_domain(split_address(address)[1])


def mailbox_key(address: str) -> tuple[str, str]:
    """Equal for two addresses of one mailbox: the local part exactly, the domain folded (RFC 5321 §2.4)."""
    local, domain = split_address(address)
    return local, fold_domain(domain)
