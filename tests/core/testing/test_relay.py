"""The scripted relay keeps the relay contract, as long as its script does."""

from __future__ import annotations

from mdacore.testing import ScriptedRelay
from mdacore.testing.relay_contract import RelayContract


class TestScriptedRelay(RelayContract):
    def make_relay(self, context):
        return ScriptedRelay()


class TestScriptedRelayByDomain(RelayContract):
    def make_relay(self, context):
        return ScriptedRelay(by_domain=True)
