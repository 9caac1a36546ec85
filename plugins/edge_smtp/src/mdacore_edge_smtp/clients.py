"""What is known about a client, as it comes to be known, is replaced by what a proxy says, and is forgotten. Pure.

Invariants: what a client or a proxy has said is fit for headers, logs and arguments before it is a fact about a client;
after a TLS handshake nothing is known that was not known before the client's first word.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from mdacore import Client, Greeting, printable
from mdacore_edge_smtp.trace import sanitised

MAX_IDENTITY_CHARS = 255
MAX_NAME_CHARS = 255

_WORDS: Mapping[str, str] = {"HELO": "SMTP", "EHLO": "ESMTP", "LHLO": "LMTP"}
_NO_NOTES: Mapping[str, object] = MappingProxyType({})
_UNKNOWN = frozenset(("[UNAVAILABLE]", "[TEMPUNAVAIL]"))


class Acquaintance:
    """One connection's client.

    Attributes:
        peer_ip: the address at the other end, whoever that speaks for.
        client: the facts.
        is_tls: the connection is encrypted.
        is_replaced: a proxy has said for whom it speaks.
        notes: validators' own memory.
    """

    def __init__(self, client: Client) -> None:
        self.peer_ip = client.ip
        self.client = self._described = self._peer = client
        self.is_tls = self.is_replaced = False
        self.notes: dict[str, object] = {}
        self._verb = ""
        self._first_notes: Mapping[str, object] = _NO_NOTES

    def keep_notes(self) -> None:
        """The client has said nothing yet: what validators know by now is not to be forgotten with its words."""
        self._first_notes = dict(self.notes) if self.notes else _NO_NOTES

    def greeted(self, greeting: Greeting) -> None:
        """It has called itself something, and that was accepted."""
        self._verb = greeting.verb
        word = protocol_word(greeting.verb, is_tls=self.is_tls, is_authenticated=bool(self.client.identity))
        self.client = attrs.evolve(self.client, helo=sanitised(greeting.name), protocol=word)

    def authenticated(self, name: str) -> None:
        """It has proved who it is."""
        word = protocol_word(self._verb, is_tls=self.is_tls, is_authenticated=True)
        self.client = attrs.evolve(self.client, identity=identity_name(name), protocol=word)

    def described(self, attributes: Mapping[str, str]) -> None:
        """A proxy has said for whom it speaks: that one is the client from now on, and has said nothing yet.

        Raises:
            ValueError: it is not described well, and nothing has changed.
        """
        self.client = self._described = with_xclient(self._described, attributes)
        self.is_replaced = True
        self.notes.clear()

    def encrypted(self) -> None:
        """A handshake is done: what was said before it is forgotten, by whomever (RFC 3207 §4.2)."""
        self.is_tls, self.is_replaced = True, False
        self.client = self._described = self._peer
        self.notes.clear()
        self.notes.update(self._first_notes)


def protocol_word(verb: str, *, is_tls: bool, is_authenticated: bool) -> str:
    """The ``with`` of the Received field for who greeted with this verb (RFC 3848): ``"ESMTPSA"``.

    There is no word for HELO with TLS or AUTH.
    """
    word = _WORDS[verb]
    return word if verb == "HELO" else f"{word}{'S' if is_tls else ''}{'A' if is_authenticated else ''}"


def utf8_word(word: str) -> str:
    """The same for a message with SMTPUTF8 (RFC 6531 §4.3): ``"UTF8SMTPSA"``."""
    return f"UTF8{word.removeprefix('E')}"


def identity_name(name: str) -> str:
    """A user's name, as logs and `Client.identity` have it: one printable line."""
    return printable(name, MAX_IDENTITY_CHARS)


def with_xclient(client: Client, attributes: Mapping[str, str]) -> Client:
    """The client as a proxy describes it; what the proxy does not mention stays: it may need several commands.

    PROTO is left to the greeting that follows; the ports and the destination are of no use here.

    Raises:
        ValueError: ADDR is not an IP address.
    """
    said = {name: "" if value.upper() in _UNKNOWN else value for name, value in attributes.items()}
    return attrs.evolve(
        client,
        protocol="",
        ip=_ip(said["ADDR"]) if "ADDR" in said else client.ip,
        host=_name(said["NAME"]) if "NAME" in said else client.host,
        helo=_name(said["HELO"]) if "HELO" in said else client.helo,
        identity=identity_name(said["LOGIN"]) if "LOGIN" in said else client.identity,
    )


def _ip(text: str) -> str:
    if not text:
        return ""
    ip = ipaddress.ip_address(text[5:] if text[:5].upper() == "IPV6:" else text)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip).partition("%")[0]


def _name(text: str) -> str:
    return sanitised(text)[:MAX_NAME_CHARS]
