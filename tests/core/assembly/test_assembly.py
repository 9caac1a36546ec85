"""Assemblies: everything built and wired, in the order of its start."""

import importlib

import pytest

from mdacore import ConfigError
from mdacore.assembly import Assembly

MAPPING = {
    "edges": {"mx": {"validators": ["ask"], "password": "x"}},
    "queues": {
        "main": {
            "storage": "spool",
            "policies": ["tag"],
            "routes": ({"domains": ["example.com"], "relay": "a"}, {"relay": "b"}),
            "retry": "1m, 2h*",
        }
    },
    "policies": {"tag": {}, "ask": {"kind": "ask", "text": "no"}},
    "storages": {"spool": {}},
    "relays": {"a": {"deadline_s": 5}, "b": {}},
}
PLUGINS = ["fake_edge", "fake_storage", "fake_policy", "fake_relay"]


@pytest.fixture
def assembly(tmp_path):
    return Assembly.from_mapping(MAPPING, plugins=PLUGINS, state=tmp_path / "state")


class TestFromMapping:
    def test_components_are_in_the_order_of_their_start(self, assembly):
        assert [
            "storages.spool",
            "relays.a",
            "relays.b",
            "policies.tag",
            "policies.ask",
            "queues.main",
            "edges.mx",
        ] == [name for name, _ in assembly.components()]

    def test_edge_hands_to_its_queue_and_asks_its_validators(self, assembly):
        context = assembly.edges["edges.mx"].context

        assert assembly.queues["queues.main"] is context.handoff
        assert ["550 5.7.1 no"] == [str(check(None, None)) for check in context.validators.rcpt]

    def test_context_says_where_and_who(self, assembly, tmp_path):
        context = assembly.relays["relays.a"].context

        assert ("relays.a", tmp_path / "state") == (context.instance, context.state_path)
        assert assembly.plan.settings.hostname == context.hostname

    def test_environment_does_not_touch_it(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MDACORE__RELAYS__A__CONCURRENCY", "7")

        assembly = Assembly.from_mapping(MAPPING, plugins=PLUGINS, state=tmp_path)

        assert 20 == assembly.plan.settings.relays["a"].keys.concurrency

    def test_what_is_wrong_is_reported_with_its_path(self, tmp_path):
        with pytest.raises(ConfigError) as caught:
            Assembly.from_mapping({**MAPPING, "relays": {"a": {}, "b": {"x": 1}}}, plugins=PLUGINS, state=tmp_path)

        assert [
            "mapping: relays.b.x: unknown key; there is concurrency, concurrency_start, deadline_s, faults_max, kind, "
            "path, pause_max_s, suspension_max_s"
        ] == [str(problem) for problem in caught.value.problems]

    def test_plugin_may_be_a_module(self, tmp_path):
        module = importlib.import_module("fake_relay")

        assembly = Assembly.from_mapping(MAPPING, plugins=[*PLUGINS[:3], module], state=tmp_path)

        assert ("fake_relay", "") == (
            assembly.plan.settings.plugins[-1].name,
            assembly.plan.settings.plugins[-1].distribution,
        )

    def test_two_assemblies_of_one_plan_share_no_component(self, assembly):
        other = Assembly.build(assembly.plan)

        assert not {id(one) for _, one in assembly.components()} & {id(one) for _, one in other.components()}


class TestLoad:
    def test_file_and_overrides_are_read(self, tmp_path, good):
        (tmp_path / "mda.toml").write_text(good)

        assembly = Assembly.load(
            tmp_path / "mda.toml", plugins=PLUGINS, state=tmp_path, overrides=["relays.local.path=x"]
        )

        assert "x" == assembly.relays["relays.local"].config.path

    def test_environment_is_read(self, tmp_path, good, monkeypatch):
        (tmp_path / "mda.toml").write_text(good)
        monkeypatch.setenv("MDACORE__RELAYS__LOCAL__PATH", "y")

        assembly = Assembly.load(tmp_path / "mda.toml", plugins=PLUGINS, state=tmp_path)

        assert "y" == assembly.relays["relays.local"].config.path

    def test_plugins_alone_are_enough(self, tmp_path):
        assembly = Assembly.load(plugins=PLUGINS, state=tmp_path)

        assert ["edges.fake"] == list(assembly.edges)
