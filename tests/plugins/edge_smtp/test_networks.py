"""Lists of addresses and networks."""

from __future__ import annotations

import pytest

from mdacore_edge_smtp.networks import Networks

NETWORKS = Networks(("192.0.2.0/24", "2001:db8::/32", "198.51.100.7"))


@pytest.mark.parametrize("ip", ["192.0.2.255", "2001:db8:1::1", "198.51.100.7"])
def test_what_is_in_one_of_them_is_in(ip):
    assert ip in NETWORKS


@pytest.mark.parametrize("ip", ["192.0.3.0", "2001:db9::1", "198.51.100.8", ""])
def test_what_is_in_none_is_not_and_neither_is_a_unix_socket(ip):
    assert ip not in NETWORKS


@pytest.mark.parametrize("text", ["192.0.2.1/24", "example.test", "192.0.2.0/33", ""])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match=r"(?i)address|network|host bits"):
        Networks((text,))


def test_networks_that_hold_much_of_the_internet_are_found():
    wide = Networks(("10.0.0.0/8", "0.0.0.0/0", "128.0.0.0/1", "fd00::/16", "::/0", "::1/128"))

    assert [1, 2, 4] == list(wide.too_wide)
