"""The argument of XCLIENT: what a trusted peer says about the client that it speaks for.

The protocol is Postfix's (https://www.postfix.org/XCLIENT_README.html). Pure; whom to trust is decided elsewhere.
Invariant: values that come out are printable, so that they can stand in a header and in the log.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping

from mdacore_edge_smtp.protocol.dsn import decode_xtext

UNAVAILABLE = "[UNAVAILABLE]"
TEMPORARILY_UNAVAILABLE = "[TEMPUNAVAIL]"

MAX_VALUE_CHARS = 255

_VALUE = re.compile(rb"(?:[!-*,-<>-~]|\+[2-7][0-9A-Fa-f])+")
_PORT = re.compile(r"[0-9]{1,5}")


def parse_attributes(argument: bytes) -> Mapping[str, str]:
    """Read ``NAME=value ADDR=value`` into upper-case names and decoded values.

    An address comes without the ``IPV6:`` before it; what is not known is ``"[UNAVAILABLE]"`` or ``"[TEMPUNAVAIL]"``.

    Raises:
        ValueError: there is none, one stands twice, or one is unknown or wrong.
    """
    attributes: dict[str, str] = {}
    for word in argument.split():
        name_octets, _, value = word.partition(b"=")
        name = name_octets.decode("ascii", "replace").upper()
        if name in attributes or name not in _READERS or not _VALUE.fullmatch(value):
            raise ValueError(f"not an attribute: {word[:80]!r}")
        attributes[name] = _read(name, decode_xtext(value.decode("ascii")))
    if not attributes:
        raise ValueError("no attributes")
    return attributes


def _read(name: str, text: str) -> str:
    if text.upper() in (UNAVAILABLE, TEMPORARILY_UNAVAILABLE):
        return text.upper()
    if len(text) > MAX_VALUE_CHARS or not text.isprintable():
        raise ValueError(f"not a value: {text[:80]!r}")
    return _READERS[name](text)


def _address(text: str) -> str:
    if "%" in text:
        raise ValueError(f"an address with a zone: {text[:80]!r}")
    return str(ipaddress.IPv6Address(text[5:]) if text[:5].upper() == "IPV6:" else ipaddress.ip_address(text))


def _port(text: str) -> str:
    if not _PORT.fullmatch(text) or int(text) > 65_535:
        raise ValueError(f"not a port: {text!r}")
    return text


def _protocol(text: str) -> str:
    if text.upper() not in ("SMTP", "ESMTP"):
        raise ValueError(f"not a protocol: {text[:80]!r}")
    return text.upper()


_READERS: Mapping[str, Callable[[str], str]] = {
    "NAME": str,
    "ADDR": _address,
    "PORT": _port,
    "PROTO": _protocol,
    "HELO": str,
    "LOGIN": str,
    "DESTADDR": _address,
    "DESTPORT": _port,
}
