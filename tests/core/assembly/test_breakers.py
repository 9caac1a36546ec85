"""Which calls share a breaker, and what a configuration says about it."""

from __future__ import annotations

import pytest

from mdacore.assembly import Assembly
from mdacore.runtime import CircuitState, InstanceHealth

TABLES = {
    "edges": {"a": {"validators": ["who"]}, "b": {"validators": ["who"], "queue": "second"}},
    "queues": {
        "main": {"storage": "spool", "relay": "out", "policies": ["mark"]},
        "second": {"storage": "spool", "relay": "out", "policies": ["mark"]},
    },
    "policies": {"who": {"kind": "ask"}, "mark": {}},
    "storages": {"spool": {}},
    "relays": {"out": {"faults_max": 5, "pause_max_s": "10m"}},
}
PLUGINS = ["fake_edge", "fake_storage", "fake_policy", "fake_relay"]


@pytest.fixture
def assemble(tmp_path):
    def make(**relay):
        edges = {
            name: {**keys, "listen": [f"127.0.0.1:{number}"]}
            for number, (name, keys) in enumerate(TABLES["edges"].items(), 2525)
        }
        tables = {**TABLES, "edges": edges, "relays": {"out": {**TABLES["relays"]["out"], **relay}}}
        return Assembly.from_mapping(tables, plugins=PLUGINS, state=tmp_path / "state")

    return make


def test_queues_and_edges_share_what_they_learn_about_an_instance(assemble):
    made = assemble().breakers

    assert {"relays.out": ["attempt"], "policies.mark": ["queue_policy"], "policies.who": ["rcpt"]} == {
        label: list(breakers) for label, breakers in made.items()
    }


def test_keys_of_the_instance_are_its_breakers(assemble):
    breaker = assemble().breakers["relays.out"]["attempt"]

    assert (5, 600.0) == (breaker.faults_max, breaker.pause_max_s)


def test_with_none_it_is_never_switched_off(assemble):
    assert "relays.out" not in assemble(faults_max=0).breakers


def test_storages_queues_and_edges_have_none(assemble):
    health = assemble().health()

    assert {"storages.spool", "queues.main", "queues.second", "edges.a", "edges.b"} == {
        label for label, one in health.items() if not one.circuits
    }


def test_health_is_that_of_every_instance(assemble):
    assembly = assemble()
    assembly.breakers["policies.who"]["rcpt"].failed("no", 0)

    health = assembly.health()

    assert [label for label, _ in assembly.components()] == list(health)
    assert all(isinstance(one, InstanceHealth) for one in health.values())
    assert (CircuitState.FAILING, "no") == (
        health["policies.who"].circuits["rcpt"].state,
        health["policies.who"].circuits["rcpt"].last_fault,
    )
