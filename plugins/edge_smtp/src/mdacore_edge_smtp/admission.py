"""Admission: who may open one more session: in all, by address, by network, and by how fast they come.

Pure but for its counters; time comes in as an argument. An "address" is an IPv4 address or an IPv6 /64, since that is
what one customer gets. Invariant: what `admit` counted, `release` takes back, and memory is bounded by the sessions.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from functools import lru_cache

import attrs

from mdacore import Reply
from mdacore_edge_smtp.networks import Networks
from mdacore_edge_smtp.tally import Tally

TOO_MANY_SESSIONS = Reply(code=421, enhanced="4.3.2", text="Too many connections, try again later")
TOO_MANY_FROM_YOU = Reply(code=421, enhanced="4.7.0", text="Too many connections from your address, try again later")
TOO_FAST = Reply(code=421, enhanced="4.7.0", text="Too many new connections from your address, try again later")
TOO_MANY_AUTH_FAILURES = Reply(code=421, enhanced="4.7.0", text="Too many failed logins from your address")
TOO_MANY_FROM_NETWORK = Reply(
    code=421, enhanced="4.7.0", text="Too many connections from your network, try again later"
)

ADDRESS_PREFIX_LENGTHS = {4: 32, 6: 64}
NETWORK_PREFIX_LENGTHS = {4: 24, 6: 48}
ARRIVALS_PERIOD_S = 60.0
AUTH_FAILURES_PERIOD_S = 3600.0
KNOWN_ADDRESSES = 4096
"""How many addresses' origins are remembered: to find one out costs more than all else in here."""


@attrs.frozen(kw_only=True)
class Allowance:
    """How many sessions there may be; 0 = any number, but for `max_sessions`.

    Attributes:
        max_sessions: in all, at once.
        max_per_address: at once.
        max_per_network: at once, from one IPv4 /24 or IPv6 /48.
        max_new_a_minute: from one address.
        max_auth_failures_an_hour: from one address; then it gets no sessions.
        trusted: from here only `max_sessions` counts.
    """

    max_sessions: int
    max_per_address: int = 0
    max_per_network: int = 0
    max_new_a_minute: int = 0
    max_auth_failures_an_hour: int = 0
    trusted: Networks


@attrs.frozen
class Origin:
    """What a client is counted under; ``""`` = it is not."""

    address: str = ""
    network: str = ""


NOBODY = Origin()


class Admission:
    """One edge's. `admit` and `release` come in pairs; between them is a session."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._by_address: Counter[str] = Counter()
        self._by_network: Counter[str] = Counter()
        self._arrivals = Tally(allowance.max_new_a_minute, ARRIVALS_PERIOD_S)
        self._auth_failures = Tally(allowance.max_auth_failures_an_hour, AUTH_FAILURES_PERIOD_S)
        self._origin_of = lru_cache(KNOWN_ADDRESSES)(self._find_origin)
        self.session_count = 0

    @property
    def is_full(self) -> bool:
        """No more sessions, whoever it is."""
        return self.session_count >= self._allowance.max_sessions

    def admit(self, ip: str, now: float) -> Reply | None:
        """Count a session from this address (``""`` = a UNIX socket); or the refusal, and nothing is counted.

        `now` is in monotonic seconds.
        """
        if self.is_full:
            return TOO_MANY_SESSIONS
        origin = self._origin_of(ip)
        refusal = self._refusal(origin, now) if origin.address else None
        if refusal is None:
            self._change(origin, +1)
        return refusal

    def release(self, ip: str) -> None:
        """A session that was admitted is over."""
        self._change(self._origin_of(ip), -1)

    def note_auth_failure(self, ip: str, now: float) -> None:
        """Somebody there has failed to authenticate."""
        origin = self._origin_of(ip)
        if origin.address:
            self._auth_failures.count(origin.address, now)

    def _refusal(self, origin: Origin, now: float) -> Reply | None:
        allowance = self._allowance
        if allowance.max_new_a_minute and self._arrivals.count(origin.address, now):
            return TOO_FAST
        if allowance.max_per_address and self._by_address[origin.address] >= allowance.max_per_address:
            return TOO_MANY_FROM_YOU
        if allowance.max_per_network and self._by_network[origin.network] >= allowance.max_per_network:
            return TOO_MANY_FROM_NETWORK
        if allowance.max_auth_failures_an_hour and self._auth_failures.is_used_up(origin.address, now):
            return TOO_MANY_AUTH_FAILURES
        return None

    def _change(self, origin: Origin, by: int) -> None:
        self.session_count += by
        if origin.address:
            _change(self._by_address, origin.address, by)
            _change(self._by_network, origin.network, by)

    def _find_origin(self, ip: str) -> Origin:
        if not ip or ip in self._allowance.trusted:
            return NOBODY
        return Origin(prefix(ip, ADDRESS_PREFIX_LENGTHS), prefix(ip, NETWORK_PREFIX_LENGTHS))


def prefix(ip: str, lengths: dict[int, int] = ADDRESS_PREFIX_LENGTHS) -> str:
    """The network that an address is in, of the length that is right for its version."""
    version = 6 if ":" in ip else 4
    return str(ipaddress.ip_network((ip, lengths[version]), strict=False))


def _change(counts: Counter[str], key: str, by: int) -> None:
    counts[key] += by
    if not counts[key]:
        del counts[key]
