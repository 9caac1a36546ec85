"""IP addresses in one form."""

from __future__ import annotations

import pytest

from mdacore_edge_smtp.ips import ip_of


class TestIpOf:
    @pytest.mark.parametrize(
        ("peer", "ip"),
        [
            (("192.0.2.1", 1), "192.0.2.1"),
            (("::ffff:192.0.2.1", 1, 0, 0), "192.0.2.1"),
            (("2001:db8::1", 1, 0, 0), "2001:db8::1"),
            (("fe80::1%eth0", 1, 0, 2), "fe80::1"),
            ("", ""),
            (b"", ""),
        ],
    )
    def test_a_peer_is_an_ip_or_nothing(self, peer, ip):
        assert ip == ip_of(peer)
