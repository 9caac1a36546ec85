"""Who may open one more session (case 102)."""

from __future__ import annotations

import pytest

from mdacore_edge_smtp.admission import (
    TOO_FAST,
    TOO_MANY_AUTH_FAILURES,
    TOO_MANY_FROM_NETWORK,
    TOO_MANY_FROM_YOU,
    TOO_MANY_SESSIONS,
    Admission,
    Allowance,
    prefix,
)
from mdacore_edge_smtp.networks import Networks


def make(**limits) -> Admission:
    limits.setdefault("trusted", Networks(("127.0.0.0/8", "192.0.2.0/24")))
    return Admission(Allowance(**{"max_sessions": 1000, **limits}))


def admit(admission: Admission, *ips: str, now: float = 0.0) -> list[object]:
    return [admission.admit(ip, now) for ip in ips]


class TestInAll:
    def test_case_102_one_more_than_the_limit_is_refused_whoever_it_is(self):
        admission = make(max_sessions=2)

        refusals = admit(admission, "", "198.51.100.1", "", "127.0.0.1")

        assert [None, None, TOO_MANY_SESSIONS, TOO_MANY_SESSIONS] == refusals
        assert admission.is_full

    def test_who_goes_makes_room(self):
        admission = make(max_sessions=1)
        admit(admission, "198.51.100.1")

        admission.release("198.51.100.1")

        assert [None] == admit(admission, "198.51.100.2")


class TestByAddress:
    @pytest.mark.parametrize(
        ("first", "second", "other"),
        [
            ("198.51.100.1", "198.51.100.1", "198.51.100.2"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
        ],
    )
    def test_case_102_an_address_and_an_ipv6_64_have_so_many_at_once(self, first, second, other):
        admission = make(max_per_address=1)

        assert [None, TOO_MANY_FROM_YOU, None] == admit(admission, first, second, other)
        admission.release(first)
        assert [None] == admit(admission, second)

    def test_a_network_has_so_many_at_once(self):
        admission = make(max_per_network=2)

        assert [None, None, TOO_MANY_FROM_NETWORK, None] == admit(
            admission, "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.101.1"
        )

    @pytest.mark.parametrize("ip", ["", "127.0.0.1", "192.0.2.1"])
    def test_trusted_networks_and_unix_sockets_are_not_counted(self, ip):
        admission = make(max_per_address=1, max_per_network=1, max_new_a_minute=1, max_auth_failures_an_hour=1)
        admission.note_auth_failure(ip, 0.0)

        assert [None] * 5 == admit(admission, *[ip] * 5)

    def test_a_refused_one_is_not_counted_as_there(self):
        admission = make(max_per_address=1)
        admit(admission, *["198.51.100.1"] * 5)

        admission.release("198.51.100.1")

        assert 0 == admission.session_count
        assert [None] == admit(admission, "198.51.100.1")

    def test_nothing_is_remembered_of_addresses_that_have_gone(self):
        admission = make(max_per_address=1)
        for number in range(1000):
            ip = f"2001:db8:{number:x}::1"
            admit(admission, ip)
            admission.release(ip)

        assert 0 == len(admission._by_address) + len(admission._by_network) + admission.session_count


class TestRates:
    def test_case_102_so_many_new_ones_a_minute(self):
        admission = make(max_new_a_minute=2)

        assert [None, None, TOO_FAST, None] == admit(admission, *["198.51.100.1"] * 3, "198.51.100.2")
        assert [None] == admit(admission, "198.51.100.1", now=61.0)

    def test_case_035_who_fails_to_authenticate_too_often_gets_no_session(self):
        admission = make(max_auth_failures_an_hour=2)
        for _ in range(2):
            admission.note_auth_failure("198.51.100.1", 0.0)

        assert [TOO_MANY_AUTH_FAILURES, None] == admit(admission, "198.51.100.1", "198.51.100.2")
        assert [None] == admit(admission, "198.51.100.1", now=3601.0)


class TestPrefix:
    @pytest.mark.parametrize(
        ("ip", "network"), [("192.0.2.1", "192.0.2.1/32"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64")]
    )
    def test_it_is_what_one_customer_has(self, ip, network):
        assert network == prefix(ip)
