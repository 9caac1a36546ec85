"""Plans: overrides, origins, what is proved and what is left alone."""

import pytest

from mdacore import ConfigError
from mdacore.assembly import Options, make_plan
from mdacore.assembly.plan import PolicyPlaces
from mdacore.queue import Route

FAULTY = """
import attrs
import fake_relay
from mdacore import hookimpl

@hookimpl
def mdacore_relays():
    sink = next(fake_relay.mdacore_relays())
    yield attrs.evolve(sink, kind="unbuildable", build=lambda: None)
    yield attrs.evolve(sink, kind="uncheckable", check=lambda config, context: 1 / 0)
    yield attrs.evolve(sink, kind="empty", build=lambda config, context: None)
    yield attrs.evolve(sink, kind="rubbish", check=lambda config, context: ["rubbish"])
    yield attrs.evolve(sink, kind="exit", build=lambda config, context: exit(3))

@hookimpl
def mdacore_policies():
    sink = next(fake_relay.mdacore_relays())
    yield attrs.evolve(sink, kind="no_parts")

@hookimpl
def mdacore_storages():
    sink = next(fake_relay.mdacore_relays())
    yield attrs.evolve(sink, kind="no_sentence")
"""


def problems_of(make, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        make(*args, **kwargs)
    return [str(problem) for problem in caught.value.problems]


def value_of(plan, label, key):
    instances = {
        one.label: one.values
        for role in (plan.settings.edges, plan.settings.relays, plan.settings.storages, plan.settings.policies)
        for one in role.values()
    }
    (value,) = [value for value in {**plan.settings.values, **instances}[label] if value.key == key]
    return value.value, value.origin


class TestPrecedence:
    def test_later_sources_win_and_leave_their_origin(self, plan_of, good, tmp_path):
        text = good.replace("[relays.local]", '[relays.local]\npath = "file"\n')
        variable = {"MDACORE__RELAYS__LOCAL__PATH": "variable"}
        option = ["relays.local.path=option"]

        plans = [plan_of(text), plan_of(text, environ=variable), plan_of(text, environ=variable, overrides=option)]

        assert [
            ("file", f"{tmp_path}/mda.toml:7"),
            ("variable", "MDACORE__RELAYS__LOCAL__PATH"),
            ("option", "--set"),
        ] == [value_of(plan, "relays.local", "path") for plan in plans]

    def test_what_nobody_set_is_a_default(self, plan_of, good):
        assert ("mail", "") == value_of(plan_of(good), "relays.local", "path")

    def test_plugins_on_the_command_line_replace_those_of_the_file(self, plan_of, good):
        plan = plan_of('plugins = ["no_such_plugin"]\n' + good)

        assert ["fake_edge", "fake_storage", "fake_policy", "fake_relay"] == [
            plugin.name for plugin in plan.settings.plugins
        ]

    def test_plugins_can_come_from_a_variable(self, plan_of, good):
        environ = {"MDACORE__PLUGINS": '["fake_edge", "fake_storage", "fake_relay"]'}

        assert 3 == len(plan_of(good, plugins=None, environ=environ).settings.plugins)

    def test_wrong_value_is_reported_with_the_variable_that_gave_it(self, plan_of, good):
        environ = {"MDACORE__RELAYS__LOCAL__CONCURRENCY": "many"}

        assert [
            "MDACORE__RELAYS__LOCAL__CONCURRENCY: relays.local.concurrency: expected a whole number, got 'many'"
        ] == problems_of(plan_of, good, environ=environ)


class TestOverridesOfInstances:
    @pytest.mark.parametrize(
        ("override", "problem"),
        [
            ("relays.locl.path=x", "--set: relays.locl: there is no [relays.locl]; did you mean 'local'?"),
            ("queues.mian.relay=local", "--set: queues.mian: there is no [queues.mian]; did you mean 'main'?"),
            ("policies.new.text=x", "--set: policies.new: there is no [policies.new]"),
        ],
    )
    def test_misspelt_name_makes_no_instance(self, plan_of, good, override, problem):
        assert [problem] == problems_of(plan_of, good, overrides=[override])

    def test_instance_that_is_given_a_kind_is_made(self, plan_of, good):
        plan = plan_of(good, overrides=["policies.new.kind=tag", 'queues.main.policies=["new"]'])

        assert ["new"] == list(plan.settings.policies)

    def test_whole_configuration_may_come_from_variables(self, options):
        environ = {
            "MDACORE__EDGES__MX__KIND": "fake",
            "MDACORE__QUEUES__MAIN__STORAGE": "spool",
            "MDACORE__QUEUES__MAIN__RELAY": "local",
            "MDACORE__STORAGES__SPOOL__KIND": "file",
            "MDACORE__RELAYS__LOCAL__KIND": "sink",
        }
        options = options(mapping={"edges": {}}, environ=environ)

        assert ["mx"] == list(make_plan(options).settings.edges)


class TestReferences:
    def test_only_queue_is_meant_when_an_edge_names_none(self, plan_of, good):
        plan = plan_of(good.replace("queues.main", "queues.other"))

        assert "other" == plan.settings.edges["mx"].keys.queue

    def test_queue_main_is_meant_among_several(self, plan_of, good):
        plan = plan_of(good + '[queues.a]\nstorage = "spool"\nrelay = "local"\n')

        assert "main" == plan.settings.edges["mx"].keys.queue

    def test_routes_end_with_the_relay_for_the_rest(self, plan_of, good):
        text = (
            good
            + '[[queues.main.routes]]\ndomains = ["Example.COM.", "example.org"]\nrelay = "smart"\n[relays.smart]\n'
        )

        assert (
            Route(domains=frozenset({"example.com", "example.org"}), relay="smart"),
            Route(domains=None, relay="local"),
        ) == plan_of(text).settings.queues["main"].routes

    def test_last_route_may_take_the_rest(self, plan_of, good):
        text = good.replace(
            'relay = "local"', 'routes = [{ domains = ["a.example"], relay = "local" }, { relay = "local" }]'
        )

        assert [False, True] == [route.domains is None for route in plan_of(text).settings.queues["main"].routes]

    def test_same_place_of_two_storages_is_seen_through_links(self, plan_of, good, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        text = good.replace("[storages.spool]", f'[storages.spool]\npath = "{tmp_path}/real/s"\n')
        text += f'[storages.twin]\npath = "{tmp_path}/link/s"\n'

        (problem,) = problems_of(plan_of, text)

        assert f"storages.twin.path: {tmp_path}/link/s is also the path of storages.spool" in problem

    def test_two_edges_may_both_listen_on_any_free_port(self, plan_of, good):
        listen = 'listen = ["127.0.0.1:0"]\n'

        assert plan_of(good.replace("[edges.mx]", f"[edges.mx]\n{listen}[edges.my]\n{listen}"))

    def test_policies_are_known_by_their_places(self, plan_of, good):
        plan = plan_of(good + '[policies.a]\nkind = "ask"\n[policies.b]\nkind = "sign"\n')

        assert {
            "a": PolicyPlaces(in_queue=False, before_relay=False, stages=("rcpt",)),
            "b": PolicyPlaces(in_queue=False, before_relay=True, stages=()),
        } == plan.places


class TestProof:
    def test_problems_of_every_stage_come_at_once(self, plan_of, good, tmp_path):
        (tmp_path / "state").write_text("a file in the way")
        text = good.replace("[edges.mx]", '[edges.mx]\nbanner = "impossible"\n[edges.my]\nlisen = 1\n')
        text += '[edges.mz.tls]\ncertificate = "/nonexistent"\n'

        problems = problems_of(plan_of, text, environ={"MDACORE__X": "1"})

        for part in (
            "an edge cannot be impossible",
            "did you mean 'listen'",
            "/nonexistent does not exist",
            "also listened on",
        ):
            assert any(part in problem for problem in problems)
        assert any(problem.startswith("MDACORE__X: x: unknown key") for problem in problems)
        assert any(problem.endswith("/state is not a folder") for problem in problems)
        assert 6 == len(problems)

    @pytest.mark.parametrize(
        ("role", "kind", "reason"),
        [
            ("relays", "unbuildable", "TypeError: "),
            ("relays", "uncheckable", "ZeroDivisionError: division by zero"),
            ("relays", "empty", "TypeError: build() gave no component"),
            ("relays", "rubbish", "TypeError: check() gave ['rubbish']"),
            ("relays", "exit", "SystemExit: 3"),
            ("policies", "no_parts", "TypeError: build() gave a Sink, which lacks parts"),
            ("storages", "no_sentence", "TypeError: build() gave a Sink, which lacks amend, claim, "),
        ],
    )
    def test_bug_of_a_plugin_is_a_problem_of_the_instance(self, plan_of, good, install, role, kind, reason):
        install("broken_f", FAULTY)
        text = good.replace("[relays.local]", '[relays.local]\nkind = "sink"')

        (problem,) = problems_of(
            plan_of,
            text + f'[{role}.bad]\nkind = "{kind}"\n',
            plugins=["fake_edge", "fake_storage", "fake_relay", "broken_f"],
        )

        assert f": {role}.bad: the plugin broken_f (broken-f 2.1) failed: {reason}" in problem

    def test_rejected_plugin_is_a_problem_and_its_kinds_are_no_other(self, plan_of, good, install):
        install("broken_g", "import no_such_library")

        (problem,) = problems_of(
            plan_of,
            good + '[policies.a]\nkind = "its"\n',
            plugins=["fake_edge", "fake_storage", "fake_relay", "broken_g"],
        )

        assert (
            "--plugins: plugins: broken_g (broken-g 2.1) is rejected: "
            "ModuleNotFoundError: No module named 'no_such_library'" == problem
        )

    def test_nothing_is_created(self, plan_of, good, tmp_path):
        plan_of(good)

        assert [tmp_path / "mda.toml"] == list(tmp_path.iterdir())

    def test_environment_of_the_process_is_the_default(self, monkeypatch):
        monkeypatch.setenv("MDACORE__X", "1")

        assert "1" == Options().environ["MDACORE__X"]

    def test_machine_without_a_usable_name_needs_one(self, options, monkeypatch):
        monkeypatch.setattr("socket.gethostname", lambda: "my machine")

        assert ["service.hostname: is needed: the machine calls itself 'my machine'"] == problems_of(
            make_plan, options()
        )
        assert "mx" == make_plan(options(overrides=["service.hostname=mx"])).settings.hostname


class TestEquality:
    def test_plans_that_mean_the_same_are_equal_whatever_their_origins(self, plan_of, good):
        assert plan_of(good) == plan_of("\n\n" + good, overrides=["relays.local.concurrency=20"])

    def test_plans_that_mean_something_else_are_not(self, plan_of, good):
        assert plan_of(good) != plan_of(good, overrides=["relays.local.concurrency=21"])
