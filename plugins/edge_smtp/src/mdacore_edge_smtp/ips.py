"""IP addresses as text, in one form whatever the socket that they came from. Pure."""

from __future__ import annotations

import ipaddress


def ip_of(peer: object) -> str:
    """A peer's IP address, as accept gave it; ``""`` for a UNIX socket."""
    return plain_ip(str(peer[0])) if isinstance(peer, tuple) else ""


def plain_ip(ip: str) -> str:
    """Without a scope; IPv4 as IPv4, also on a socket for both; IPv6 as RFC 5952 writes it. Raises ValueError."""
    if ":" not in ip:
        return ip
    address = ipaddress.IPv6Address(ip.partition("%")[0])
    return str(address.ipv4_mapped or address)
