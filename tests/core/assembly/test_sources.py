"""Files, variables and options."""

import os

import pytest

from mdacore import ConfigError
from mdacore.assembly.sources import (
    MAX_FILE_BYTES,
    apply,
    from_environment,
    from_mapping,
    from_options,
    read_file,
)
from mdacore.assembly.tree import Report, Tree


def problem_of(path):
    with pytest.raises(ConfigError) as caught:
        read_file(path)
    (problem,) = caught.value.problems
    return str(problem)


class TestFile:
    def test_values_have_their_lines_as_origins(self, tmp_path):
        file = tmp_path / "mda.toml"
        file.write_text('[relays.local]\npath = "x"\n')

        tree = read_file(file)

        assert {"relays": {"local": {"path": "x"}}} == tree.data
        assert f"{file}:2" == tree.origin(("relays", "local", "path"))

    def test_missing_file_is_a_problem(self, tmp_path):
        path = tmp_path / "none.toml"

        assert f"{path}: cannot be read: No such file or directory" == problem_of(path)

    def test_folder_is_a_problem(self, tmp_path):
        assert f"{tmp_path}: cannot be read: Is a directory" == problem_of(tmp_path)

    def test_file_of_another_kind_is_refused_by_its_size(self, tmp_path):
        path = tmp_path / "big.toml"
        path.write_bytes(b"#" * (10 * MAX_FILE_BYTES))

        assert f"{path}: is larger than {MAX_FILE_BYTES} bytes: is it the right file?" == problem_of(path)

    def test_text_in_another_encoding_is_refused_with_its_line(self, tmp_path):
        path = tmp_path / "mda.toml"
        path.write_bytes('[service]\nhostname = "münchen"\n'.encode("latin-1"))

        assert f"{path}:2: is not UTF-8: byte 0xfc" == problem_of(path)

    def test_error_at_the_end_is_on_the_last_line(self, tmp_path):
        path = tmp_path / "mda.toml"
        path.write_text("a = 1\nb = [1,\n2,")

        assert f"{path}:3: not TOML: Invalid value" == problem_of(path)


class TestMapping:
    def test_what_was_given_is_not_changed_by_overrides(self):
        given = {"edges": {"mx": {"listen": ("a",)}}}
        tree = from_mapping(given)

        tree.put(("edges", "mx", "listen"), [])

        assert {"edges": {"mx": {"listen": ("a",)}}} == given


def from_variables(tree, **environ):
    report = Report(tree)
    apply(from_environment(environ, report), tree, report)
    return report


class TestEnvironment:
    def test_name_is_a_path_in_capitals(self):
        tree = Tree()

        from_variables(tree, MDACORE__RELAYS__LOCAL__PATH="/srv/mail")

        assert {"relays": {"local": {"path": "/srv/mail"}}} == tree.data
        assert "MDACORE__RELAYS__LOCAL__PATH" == tree.origin(("relays", "local", "path"))

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("25", 25),
            ("true", True),
            ('["a", "b"]', ["a", "b"]),
            ('"25"', "25"),
            ("5m", "5m"),
            ("", ""),
            ("a b", "a b"),
            ("1\nother = 2", "1\nother = 2"),
        ],
    )
    def test_value_is_read_as_toml_and_else_as_text(self, text, value):
        tree = Tree()

        from_variables(tree, MDACORE__A__B=text)

        assert value == tree.data["a"]["b"]

    @pytest.mark.parametrize("name", ["My-Relay", "my_relay", "MY_RELAY"])
    def test_name_fits_an_instance_in_any_spelling(self, name):
        tree = Tree({"relays": {name: {"path": "old"}}})

        from_variables(tree, MDACORE__RELAYS__MY_RELAY__PATH="new")

        assert {"relays": {name: {"path": "new"}}} == tree.data

    def test_exact_name_goes_before_one_that_only_fits(self):
        tree = Tree({"relays": {"a-b": {}, "a_b": {}}})

        from_variables(tree, MDACORE__RELAYS__A_B__PATH="x")

        assert {"a-b": {}, "a_b": {"path": "x"}} == tree.data["relays"]

    def test_other_variables_are_left_alone(self):
        tree = Tree()

        from_variables(tree, MDACORE_CONFIG="x", HOME="/root", MDACORE="1")

        assert {} == tree.data

    @pytest.mark.parametrize("name", ["MDACORE__", "MDACORE__A____B", "MDACORE__A__"])
    def test_empty_part_is_a_problem_that_names_the_variable(self, name):
        report = from_variables(Tree(), **{name: "1"})

        assert [name] == [problem.origin for problem in report.problems]

    def test_key_in_something_that_is_no_table_is_a_problem(self):
        report = from_variables(Tree({"plugins": ["a"]}), MDACORE__PLUGINS__X="1")

        (problem,) = report.problems
        assert "MDACORE__PLUGINS__X: plugins.x: plugins is not a table, so nothing in it can be set" == str(problem)

    def test_real_environment_is_a_mapping_that_fits(self):
        list(from_environment(os.environ, Report()))


class TestOptions:
    def test_key_is_a_dotted_path(self):
        tree, report = Tree(), Report()

        apply(from_options(["relays.local.path=/a=b", 'policies."x y".n=1'], report), tree, report)

        assert {"relays": {"local": {"path": "/a=b"}}, "policies": {"x y": {"n": 1}}} == tree.data
        assert "--set" == tree.origin(("relays", "local", "path"))

    @pytest.mark.parametrize("text", ["", "=", "a", "=1", "a..b=1", "a b=1", "[a]=1", "{}=1", "a\nb=1"])
    def test_what_is_no_assignment_is_a_problem(self, text):
        report = Report()

        overrides = list(from_options([text], report))

        assert ([], 1) == (overrides, len(report.problems))
