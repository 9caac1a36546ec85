"""Proxy queues in a configuration: what they need, what they cannot have, and what is said of them."""

from __future__ import annotations

import pytest

from mdacore import ConfigError
from mdacore.assembly import Assembly, make_plan, render_plan
from mdacore.assembly.render import PROXY_SENTENCE
from mdacore.queue import ProxyQueue, Queue
from mdacore.testing import ScriptedRelay, assembled_service, make_envelope
from mdacore.words import Reply

TEXT = """\
[edges.mx]
[queues.out]
proxy = true
policies = ["tag"]
relay_policies = ["sign"]
relay = "local"
place_wait_s = 5
[policies.tag]
[policies.sign]
kind = "sign"
[relays.local]
"""
WITHOUT_STORAGE = ("fake_edge", "fake_policy", "fake_relay")


def problems(make, *args, **given):
    with pytest.raises(ConfigError) as caught:
        make(*args, **given)
    return [f"{problem.key}: {problem.text}" for problem in caught.value.problems]


class TestConfiguration:
    def test_with_proxies_only_no_storage_is_needed(self, plan_of):
        plan = plan_of(TEXT, plugins=WITHOUT_STORAGE)

        assert (None, True) == (plan.settings.queues["out"].keys.storage, plan.settings.queues["out"].keys.proxy)

    def test_with_another_queue_one_is(self, plan_of):
        text = TEXT + '[queues.main]\nrelay = "local"\n'

        assert "storages: nothing keeps the mail: there is no [storages.<name>]" in problems(plan_of, text)

    def test_a_queue_without_storage_is_no_proxy_by_itself(self, plan_of):
        """Nobody loses the durability of their mail by leaving out a line."""
        text = TEXT.replace("proxy = true", "") + "[storages.spool]\n"

        assert "queues.out.storage: is missing and has no default" == problems(plan_of, text)[0].partition(";")[0]

    def test_keys_of_the_other_kind_are_neither_read_nor_shown(self, plan_of):
        plan = plan_of(TEXT + '[queues.main]\nstorage = "spool"\nrelay = "local"\n[storages.spool]\n')

        out, main = ([value.key for value in plan.settings.queues[name].values] for name in ("out", "main"))

        assert ("place_wait_s" in out, "retry" in out) == (True, False)
        assert ("place_wait_s" in main, "retry" in main) == (False, True)

    def test_a_stored_queue_may_name_the_defaults_of_a_proxy(self, plan_of, good):
        """`mdacore init` writes every key."""
        text = good.replace("[queues.main]", '[queues.main]\nproxy = false\nplace_wait_s = "30s"')

        assert not plan_of(text).settings.queues["main"].keys.proxy


class TestWithoutAFile:
    def test_an_option_makes_the_queue_a_proxy(self, options):
        plan = make_plan(options(plugins=WITHOUT_STORAGE, overrides=["queues.main.proxy=true"]))

        assert plan.settings.queues["main"].keys.proxy

    def test_and_takes_its_storage_back(self, options):
        plan = make_plan(options(overrides=["queues.main.proxy=true"]))

        assert plan.settings.queues["main"].keys.storage is None

    def test_but_not_one_that_somebody_named(self, options):
        overrides = ["queues.main.proxy=true", "queues.main.storage=file"]

        assert ["queues.main.storage: a proxy queue stores nothing: leave out either this or proxy"] == problems(
            make_plan, options(overrides=overrides)
        )

    def test_without_the_option_a_storage_is_missing_and_nothing_else(self, options):
        assert ["storages: nothing keeps the mail: name a plugin that offers storages"] == problems(
            make_plan, options(plugins=WITHOUT_STORAGE)
        )

    def test_an_option_can_make_a_second_one(self, plan_of, good):
        plan = plan_of(good, overrides=["queues.out.proxy=true", "queues.out.relay=local", "edges.mx.queue=main"])

        assert [False, True] == [queue.keys.proxy for queue in plan.settings.queues.values()]


class TestPlan:
    def test_it_says_that_nothing_is_stored_and_what_a_250_means(self, plan_of):
        text = render_plan(plan_of(TEXT))

        expected = f"""\
  queue out
    applies      tag (tag), on error defer
    stores       {PROXY_SENTENCE}
    per attempt  sign (sign), on error defer
    relays       every domain -> local (sink)
    waits        up to 5s for a place at the relay; the client has its replies within 9m
"""
        assert expected in text
        assert "not used" not in text


class TestAssembly:
    def test_it_is_built_with_what_its_table_says(self, plan_of, tmp_path):
        assembly = Assembly.build(plan_of(TEXT.replace("[relays.local]", "[relays.local]\nconcurrency = 3")))

        queue = assembly.queues["queues.out"]
        assert isinstance(queue, ProxyQueue)
        assert tmp_path / "state" / "proxy" / "out" == queue.spool_path
        assert (5.0, 540.0, 3) == (
            queue._wiring.place_wait_s,
            queue._wiring.reply_within_s,
            queue._wiring.relays["local"].concurrency,
        )

    def test_edges_are_told(self, plan_of):
        assembly = Assembly.build(plan_of(TEXT))

        assert assembly.edges["edges.mx"].context.handoff.is_proxy

    def test_both_kinds_run_in_one_service(self):
        queues = {"main": {}, "out": {"proxy": True, "relay": "far"}}
        refusing = ScriptedRelay(Reply.parse("550 5.1.1 No such user"))
        tables = {
            "edges": {"direct": {"kind": "direct", "queue": "main"}},
            "queues": queues,
            "relays": {"local": {"kind": "scripted"}, "far": {"kind": "scripted"}},
        }

        with assembled_service(tables, relays={"far": refusing}) as service:
            stored = service.send(make_envelope())
            proxied = service.send(make_envelope(), queue="out")
            service.wait_until_idle()

            assert [Queue, ProxyQueue] == [type(queue) for queue in service.assembly.queues.values()]
            assert [250, 550] == [stored[0].code, proxied[0].code]
            assert "ok" == service.assembly.health()["queues.out"].status.value
