"""Plugins are found, loaded one by one, and rejected with a reason."""

import importlib
import sys

import attrs
import pytest

from mdacore import API_VERSION, Provider, hookimpl
from mdacore.assembly import discover, discover_all, installed
from mdacore.assembly.roles import Role

HEADER = """
import attrs
from mdacore import API_VERSION, Provider, hookimpl

@attrs.frozen(kw_only=True)
class Config:
    path: str = ""

def provider(**changes):
    return Provider(**{"kind": "x", "config": Config, "build": print, "api": API_VERSION, **changes})
"""
GOOD = HEADER + "\n@hookimpl\ndef mdacore_relays():\n    yield provider()\n"


def rejection_of(name):
    discovery = discover([name, "fake_relay"])
    (rejected,) = discovery.rejected
    assert ["fake_relay"] == [plugin.name for plugin in discovery.plugins]
    assert name == rejected.name
    return rejected.reason


def hook(body, name="mdacore_relays"):
    return f"{HEADER}\n@hookimpl\ndef {name}():\n    {body}\n"


class TestInstalled:
    def test_plugins_are_listed_by_name_without_importing_them(self):
        names = [candidate.name for candidate in installed()]

        assert sorted(names) == names
        assert {"fake_edge", "fake_pair", "fake_policy", "fake_relay", "fake_storage"} <= set(names)
        assert "fake_edge" not in sys.modules

    def test_unreadable_metadata_of_one_distribution_hides_no_other(self, install, tmp_path):
        install("broken_metadata", GOOD)
        (tmp_path / "site-packages/broken_metadata-2.1.dist-info/entry_points.txt").write_bytes(b"\xff\xfe[mdacore")

        names = {candidate.name for candidate in installed()}

        assert "fake_edge" in names
        assert "broken_metadata" not in names

    def test_name_that_two_distributions_offer_is_rejected(self, install):
        install("broken_twice", GOOD, distribution="one")
        install("broken_twice", GOOD, distribution="two")

        assert "two distributions offer it: one 2.1 and two 2.1" == rejection_of("broken_twice")


class TestDiscover:
    def test_what_a_plugin_offers_is_known_by_role_and_kind(self):
        discovery = discover(["fake_storage"])

        (plugin,) = discovery.plugins
        assert ("fake_storage", "fake-storage", "1.0") == (plugin.name, plugin.distribution, plugin.version)
        assert ["file", "other"] == list(discovery.kinds(Role.STORAGES))
        assert {} == discovery.kinds(Role.RELAYS)

    def test_only_what_is_wanted_is_imported(self):
        discover(["fake_relay"])

        assert "fake_relay" in sys.modules
        assert "fake_edge" not in sys.modules

    def test_name_that_nobody_offers_is_unknown(self):
        assert ("no_such",) == discover(["no_such"]).unknown

    def test_repeated_name_is_loaded_once(self):
        assert 1 == len(discover(["fake_relay", "fake_relay"]).plugins)

    def test_order_is_the_order_of_the_wish(self):
        assert ["fake_relay", "fake_edge"] == [plugin.name for plugin in discover(["fake_relay", "fake_edge"]).plugins]

    def test_all_installed_plugins_are_loaded_when_all_are_wanted(self, install):
        install("broken_all", "raise OSError('no')")

        discovery = discover_all()

        assert {"fake_edge", "fake_relay"} <= {plugin.name for plugin in discovery.plugins}
        assert "broken_all" in {rejected.name for rejected in discovery.rejected}


class TestPluginsGivenInCode:
    def test_module_is_a_plugin(self):
        (plugin,) = discover([importlib.import_module("fake_relay")]).plugins

        assert ("fake_relay", "", "fake_relay") == (plugin.name, plugin.distribution, plugin.label)

    def test_object_with_hooks_is_a_plugin(self):
        class Plugin:
            @hookimpl
            def mdacore_relays(self):
                return [Provider(kind="x", config=attrs.make_class("Config", {}), build=print, api=API_VERSION)]

        assert ["x"] == list(discover([Plugin()]).kinds(Role.RELAYS))


class TestBrokenPlugins:
    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
            ("raise SystemExit(3)", "SystemExit: 3"),
            ("raise ValueError('bad\\nday')", "ValueError: bad day"),
            ("raise BaseException", "BaseException"),
            (hook("raise RuntimeError('in the hook')"), "RuntimeError: in the hook"),
            (hook("yield provider(); 1 / 0"), "ZeroDivisionError: division by zero"),
            (hook("return []"), "it offers nothing: none of its hooks gave a provider"),
            (hook("return None"), "it offers nothing: none of its hooks gave a provider"),
            ("x = 1", "it offers nothing: none of its hooks gave a provider"),
            (hook("return ['x']"), "mdacore_relays gave 'x', which is not a Provider"),
            (
                hook("yield provider(api=API_VERSION + 1)"),
                f"relay kind 'x' is written for API version {API_VERSION + 1}, and this mdacore has {API_VERSION}",
            ),
            (
                hook("yield provider(kind='Not-A-Kind')"),
                "relay kind 'Not-A-Kind': a kind is of lower-case letters, digits and _, and begins with a letter",
            ),
            (hook("yield provider(config=dict)"), "relay kind 'x': its configuration is not an attrs class"),
            (hook("yield provider(); yield provider()"), "mdacore_relays offers one kind twice"),
            (
                hook("yield provider(default=True); yield provider(kind='y', default=True)"),
                "mdacore_relays marks more than one kind as the default",
            ),
            (
                hook("yield provider(config=attrs.make_class('C', ['kind', 'concurrency', 'own']))"),
                "relay kind 'x': the core has keys of these names: concurrency, kind",
            ),
            (
                hook("yield provider()", name="mdacore_relay"),
                "mdacore_relay is not a hook; the hooks are "
                "mdacore_edges, mdacore_policies, mdacore_relays, mdacore_storages",
            ),
            (
                GOOD.replace("@hookimpl", ""),
                "mdacore_relays is not marked with @hookimpl",
            ),
        ],
    )
    def test_reason_is_one_line_and_the_others_go_on(self, install, source, reason):
        install("broken_one", source)

        assert reason == rejection_of("broken_one")

    def test_syntax_error_has_its_line(self, install):
        install("broken_syntax", "def f(:\n")

        assert "SyntaxError: invalid syntax (broken_syntax.py, line 1)" == rejection_of("broken_syntax")

    def test_hook_with_an_argument_that_the_specification_has_not_is_rejected(self, install):
        install("broken_argument", GOOD.replace("mdacore_relays()", "mdacore_relays(config)"))

        reason = rejection_of("broken_argument")

        assert "Argument(s) {'config'} are declared in the hookimpl" in reason
        assert "\n" not in reason

    def test_marked_function_of_another_name_is_rejected(self, install):
        install("broken_name", GOOD.replace("def mdacore_relays", "def relays"))

        assert rejection_of("broken_name").startswith("unknown hook 'relays'")

    def test_operators_interrupt_is_not_the_plugins(self, install):
        install("broken_interrupt", "raise KeyboardInterrupt")

        with pytest.raises(KeyboardInterrupt):
            discover(["broken_interrupt"])

    def test_two_plugins_with_one_kind_are_both_rejected_and_both_named(self, install):
        install("broken_sink", GOOD.replace('"kind": "x"', '"kind": "sink"'))

        discovery = discover(["fake_relay", "broken_sink", "fake_edge"])

        assert ["fake_edge"] == [plugin.name for plugin in discovery.plugins]
        assert {
            "fake_relay": "its relay kind 'sink' is also offered by broken_sink (broken-sink 2.1)",
            "broken_sink": "its relay kind 'sink' is also offered by fake_relay (fake-relay 1.0)",
        } == {rejected.name: rejected.reason for rejected in discovery.rejected}

    def test_one_kind_in_two_roles_is_no_clash(self, install):
        source = GOOD + "\n@hookimpl\ndef mdacore_policies():\n    yield provider()\n"
        install("broken_not", source)

        (plugin,) = discover(["broken_not"]).plugins

        assert ["x", "x"] == [plugin.default(Role.RELAYS).kind, plugin.default(Role.POLICIES).kind]
