"""Values and tables written as TOML read back as what they were."""

import enum
import tomllib
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore.assembly.toml import to_tables, to_toml

text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), text
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=10)


class Level(enum.Enum):
    HIGH = "high"


@attrs.frozen
class Tls:
    path: Path
    mode: str | None = None


class TestToToml:
    @given(values)
    def test_value_is_read_back(self, value):
        assert value == tomllib.loads(f"value = {to_toml(value)}")["value"]

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (300.0, "300"),
            (0.5, "0.5"),
            (1e300, "1e+300"),
            (Path("/a b"), '"/a b"'),
            (Level.HIGH, '"high"'),
            (("a", 1, True), '["a", 1, true]'),
            (Tls(Path("x")), '{ path = "x" }'),
            ({"a b": 1}, '{ "a b" = 1 }'),
            ('\x7f\n"ü\\', '"\\u007f\\n\\"ü\\\\"'),
        ],
    )
    def test_value_is_written_as_people_write_it(self, value, written):
        assert written == to_toml(value)


class TestToTables:
    def test_tables_are_read_back(self):
        tables = {
            "plugins": ["a"],
            "edges": {"mx": {"listen": ["x"], "tls": {"mode": "off"}}},
            "queues": {"main": {"routes": [{"relay": "a"}, {"relay": "b", "domains": ["c"]}], "relay": "a"}},
        }

        assert tables == tomllib.loads("\n".join(to_tables(tables)))
