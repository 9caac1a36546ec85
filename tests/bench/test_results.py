"""What is concluded from measured rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mdabench.report import Column, table
from mdabench.results import Results, Row, Spread
from required import REQUIRED, Bounded, Required, judge

TWICE = Required(case="a", target="ours", peer="theirs", at_least=2.0)


def results(**rates: tuple[float, ...]) -> Results:
    """One case of several rounds, in the order of a run; a rate of zero is a failure."""
    run = Results()
    for round_, rates_of_round in enumerate(zip(*rates.values(), strict=True), start=1):
        for target, rate in zip(rates, rates_of_round, strict=True):
            values, failure = ({"rate": rate}, "") if rate else ({}, "it broke")
            run.add(Row(case="a", target=target, round=round_, values=values, failure=failure))
    return run


class TestRatio:
    def test_rounds_are_compared_with_themselves(self) -> None:
        """The machine became ten times slower, and the ratio did not move."""
        run = results(ours=(300.0, 30.0, 3.0), theirs=(100.0, 10.0, 1.0))

        assert Spread(median=3.0, least=3.0, most=3.0) == run.ratio("a", "ours", "theirs", "rate")

    def test_round_that_failed_for_one_of_them_is_left_out(self) -> None:
        run = results(ours=(300.0, 900.0), theirs=(100.0, 0.0))

        assert Spread(median=3.0, least=3.0, most=3.0) == run.ratio("a", "ours", "theirs", "rate")
        assert run.has_failure()

    def test_nothing_in_common_is_no_ratio(self) -> None:
        assert results(ours=(300.0,)).ratio("a", "ours", "theirs", "rate") is None


class TestJudge:
    def test_ratio_that_is_reached_is_met(self) -> None:
        (verdict,) = judge(results(ours=(200.0,), theirs=(100.0,)), [TWICE])

        assert verdict.is_met

    def test_lower_median_is_not_met(self) -> None:
        (verdict,) = judge(results(ours=(199.0, 500.0, 150.0), theirs=(100.0, 100.0, 100.0)), [TWICE])

        assert not verdict.is_met

    def test_what_was_not_measured_is_not_met(self) -> None:
        (verdict,) = judge(results(ours=(500.0,)), [TWICE])

        assert not verdict.is_met

    @pytest.mark.parametrize(("most", "is_met"), [(30.0, True), (29.0, False)])
    def test_bound_is_for_the_median_of_the_differences(self, most: float, is_met: bool) -> None:
        """What both of them need, and another round's noise, is in no difference."""
        bound = Bounded(case="a", target="ours", peer="theirs", measure="rate", at_most=most)

        (verdict,) = judge(results(ours=(130.0, 1020.0, 45.0), theirs=(100.0, 1000.0, 5.0)), [bound])

        assert is_met is verdict.is_met

    @pytest.mark.parametrize(("most", "is_met"), [(2.0, True), (1.9, False)])
    def test_bound_without_a_peer_is_for_the_value_itself(self, most: float, is_met: bool) -> None:
        bound = Bounded(case="a", target="ours", measure="rate", at_most=most)

        (verdict,) = judge(results(ours=(1.0, 2.0, 9.0)), [bound])

        assert is_met is verdict.is_met

    def test_bound_on_what_was_not_measured_is_not_met(self) -> None:
        bounds = [Bounded(case="a", target="ours", peer=peer, measure="rate", at_most=9e9) for peer in ("", "theirs")]

        assert [False, False] == [verdict.is_met for verdict in judge(results(ours=(0.0,), theirs=(1.0,)), bounds)]

    def test_something_is_required(self) -> None:
        assert REQUIRED


class TestRows:
    def test_column_that_nobody_has_is_left_out(self) -> None:
        columns = [Column(measure="rate", title="messages/s"), Column(measure="peak_mb", title="MB")]

        text = table(results(ours=(5.0,)), "a", columns=columns, compared="peak_mb", peers=["ours"])

        assert "| target | messages/s |" == text.splitlines()[0]

    def test_table_names_failures_and_divides_by_the_peers(self) -> None:
        run = results(ours=(1200.0, 1300.0, 0.0), theirs=(400.0, 500.0, 600.0))

        text = table(run, "a", columns=[Column(measure="rate", title="messages/s")], compared="rate", peers=["theirs"])

        assert "| target | messages/s | × theirs |" in text
        assert "| ours | 1\N{NO-BREAK SPACE}250 | 2.8 (2.6–3) |" in text
        assert "- ours, round 3: FAILED: it broke" in text

    def test_each_row_is_a_line_of_json_at_once(self, tmp_path: Path) -> None:
        run = Results(tmp_path / "rows.jsonl")

        run.add(Row(case="a", target="ours", round=1, values={"rate": 5.0}))

        row = json.loads((tmp_path / "rows.jsonl").read_text())
        assert ("a", "ours", 1, 5.0) == (row["case"], row["target"], row["round"], row["rate"])
