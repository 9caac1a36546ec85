"""The line of each key and table."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore.assembly.lines import find_lines

DOCUMENT = '''\
# [not.a.table]
plugins = ["a",
  "b", # ] not the end
]

[service]
hostname = "x # [y]"
text = """
[not.a.table]
a = "still text" """
after = 'it''s' # two apostrophes
'''.replace("'it''s'", '"its"')

NESTED = """\
[queues.main]
storage = "s"

[[queues.main.routes]]
relay = "a"

  [[queues.main.routes]]
  relay = "b"
  limits.per_day = 3
  [queues.main.routes.extra]
  key = { inner = 1, list = [ { deep = 1 } ] }

[queues."other one"]
relay = "c"
"""


class TestFindLines:
    def test_key_is_found_after_values_of_many_lines(self):
        lines = find_lines(DOCUMENT)

        expected = {
            ("plugins",): 2,
            ("service",): 6,
            ("service", "hostname"): 7,
            ("service", "text"): 8,
            ("service", "after"): 11,
        }
        assert expected == lines

    def test_arrays_of_tables_are_numbered(self):
        lines = find_lines(NESTED)

        assert 4 == lines["queues", "main", "routes", 0]
        assert 5 == lines["queues", "main", "routes", 0, "relay"]
        assert 7 == lines["queues", "main", "routes", 1]
        assert 8 == lines["queues", "main", "routes", 1, "relay"]

    def test_table_in_an_array_belongs_to_its_last_element(self):
        lines = find_lines(NESTED)

        assert 10 == lines["queues", "main", "routes", 1, "extra"]

    def test_dotted_and_inline_keys_stand_where_they_are_written(self):
        lines = find_lines(NESTED)

        assert 9 == lines["queues", "main", "routes", 1, "limits", "per_day"]
        assert 11 == lines["queues", "main", "routes", 1, "extra", "key", "inner"]

    def test_quoted_key_is_found(self):
        assert 14 == find_lines(NESTED)["queues", "other one", "relay"]

    def test_array_in_an_array_of_tables_starts_anew_with_each_table(self):
        lines = find_lines("[[a]]\n[[a.b]]\nx=1\n[[a]]\n[[a.b]]\nx=2\n")

        assert 3 == lines["a", 0, "b", 0, "x"]
        assert 6 == lines["a", 1, "b", 0, "x"]

    @pytest.mark.parametrize("quotes", ['"""', "'''"])
    def test_text_that_ends_in_quotes_of_its_own_ends_there(self, quotes):
        text = f"a = {quotes}x\n{quotes[0]}{quotes}\nb = 1\n"

        assert {("a",): 1, ("b",): 3} == find_lines(text)

    def test_carriage_returns_change_nothing(self):
        assert find_lines(NESTED) == find_lines(NESTED.replace("\n", "\r\n"))


values = st.one_of(
    st.integers(0, 99).map(str),
    st.sampled_from(['"x"', "'#['", '"""a\n[b]\n"""', "[\n1,\n2]", "{ k = [1, 2] }", "true", '"\\""', "1979-05-27"]),
)


class TestEveryDocument:
    @given(st.lists(st.tuples(st.booleans(), values, st.sampled_from(["", " # [c] = 1", "\n\n# x"])), max_size=12))
    def test_each_key_is_on_the_line_where_it_was_written(self, items):
        """Whatever the values before it look like."""
        text, expected, table = "", {}, ()
        for number, (is_head, value, trail) in enumerate(items):
            if is_head:
                table = (f"t{number}",)
                text += f"[t{number}]{trail}\n"
            else:
                expected[*table, f"k{number}"] = text.count("\n") + 1
                text += f"k{number} = {value}{trail}\n"

        tomllib.loads(text)
        lines = find_lines(text)

        assert expected == {path: lines[path] for path in expected}
