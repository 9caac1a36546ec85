"""Parameters of MAIL and RCPT, attributes of XCLIENT, and base64: read by hand, one value after the other."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits

_HEX = "0123456789ABCDEF"
_BASE64 = ascii_uppercase + ascii_lowercase + digits + "+/"
_XCLIENT_NAMES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")

_PARAMETERS = {
    "MAIL": {"SIZE": "SIZE", "8BITMIME": "BODY", "SMTPUTF8": "SMTPUTF8", "AUTH": "AUTH", "DSN": "RET ENVID"},
    "RCPT": {"DSN": "NOTIFY ORCPT"},
}


class BadSyntaxError(Exception):
    """It is not in the grammar."""


class UnknownKeywordError(Exception):
    """It is a parameter, but of no extension that was granted."""


def read_parameters(rest: str, verb: str, keywords: Iterable[str]) -> dict[str, str]:
    """The parameters of MAIL or RCPT where these extensions are granted (RFC 5321 §4.1.2)."""
    parameters: dict[str, str] = {}
    for word in rest.split(" "):
        if word:
            keyword, value = _keyword_and_value(word)
            if keyword in parameters:
                raise BadSyntaxError(word)
            parameters[keyword] = value
    allowed = " ".join(_PARAMETERS[verb].get(keyword, "") for keyword in keywords).split()
    for keyword, value in parameters.items():
        if keyword not in allowed:
            raise UnknownKeywordError(keyword)
        if not _CHECKS[keyword](value):
            raise BadSyntaxError(value)
    return parameters


def _keyword_and_value(word: str) -> tuple[str, str]:
    keyword, equals, value = word.partition("=")
    if not keyword or keyword.startswith("-") or any(c not in ascii_letters + digits + "-" for c in keyword):
        raise BadSyntaxError(word)
    if bool(equals) != bool(value) or "=" in value or any(c <= " " or c == "\x7f" for c in value):
        raise BadSyntaxError(word)
    return keyword.upper(), value


def _is_size(value: str) -> bool:
    return 1 <= len(value) <= 20 and all(c in digits for c in value)


def _is_one_of(*words: str) -> Callable[[str], bool]:
    return lambda value: value.isascii() and value.upper() in words


def _xtext_length(value: str, *, is_utf8_allowed: bool = False) -> int:
    """How many characters it stands for; 0 = it is none (RFC 3461 §4)."""
    count = 0
    while value:
        length = 3 if value[0] == "+" else 1
        character = value[:length]
        if length == 3 and (
            len(character) < 3
            or any(digit not in _HEX for digit in character[1:])
            or not 0x20 <= int(character[1:], 16) <= 0x7E
        ):
            return 0
        if not character.isascii() and not is_utf8_allowed:
            return 0
        count, value = count + 1, value[length:]
    return count


def _is_notify(value: str) -> bool:
    words = value.upper().split(",") if value.isascii() else []
    are_known = all(word in ("SUCCESS", "FAILURE", "DELAY") for word in words)
    return words == ["NEVER"] or (1 <= len(words) <= 3 and are_known)


def _is_original_recipient(value: str) -> bool:
    kind, semicolon, address = value.partition(";")
    is_kind = 1 <= len(kind) <= 60 and all(c in ascii_letters + digits + "-" for c in kind)
    is_utf8 = kind.isascii() and kind.lower() == "utf-8"
    has_address = _xtext_length(address, is_utf8_allowed=is_utf8) > 0
    return len(value) <= 500 and is_kind and bool(semicolon) and has_address


_CHECKS: dict[str, Callable[[str], bool]] = {
    "SIZE": _is_size,
    "BODY": _is_one_of("7BIT", "8BITMIME"),
    "SMTPUTF8": lambda value: not value,
    "AUTH": lambda value: value == "<>" or 1 <= _xtext_length(value) <= 500,
    "RET": _is_one_of("FULL", "HDRS"),
    "ENVID": lambda value: 1 <= _xtext_length(value) <= 100,
    "NOTIFY": _is_notify,
    "ORCPT": _is_original_recipient,
}


def read_attributes(argument: bytes) -> dict[str, str]:
    """What XCLIENT says (https://www.postfix.org/XCLIENT_README.html)."""
    attributes: dict[str, str] = {}
    for word in argument.split():
        name, _, encoded = word.decode("latin-1").partition("=")
        if not name.isascii() or name.upper() not in _XCLIENT_NAMES or name.upper() in attributes:
            raise BadSyntaxError(word)
        attributes[name.upper()] = _attribute(name.upper(), _decoded(encoded))
    if not attributes:
        raise BadSyntaxError(argument)
    return attributes


def _decoded(encoded: str) -> str:
    text = ""
    while encoded:
        length = 3 if encoded[0] == "+" else 1
        piece, encoded = encoded[:length], encoded[length:]
        if length == 3:
            if len(piece) < 3 or piece[1] not in "234567" or piece[2].upper() not in _HEX:
                raise BadSyntaxError(piece)
            piece = chr(int(piece[1:], 16))
        elif not "!" <= piece <= "~" or piece == "=":
            raise BadSyntaxError(piece)
        text += piece
    if not text:
        raise BadSyntaxError(encoded)
    return text


def _attribute(name: str, text: str) -> str:
    if text.upper() in ("[UNAVAILABLE]", "[TEMPUNAVAIL]"):
        return text.upper()
    if len(text) > 255 or any(not " " <= c <= "~" for c in text):
        raise BadSyntaxError(text)
    if name.endswith("ADDR"):
        return _ip(text)
    if name.endswith("PORT") and not (1 <= len(text) <= 5 and all(c in digits for c in text) and int(text) < 65_536):
        raise BadSyntaxError(text)
    if name == "PROTO" and text.upper() not in ("SMTP", "ESMTP"):
        raise BadSyntaxError(text)
    return text.upper() if name == "PROTO" else text


def _ip(text: str) -> str:
    try:
        if "%" in text:
            raise BadSyntaxError(text)
        if text[:5].upper() == "IPV6:":
            return str(ipaddress.IPv6Address(text[5:]))
        return str(ipaddress.IPv6Address(text) if ":" in text else ipaddress.IPv4Address(text))
    except ipaddress.AddressValueError:
        raise BadSyntaxError(text) from None


def read_base64(line: bytes) -> bytes:
    """RFC 4648 §4, by the letter, but that the bits which pad may be anything."""
    text = line.decode("latin-1")
    data = text[:-2] if text.endswith("==") else text[:-1] if text.endswith("=") else text
    if len(text) % 4 or any(c not in _BASE64 for c in data):
        raise BadSyntaxError(line)
    bits = "".join(f"{_BASE64.index(c):06b}" for c in data)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8))
