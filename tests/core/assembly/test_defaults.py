"""Plugins without a file: one instance of each default kind, and one queue between them."""

import tomllib

import pytest

from mdacore import ConfigError
from mdacore.assembly import make_plan

POLICIES = """
import attrs
from mdacore import PolicyParts, Provider, Validators, hookimpl
from fake_parts import Inert

@attrs.frozen(kw_only=True)
class Config:
    needed: {needed}

class Policy(Inert):
    def parts(self):
        return PolicyParts({parts})

@hookimpl
def mdacore_policies():
    yield Provider(kind="{kind}", config=Config, build=Policy, api=1)
"""
SECOND = """
import attrs
import fake_{role}
from pathlib import Path
from mdacore import hookimpl

Config = attrs.make_class("Config", {{"path": attrs.field(type=Path, default=Path("second"))}}, kw_only=True)

@hookimpl
def mdacore_{hook}():
    yield attrs.evolve(next(fake_{role}.mdacore_{hook}()), kind="zz", config=Config, check=lambda *_: ())
"""
EVERYWHERE = "queue_policy=print, relay_policy=print, validators=Validators(helo=print)"


def text_of(make, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        make(*args, **kwargs)
    return str(caught.value)


class TestDefaults:
    def test_there_is_one_instance_of_each_default_kind_named_after_it(self, options):
        settings = make_plan(options()).settings

        names = [list(getattr(settings, role)) for role in ("edges", "queues", "policies", "storages", "relays")]
        assert [["fake"], ["main"], ["tag"], ["file"], ["sink"]] == names
        assert ("main", "file", "sink") == (
            settings.edges["fake"].keys.queue,
            settings.queues["main"].keys.storage,
            settings.queues["main"].keys.relay,
        )

    def test_policies_keep_the_order_in_which_they_were_named(self, options, install):
        install("broken_a", POLICIES.format(needed="int = 1", kind="zz", parts="queue_policy=print"))

        first = make_plan(options(plugins=["broken_a", "fake_policy", "fake_edge", "fake_storage", "fake_relay"]))
        last = make_plan(options(plugins=["fake_policy", "fake_edge", "fake_storage", "fake_relay", "broken_a"]))

        assert ("zz", "tag") == first.settings.queues["main"].keys.policies
        assert ("tag", "zz") == last.settings.queues["main"].keys.policies

    @pytest.mark.parametrize(
        ("parts", "expected"),
        [
            ("queue_policy=print", (("tag", "zz"), (), ())),
            ("relay_policy=print", (("tag",), ("zz",), ())),
            ("validators=Validators(helo=print)", (("tag",), (), ("zz",))),
            (EVERYWHERE, (("tag", "zz"), (), ("zz",))),
        ],
    )
    def test_policy_goes_where_it_takes_part(self, options, install, parts, expected):
        install("broken_b", POLICIES.format(needed="int = 1", kind="zz", parts=parts))

        settings = make_plan(options(plugins=[*options().plugins, "broken_b"])).settings

        queue, edge = settings.queues["main"].keys, settings.edges["fake"].keys
        assert expected == (queue.policies, queue.relay_policies, edge.validators)

    def test_list_that_was_set_stays_as_it_was_set(self, options):
        plan = make_plan(options(overrides=["queues.main.policies=[]"]))

        assert () == plan.settings.queues["main"].keys.policies

    def test_key_without_a_default_can_be_set(self, options, install):
        install("broken_c", POLICIES.format(needed="int", kind="zz", parts="queue_policy=print"))
        plugins = [*options().plugins, "broken_c"]

        assert "policies.zz.needed: is missing and has no default" == text_of(make_plan, options(plugins=plugins))
        assert make_plan(options(plugins=plugins, overrides=["policies.zz.needed=1"]))

    def test_file_that_names_only_plugins_means_the_same(self, options, tmp_path):
        file = tmp_path / "mda.toml"
        file.write_text('plugins = ["fake_edge", "fake_storage", "fake_policy", "fake_relay"]\n')

        assert make_plan(options()) == make_plan(options(config=file, plugins=None))


class TestChoices:
    @pytest.mark.parametrize(
        ("extra", "sentence"),
        [
            ("relay", "2 relays (sink, zz) need a file that says which mail goes where"),
            ("storage", "2 storages (file, zz) need a file that says which of them keeps the mail"),
        ],
    )
    def test_two_of_a_role_need_a_file_and_the_one_that_is_printed_works(
        self, options, install, plan_of, extra, sentence
    ):
        install("broken_d", SECOND.format(role=extra, hook={"relay": "relays", "storage": "storages"}[extra]))

        message = text_of(make_plan, options(plugins=[*options().plugins, "broken_d"]))

        head, _, table = message.partition(":\n\n")
        assert sentence in head
        assert "broken_d" in tomllib.loads(table)["plugins"]
        plan = plan_of(table, plugins=None)
        assert ("file", "sink") == (plan.settings.queues["main"].keys.storage, plan.settings.queues["main"].keys.relay)

    def test_saying_which_on_the_command_line_is_enough(self, options, install):
        install("broken_e", SECOND.format(role="relay", hook="relays"))

        plan = make_plan(options(plugins=[*options().plugins, "broken_e"], overrides=["queues.main.relay=zz"]))

        assert "zz" == plan.settings.queues["main"].keys.relay

    def test_plugin_without_a_default_needs_a_file(self, options):
        message = text_of(make_plan, options(plugins=["fake_edge", "fake_storage", "fake_pair"]))

        assert (
            "fake_pair (fake-pair 1.0) offers left, right, none by default: a file must say which is meant" in message
        )

    @pytest.mark.parametrize(
        ("missing", "table"), [("fake_edge", "edges"), ("fake_storage", "storages"), ("fake_relay", "relays")]
    )
    def test_role_that_no_plugin_fills_is_the_only_problem(self, options, missing, table):
        plugins = [name for name in options().plugins if name != missing]

        message = text_of(make_plan, options(plugins=plugins))

        assert 1 == len(message.splitlines())
        assert message.startswith(f"{table}: nothing ")
        assert message.endswith(f": name a plugin that offers {table}")
