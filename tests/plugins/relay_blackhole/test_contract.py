"""BlackholeRelay keeps every rule of the relay contract, at once and with a delay."""

from __future__ import annotations

from mdacore import Context, Relay, Seconds
from mdacore.testing.relay_contract import RelayContract
from mdacore_relay_blackhole import BlackholeConfig, BlackholeRelay


class TestBlackholeRelay(RelayContract):
    def make_relay(self, context: Context) -> Relay:
        return BlackholeRelay(BlackholeConfig(), context)


class TestSlowBlackholeRelay(RelayContract):
    def make_relay(self, context: Context) -> Relay:
        return BlackholeRelay(BlackholeConfig(delay_s=Seconds(0.2)), context)
