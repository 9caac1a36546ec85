"""Tables become classes, strictly, and every mistake is found at once."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Literal

import attrs
import pytest
from attrs.validators import ge, in_

from mdacore import Seconds, SizeBytes
from mdacore.assembly.structure import Mistakes, Structurer
from mdacore.assembly.tree import format_path


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@attrs.frozen(kw_only=True)
class Inner:
    name: str
    number: int = attrs.field(default=1, validator=ge(1))


@attrs.frozen(kw_only=True)
class Config:
    text: str = ""
    whole: int = 0
    fraction: float = 0.0
    flag: bool = False
    path: Path = Path()
    wait_s: Seconds = attrs.field(default=Seconds(0.0))
    size: SizeBytes = attrs.field(default=SizeBytes(0))
    mode: Literal["off", "on"] = "off"
    level: Literal[1, 2] = 1
    colour: Colour = Colour.RED
    items: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    pair: tuple[str, int] = ("", 0)
    table: dict[str, int] = attrs.field(factory=dict)
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    either: str | int = ""
    _hidden: int = 0


@attrs.frozen(kw_only=True)
class Range:
    low: int = attrs.field(default=1, validator=ge(1))
    high: int = attrs.field(default=9)
    kind: str = attrs.field(default="a", validator=in_(("a", "b")))
    secret: str = attrs.field(default="", repr=False)

    @high.validator
    def _check_high(self, _, value):
        if value < self.low:
            raise ValueError("high is below low")

    @secret.validator
    def _check_secret(self, _, value):
        if " " in value:
            raise ValueError(f"{value} has a space")


@attrs.frozen(kw_only=True)
class Whole:
    number: int = 0

    def __attrs_post_init__(self):
        if self.number == 13:
            raise ValueError("unlucky as a whole")


def read(cls, **table):
    return Structurer().read(cls, table)


def mistakes(cls, **table):
    with pytest.raises(Mistakes) as caught:
        read(cls, **table)
    return [f"{format_path(path)}: {text}" for path, text in caught.value.mistakes]


class TestLegalValues:
    @pytest.mark.parametrize(
        ("key", "given", "value"),
        [
            ("text", "x", "x"),
            ("whole", -3, -3),
            ("fraction", 3, 3.0),
            ("flag", True, True),
            ("path", "/a", Path("/a")),
            ("path", Path("/a"), Path("/a")),
            ("wait_s", 3, 3.0),
            ("wait_s", "5m", 300.0),
            ("size", 3, 3),
            ("size", "1KiB", 1024),
            ("mode", "on", "on"),
            ("colour", "green", Colour.GREEN),
            ("items", ["a", "b"], ("a", "b")),
            ("names", ["a", "a"], frozenset({"a"})),
            ("pair", ["a", 1], ("a", 1)),
            ("table", {"a": 1}, {"a": 1}),
            ("inner", {"name": "n"}, Inner(name="n")),
            ("inners", [{"name": "n"}], (Inner(name="n"),)),
            ("either", "x", "x"),
            ("either", 3, 3),
        ],
    )
    def test_value_is_taken_as_its_type(self, key, given, value):
        taken = getattr(read(Config, **{key: given}), key)

        assert (value, type(value)) == (taken, type(taken))

    def test_field_with_an_underscore_is_a_key_without(self):
        assert 3 == read(Config, hidden=3)._hidden

    def test_without_keys_there_are_the_defaults(self):
        assert Config() == read(Config)


class TestStrictness:
    @pytest.mark.parametrize(
        ("key", "given", "text"),
        [
            ("text", 25, "expected text, got 25; in quotes it would be text"),
            ("text", ["x"], "expected text, got a list"),
            ("whole", "25", "expected a whole number, got '25'"),
            ("whole", True, "expected a whole number, got true"),
            ("whole", 1.0, "expected a whole number, got 1.0"),
            ("fraction", "1", "expected a number, got '1'"),
            ("fraction", False, "expected a number, got false"),
            ("fraction", float("nan"), "expected a number, got nan"),
            ("flag", 1, "expected true or false, got 1"),
            ("path", "", "expected a path, got ''"),
            ("path", "a\0b", "expected a path, got 'a\\x00b'"),
            ("wait_s", -1, "expected a duration like 30, '5m' or '2h', got -1"),
            ("wait_s", float("inf"), "expected a duration like 30, '5m' or '2h', got inf"),
            ("wait_s", "soon", "'soon' is not a duration like 30s, 5m, 2h or 5d"),
            ("size", 1.5, "expected a size like 1000, '500KB' or '25MB', got 1.5"),
            ("mode", "onn", "'onn' is not one of off, on; did you mean 'on'?"),
            ("mode", 1, "1 is not one of off, on"),
            ("level", True, "true is not one of 1, 2"),
            ("colour", "RED", "'RED' is not one of red, green"),
            ("items", "abc", "expected a list, got 'abc'; a list is written [\"abc\"]"),
            ("items", {"a": 1}, "expected a list, got a table"),
            ("table", [1], "expected a table, got a list"),
            ("inner", "x", "expected a table, got 'x'"),
            ("either", 1.5, "expected text, got 1.5; in quotes it would be text, and expected a whole number, got 1.5"),
        ],
    )
    def test_other_value_is_refused_with_what_would_be_right(self, key, given, text):
        assert [f"{key}: {text}"] == mistakes(Config, **{key: given})

    @pytest.mark.parametrize(
        ("key", "given", "path"),
        [
            ("items", ["a", 1], "items[1]"),
            ("table", {"a": "x"}, "table.a"),
            ("pair", ["a", "b"], "pair[1]"),
            ("inner", {"name": 1}, "inner.name"),
            ("inners", [{"name": "a"}, {"name": 1}], "inners[1].name"),
        ],
    )
    def test_path_leads_to_the_innermost_value(self, key, given, path):
        (mistake,) = mistakes(Config, **{key: given})

        assert mistake.startswith(f"{path}: expected ")

    def test_long_value_is_cut(self):
        (mistake,) = mistakes(Config, whole="x" * 1000)

        assert len(mistake) < 120


class TestKeys:
    def test_unknown_key_comes_with_the_nearest(self):
        assert ["itms: unknown key; did you mean 'items'?"] == mistakes(Config, itms=[])

    def test_key_that_was_taken_out_before_is_suggested_too(self):
        with pytest.raises(Mistakes) as caught:
            Structurer().read(Inner, {"name": "n", "validator": 1}, other_keys=("validators",))

        assert [(("validator",), "unknown key; did you mean 'validators'?")] == caught.value.mistakes

    def test_those_are_not_suggested_within_an_inner_table(self):
        with pytest.raises(Mistakes) as caught:
            Structurer().read(Config, {"inner": {"name": "n", "validator": 1}}, other_keys=("validators",))

        assert [(("inner", "validator"), "unknown key; there is name, number")] == caught.value.mistakes

    def test_missing_key_is_named(self):
        assert ["inner.name: is missing and has no default"] == mistakes(Config, inner={})


class TestValidators:
    def test_all_that_fail_are_reported_at_once(self):
        expected = ["low: 'low' must be >= 1: 0", "kind: 'kind' must be in ('a', 'b') (got 'c')"]

        assert expected == mistakes(Range, low=0, kind="c")

    def test_they_are_asked_beside_mistakes_of_other_kinds(self):
        expected = [
            "low: expected a whole number, got 'x'",
            "lov: unknown key; did you mean 'low'?",
            "kind: 'kind' must be in ('a', 'b') (got 'c')",
        ]

        assert expected == mistakes(Range, low="x", kind="c", lov=1)

    def test_comparison_with_a_value_that_could_not_be_read_is_left_out(self):
        assert ["low: expected a whole number, got 'x'"] == mistakes(Range, low="x", high=0)

    def test_comparison_with_a_default_is_made(self):
        assert ["high: high is below low"] == mistakes(Range, high=0)

    def test_class_that_objects_as_a_whole_is_reported_at_its_table(self):
        assert [": unlucky as a whole"] == mistakes(Whole, number=13)

    def test_secret_is_never_repeated(self):
        found = [mistakes(Range, secret=value) for value in ("hunter 2", 12345)]

        assert [["secret: cannot be used; its value is a secret and not shown"]] * 2 == found
