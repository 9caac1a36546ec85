"""What is concluded from measured rows."""

from __future__ import annotations

import json
from pathlib import Path

from mdabench.report import Column, table
from mdabench.results import Results, Row, Spread
from required import REQUIRED, Required, judge

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

    def test_something_is_required(self) -> None:
        assert REQUIRED


class TestRows:
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
