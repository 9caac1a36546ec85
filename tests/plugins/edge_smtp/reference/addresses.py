"""Paths of MAIL and RCPT, read one character after the other as RFC 5321 §4.1.2 and RFC 6531 §3.3 write them."""

from __future__ import annotations

import ipaddress
import unicodedata
from string import ascii_letters, digits

import attrs

ATOM_CHARACTERS = ascii_letters + digits + "!#$%&'*+-/=?^_`{|}~"
UNWANTED = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u061c", "\u200e", "\u200f", "\ufeff",
            *map(chr, range(0x2028, 0x202F)), *map(chr, range(0x2066, 0x206A))}  # fmt: skip
"""Control characters, and those that turn the direction of a text round."""
FALSE_DOTS = {"\u3002", "\uff0e", "\uff61"}


class NotAPathError(Exception):
    """It is not in the grammar, or too long."""


class NotADomainError(Exception):
    """A label of the domain is internationalized, and is not a legal one."""


@attrs.frozen
class Path:
    """An address, and what follows it; `is_plain` = ASCII, and no label begins with ``xn--``."""

    address: str
    rest: str
    is_plain: bool


class _Text:
    """Characters that are taken from the front."""

    def __init__(self, text: str) -> None:
        self.left = text

    def next_is(self, *beginnings: str) -> bool:
        return self.left.startswith(beginnings)

    def take(self, wanted: str) -> None:
        if self.left[: len(wanted)].upper() != wanted.upper() or not self.left[: len(wanted)].isascii():
            raise NotAPathError(wanted)
        self.left = self.left[len(wanted) :]

    def take_while(self, allowed: str) -> str:
        """At least one of these, or of what is not ASCII."""
        count = 0
        while count < len(self.left) and (self.left[count] in allowed or not self.left[count].isascii()):
            count += 1
        if not count:
            raise NotAPathError(allowed)
        taken, self.left = self.left[:count], self.left[count:]
        return taken


def read_path(argument: str, keyword: str) -> Path:
    """Read ``FROM:<path> parameters`` or ``TO:<path> parameters``.

    Raises:
        NotAPathError, NotADomainError.
    """
    text = _Text(argument)
    text.take(keyword)
    if text.next_is(" "):
        text.take(" ")
    before = text.left
    address, domains = _between_brackets(text, keyword)
    path = before[: len(before) - len(text.left)]
    if text.left and not text.next_is(" "):
        raise NotAPathError(argument)
    labels = [label for domain in domains for label in domain.split(".")]
    is_plain = path.isascii() and not any(label.lower().startswith("xn--") for label in labels)
    is_ordinary = is_plain and argument.isascii() and all(map(_is_sound, labels))
    has_odd_literal = address.endswith("]") and "@" in address.rpartition("@[")[2]
    if not is_ordinary and (has_odd_literal or UNWANTED & set(argument)):
        raise NotAPathError(argument)
    _check_lengths(path, address)
    _check_labels(domains[-1].split(".") if domains else [])
    return Path(address, text.left[1:], is_plain)


def _between_brackets(text: _Text, keyword: str) -> tuple[str, list[str]]:
    text.take("<")
    if keyword == "FROM:" and text.next_is(">"):
        text.take(">")
        return "", []
    if keyword == "TO:" and text.left[:11].lower() == "postmaster>":
        text.take("postmaster>")
        return "postmaster", []
    domains = _route(text) if text.next_is("@") else []
    local = _quoted(text) if text.next_is('"') else _dotted(text)
    text.take("@")
    if text.next_is("["):
        host = _literal(text)
        domains.append("")
    else:
        host = _domain(text)
        domains.append(host)
    text.take(">")
    return f"{local}@{host}", domains


def _route(text: _Text) -> list[str]:
    domains = []
    while True:
        text.take("@")
        domains.append(_domain(text))
        if text.next_is(":"):
            text.take(":")
            return domains
        text.take(",")


def _dotted(text: _Text) -> str:
    atoms = [text.take_while(ATOM_CHARACTERS)]
    while text.next_is("."):
        text.take(".")
        atoms.append(text.take_while(ATOM_CHARACTERS))
    return ".".join(atoms)


def _quoted(text: _Text) -> str:
    inner, rest = "", text.left[1:]
    while not rest.startswith('"'):
        length = 2 if rest.startswith("\\") else 1
        piece = rest[:length]
        if len(piece) < length or any(character < " " or character == "\x7f" for character in piece):
            raise NotAPathError(piece)
        inner, rest = inner + piece, rest[length:]
    if not inner:  # legal by the grammar, and nobody's name
        raise NotAPathError(inner)
    text.left = rest[1:]
    return f'"{inner}"'


def _literal(text: _Text) -> str:
    inner, bracket, rest = text.left[1:].partition("]")
    try:
        if "%" in inner or not bracket:
            raise NotAPathError(inner)
        if inner[:5].upper() == "IPV6:":
            ipaddress.IPv6Address(inner[5:])
        else:
            ipaddress.IPv4Address(inner)
    except ipaddress.AddressValueError:
        raise NotAPathError(inner) from None
    text.left = rest
    return f"[{inner}]"


def _domain(text: _Text) -> str:
    labels = [text.take_while(ascii_letters + digits + "-")]
    while text.next_is("."):
        text.take(".")
        labels.append(text.take_while(ascii_letters + digits + "-"))
    if any(label.startswith("-") for label in labels):
        raise NotAPathError(labels)
    if not all(map(_is_sound, labels)):
        raise NotAPathError(labels)
    return ".".join(labels)


def _is_sound(label: str) -> bool:
    """What goes beyond ASCII, or stands for such, is looked at elsewhere."""
    is_international = not label.isascii() or label[:4].lower() == "xn--"
    return is_international or (not label.endswith("-") and len(label) <= 63)


def _check_lengths(path: str, address: str) -> None:
    """RFC 5321 §4.5.3.1.1, §4.5.3.1.3; in octets."""
    local = address.rpartition("@")[0]
    if len(local.encode()) > 64 or len(path.encode()) > 256:
        raise NotAPathError(path)


def _check_labels(labels: list[str]) -> None:
    """RFC 5890 §2.3.2."""
    for label in labels:
        if not label.isascii():
            is_legal = not FALSE_DOTS & set(label) and len(label.encode("punycode")) <= 59
        elif label[:4].lower() == "xn--":
            is_legal = _is_a_label(label.lower())
        else:
            continue
        if not is_legal:
            raise NotADomainError(label)


def _is_a_label(label: str) -> bool:
    try:
        text = label[4:].encode().decode("punycode")
        again = text.encode("punycode").decode()
    except UnicodeError:
        return False
    is_sound = not text.isascii() and text == unicodedata.normalize("NFC", text)
    return is_sound and again.lower() == label[4:] and len(label) <= 63 and not (UNWANTED | FALSE_DOTS) & set(text)
