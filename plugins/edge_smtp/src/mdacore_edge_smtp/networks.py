"""Networks: lists of IP addresses and networks, as an operator writes them. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

MIN_PREFIX_LENGTHS = {4: 8, 6: 16}
"""A network wider than these is not somebody's own."""


class Networks:
    """``"192.0.2.0/24"``, ``"2001:db8::/32"`` or a lone address; IPv4 is IPv4 however it came.

    Raises:
        ValueError: an entry is neither, or has bits set beyond its prefix.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(text) for text in texts]

    def __contains__(self, ip: object) -> bool:
        """Whether the address, as text, is in one of them; ``""`` (a UNIX socket) is in none."""
        if not ip or not self._networks:
            return False
        address = ipaddress.ip_address(str(ip))
        return any(address in network for network in self._networks)

    @property
    def too_wide(self) -> Iterable[int]:
        """The positions of those that hold much of the internet."""
        return [
            index
            for index, network in enumerate(self._networks)
            if network.prefixlen < MIN_PREFIX_LENGTHS[network.version]
        ]
