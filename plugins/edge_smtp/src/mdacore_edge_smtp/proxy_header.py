"""The PROXY protocol's header: who the client behind a proxy is. Pure: octets in, a header out.

Versions 1 and 2 of https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. Whether the peer may send one is the
caller's to know. Invariant: what is not exactly a header is refused before `MAX_SIZE_BYTES` of it have been kept.
"""

from __future__ import annotations

import ipaddress
import re

import attrs

from mdacore_edge_smtp.ips import plain_ip

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""Version 2 begins with this, which no version 1 and no SMTP client does."""
MAX_V1_BYTES = 107
"""§2.1: the longest line, with its CRLF."""
MAX_SIZE_BYTES = 4096
"""Of a whole header: the addresses need 232, and its TLVs may tell of a TLS session."""

_FIXED_BYTES = 16
_IP_BYTES = {1: 4, 2: 16}
_ADDRESSES_BYTES = {0: 0, 1: 12, 2: 36, 3: 216}
"""By address family: unspecified, IPv4, IPv6, UNIX."""
_PORT = rb"(0|[1-9][0-9]{0,4})"
_V1 = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f.:]{2,39}) ([0-9A-Fa-f.:]{2,39}) " + _PORT + b" " + _PORT)


class BadHeader(ValueError):
    """This is no PROXY header, and no octets that may follow make it one."""


@attrs.frozen(kw_only=True)
class ProxyHeader:
    """A whole header.

    Attributes:
        ip: the client's address; ``""`` = the connection is the proxy's own, or it does not know: the peer's address
            counts (``LOCAL``, ``UNKNOWN``, UNIX sockets).
        size_bytes: the header's; what follows is the client's.
    """

    ip: str = ""
    size_bytes: int


def parse(data: bytes) -> ProxyHeader | None:
    """The header that `data` begins with, None while it is not whole.

    Raises:
        BadHeader: it does not begin with one.
    """
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _parse_v2(data)
    return _parse_v1(data)


def _parse_v1(data: bytes) -> ProxyHeader | None:
    if not data.startswith(b"PROXY "[: len(data)]):
        raise BadHeader("it does not begin like a header")
    line, end, _ = data[:MAX_V1_BYTES].partition(b"\r\n")
    if not end:
        if len(data) >= MAX_V1_BYTES:
            raise BadHeader(f"version 1: longer than {MAX_V1_BYTES} octets")
        return None
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):  # what follows is to be ignored
        return ProxyHeader(size_bytes=len(line) + 2)
    match = _V1.fullmatch(line)
    if match is None or int(match[4]) > 65_535 or int(match[5]) > 65_535:
        raise BadHeader("version 1: syntax")
    version, source, destination = int(match[1]), match[2].decode(), match[3].decode()
    _ip(destination, version)
    return ProxyHeader(ip=_ip(source, version), size_bytes=len(line) + 2)


def _ip(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise BadHeader("version 1: address") from None
    if address.version != version:
        raise BadHeader("version 1: address of the other family")
    return plain_ip(text)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED_BYTES:
        return None
    version_and_command, family_and_transport = data[12], data[13]
    size_bytes = _FIXED_BYTES + int.from_bytes(data[14:16])
    if version_and_command not in (0x20, 0x21):
        raise BadHeader("version 2: unknown command")
    if size_bytes > MAX_SIZE_BYTES:
        raise BadHeader(f"version 2: longer than {MAX_SIZE_BYTES} octets")
    if len(data) < size_bytes:
        return None
    if version_and_command == 0x20:  # LOCAL: whatever follows is to be skipped
        return ProxyHeader(size_bytes=size_bytes)
    return _parse_proxied(family_and_transport, data[_FIXED_BYTES:size_bytes])


def _parse_proxied(family_and_transport: int, block: bytes) -> ProxyHeader:
    family, transport = divmod(family_and_transport, 16)
    if family not in _ADDRESSES_BYTES or (family and transport != 1):
        raise BadHeader("version 2: not a stream of a known family")
    if len(block) < _ADDRESSES_BYTES[family]:
        raise BadHeader("version 2: too short for its addresses")
    if family:  # the block of an unspecified one is to be ignored
        _check_tlvs(block[_ADDRESSES_BYTES[family] :])
    packed = block[: _IP_BYTES.get(family, 0)]
    ip = plain_ip(str(ipaddress.ip_address(packed))) if packed else ""
    return ProxyHeader(ip=ip, size_bytes=_FIXED_BYTES + len(block))


def _check_tlvs(block: bytes) -> None:
    position = 0
    while position < len(block):
        position += 3 + int.from_bytes(block[position + 1 : position + 3])
        if position > len(block):
            raise BadHeader("version 2: a TLV runs over the end")
