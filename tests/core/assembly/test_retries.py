"""``[[queues.<name>.retry_for]]``: what becomes of it, and each mistake at once, with its path."""

from __future__ import annotations

import pytest

from mdacore.assembly import Assembly
from mdacore.queue import RetryRule, RetrySchedule
from mdacore.words import ConfigError

PLUGINS = ["fake_edge", "fake_storage", "fake_policy", "fake_relay"]


@pytest.fixture
def assembled(tmp_path):
    """An assembly of one queue with these keys."""

    def assemble(**keys):
        tables = {
            "edges": {"a": {}},
            "queues": {"main": {"storage": "s", "relay": "r", **keys}},
            "storages": {"s": {}},
            "relays": {"r": {"concurrency_start": 2, "suspension_max_s": "5m"}},
        }
        return Assembly.from_mapping(tables, plugins=PLUGINS, state=tmp_path)

    return assemble


@pytest.fixture
def problems(assembled):
    """What is wrong with these tables of `retry_for`."""

    def find(*tables, **keys):
        with pytest.raises(ConfigError) as caught:
            assembled(retry_for=list(tables), **keys)
        return [f"{problem.key}: {problem.text}" for problem in caught.value.problems]

    return find


class TestRules:
    def test_what_a_table_does_not_say_is_as_in_the_queue(self, assembled):
        tables = [
            {"domains": ["Slow.Example", "b.test"], "retry": "10m, 1h*", "lifetime_s": "2d"},
            {"domains": ["c.test"], "retry_jitter": 0},
        ]
        wiring = (
            assembled(retry="1m*", retry_jitter=0.3, lifetime_s="1d", retry_for=tables).queues["queues.main"]._wiring
        )

        slow = RetryRule(schedule=RetrySchedule((600.0, 3600.0), jitter=0.3), lifetime_s=172_800.0)
        assert {
            "slow.example": slow,
            "b.test": slow,
            "c.test": RetryRule(schedule=RetrySchedule((60.0,), jitter=0.0), lifetime_s=86_400.0),
        } == wiring.retry_for
        assert RetrySchedule((60.0,), jitter=0.3) == wiring.retry

    def test_the_relays_keys_reach_its_lanes(self, assembled):
        relay = assembled().queues["queues.main"]._wiring.relays["r"]

        assert (2, 300.0) == (relay.concurrency_start, relay.suspension_max_s)


class TestMistakes:
    def test_a_domain_that_is_named_twice(self, problems):
        found = problems({"domains": ["a.test"], "retry": "1m"}, {"domains": ["b.test", "A.Test"], "retry": "2m"})

        assert ["queues.main.retry_for[1].domains[1]: a.test is named in retry_for[0] already"] == found

    def test_a_table_that_says_nothing(self, problems):
        found = problems({"domains": ["a.test"]})

        assert [
            "queues.main.retry_for[0]: says nothing of its domains: give it retry, retry_jitter or lifetime_s"
        ] == found

    @pytest.mark.parametrize(
        ("table", "problem"),
        [
            ({"retry": "1m"}, "retry_for[0].domains: is missing and has no default"),
            ({"domains": [], "retry": "1m"}, "retry_for[0].domains: names no domain"),
            (
                {"domains": ["x@y.test"], "retry": "1m"},
                "retry_for[0].domains: 'x@y.test' is not a domain like example.com",
            ),
            (
                {"domains": ["a.test"], "retry": "5m*, 1h"},
                "retry_for[0].retry: retry schedule '5m*, 1h': only the last step may repeat for ever",
            ),
            (
                {"domains": ["a.test"], "retry_jitter": 1.5},
                "retry_for[0].retry_jitter: 'retry_jitter' must be <= 1: 1.5",
            ),
            ({"domains": ["a.test"], "lifetime_s": 0}, "retry_for[0].lifetime_s: 'lifetime_s' must be > 0: 0.0"),
        ],
    )
    def test_a_value_that_cannot_be(self, problems, table, problem):
        assert [f"queues.main.{problem}"] == problems(table)

    def test_a_jitter_of_the_queue_that_cannot_be(self, problems):
        assert ["queues.main.retry_jitter: 'retry_jitter' must be >= 0: -0.1"] == problems(retry_jitter=-0.1)
