"""Plugins made in a test, and the kinds that are always there."""

from __future__ import annotations

import attrs

from mdacore import Provider
from mdacore.assembly import discover
from mdacore.testing import ScriptedRelay, provide


@attrs.frozen(kw_only=True)
class Config:
    pass


class TestProvide:
    def test_it_is_a_plugin_that_offers_what_it_was_given(self):
        provider = Provider(kind="mine", config=Config, build=lambda config, context: ScriptedRelay(), api=1)

        (plugin,) = discover([provide(relays=[provider])]).plugins

        assert {"relays": [provider]} == {role.value: list(kinds) for role, kinds in plugin.providers.items() if kinds}

    def test_what_breaks_a_rule_is_refused_as_of_any_plugin(self):
        provider = Provider(kind="My Kind", config=Config, build=lambda config, context: ScriptedRelay(), api=1)

        (rejected,) = discover([provide(relays=[provider])]).rejected

        assert "a kind is of lower-case letters" in rejected.reason
