"""Paths, origins and reports."""

import pytest

from mdacore import ConfigError, Problem
from mdacore.assembly.tree import NotATable, Report, Tree, format_path, parse_path


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ((), ""),
            (("edges", "mx", "listen", 1), "edges.mx.listen[1]"),
            (("policies", "x", "headers", "X Foo.Bar"), 'policies.x.headers."X Foo.Bar"'),
            (("a", 0, 1, "b"), "a[0][1].b"),
            (("a", 'x"\n\\y'), 'a."x\\"\\n\\\\y"'),
        ],
    )
    def test_what_is_written_is_read_back(self, path, text):
        assert text == format_path(path)
        assert path == parse_path(text)


class TestOrigins:
    def test_a_key_that_nobody_gave_has_the_origin_of_its_table(self):
        tree = Tree({"relays": {"local": {}}}, {(): "f", ("relays", "local"): "f:3"})

        assert "f:3" == tree.origin(("relays", "local", "path"))

    def test_a_table_that_nobody_gave_has_the_origin_of_the_whole(self):
        assert "f" == Tree({}, {(): "f"}).origin(("edges",))

    def test_without_any_there_is_none(self):
        assert "" == Tree().origin(("edges",))

    def test_what_is_replaced_loses_the_origins_within_it(self):
        tree = Tree({"a": {"b": {"c": 1}}}, {("a", "b"): "f:1", ("a", "b", "c"): "f:2", ("a", "bb"): "f:3"})

        tree.put(("a", "b"), {"c": 2}, "--set")

        assert "--set" == tree.origin(("a", "b", "c"))
        assert "f:3" == tree.origin(("a", "bb"))


class TestPut:
    def test_tables_on_the_way_are_made(self):
        tree = Tree()

        tree.put(("a", "b", "c"), 1)

        assert {"a": {"b": {"c": 1}}} == tree.data

    def test_a_value_on_the_way_is_refused_with_its_path(self):
        with pytest.raises(NotATable, match=r"^a\.b is not a table"):
            Tree({"a": {"b": 1}}).put(("a", "b", "c"), 1)


class TestHas:
    def test_values_in_tables_and_lists_are_found(self):
        tree = Tree({"a": [{"b": None}]})

        assert tree.has(("a", 0, "b"))

    @pytest.mark.parametrize("path", [("b",), ("a", 1), ("a", "0"), ("a", 0, "c"), ("a", 0, "b", "c")])
    def test_what_is_not_there_is_not_found(self, path):
        assert not Tree({"a": [{"b": "text"}]}).has(path)


class TestReport:
    def test_problems_come_in_the_order_of_lines_and_then_as_they_were_noted(self):
        report = Report()
        for origin in ("", "f:10", "--set", "f:9"):
            report.add(("x", origin), "text", origin=origin)

        with pytest.raises(ConfigError) as caught:
            report.raise_if_any()

        assert ["f:9", "f:10", "", "--set"] == [problem.origin for problem in caught.value.problems]

    def test_what_was_noted_twice_is_reported_once(self):
        report = Report()
        report.add(("a",), "text")
        report.add(("a",), "text")

        assert [Problem("a", "text")] == report.problems

    def test_without_problems_nothing_is_raised(self):
        Report().raise_if_any()
