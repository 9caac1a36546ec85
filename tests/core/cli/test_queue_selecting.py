"""Which messages the options mean."""

import pytest
from click.testing import CliRunner

from mdacore.cli.queue import selecting
from mdacore.contracts import Query
from mdacore.words import QueueId


@pytest.fixture
def selected():
    """The selection of a command line."""
    import click

    def select(*arguments, stdin=""):
        seen = []

        @click.command()
        @selecting.selection_options
        def command(**options):
            seen.append(selecting.pop_selection(options))

        result = CliRunner().invoke(command, arguments, input=stdin)
        return seen[0] if seen else result.exit_code

    return select


class TestEverything:
    @pytest.mark.parametrize("arguments", [(), ("--limit", "3")])
    def test_nothing_chosen_is_everything(self, selected, arguments):
        """A command that changes messages then wants --all."""
        assert selected(*arguments).is_everything

    @pytest.mark.parametrize(
        "option",
        [
            ("74k80000000001",),
            ("--id", "74k80000000001"),
            ("--queue", "main"),
            ("--only", "due"),
            ("--sender", ""),
            ("--recipient", "a@b"),
            ("--domain", "b"),
            ("--lane", "x/"),
            ("--older", "0s"),
            ("--younger", "1h"),
            ("--min-attempts", "1"),
            ("--max-attempts", "0"),
            ("--reason", "x"),
        ],
        ids=lambda option: option[0],
    )
    def test_any_choice_is_not(self, selected, option):
        assert not selected(*option).is_everything


class TestNames:
    def test_each_is_named_once_in_its_order(self, selected):
        expected = [QueueId("b0000000001"), QueueId("a0000000001")]

        assert expected == selected("b0000000001", "a0000000001", "--id", "b0000000001").names

    def test_a_dash_reads_them_from_standard_input(self, selected):
        assert ["a0000000001", "b0000000001"] == selected("-", stdin="a0000000001\nb0000000001\n").names

    @pytest.mark.parametrize("stdin", ["", "a0000000001\n\n", "../../etc/passwd\n"])
    def test_what_is_no_id_on_standard_input_is_a_usage_error(self, selected, stdin):
        """No id at all must not mean all messages."""
        assert 2 == selected("-", stdin=stdin)


def test_the_query_has_what_storages_know(selected):
    selection = selected("--sender", "a@b", "--domain", "c", "--limit", "2", "--reason", "BUSY")

    assert Query(queue_ids={}, sender="a@b", domain="c", limit=2) == selection.query
    assert "busy" == selection.reason
