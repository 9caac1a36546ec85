"""Rows of measured values, and what is concluded from several rounds of them.

A comparison is made inside a round only: the two values that are divided were measured within a minute or so, and what
the neighbours did to the machine an hour ago is in neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one measurement gave: values by the name of the measure, and what makes them doubtful, in sentences."""

    values: Mapping[str, float]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One target in one case in one round. A failed one has no values, so it can never improve a median."""

    case: str
    target: str
    round: int
    values: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    failure: str = ""

    def __str__(self) -> str:
        """For somebody who watches the run."""
        values = ", ".join(f"{name} {number(value)}" for name, value in self.values.items())
        return f"{self.case} {self.target}: {self.failure or values}"

    def to_json(self) -> str:
        """One line, with the values beside the rest."""
        names = {"case": self.case, "target": self.target, "round": self.round}
        return json.dumps({**names, **self.values, "failure": self.failure, "remarks": self.remarks})


def number(value: float) -> str:
    """Three digits that count, thousands in groups."""
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", "\N{NO-BREAK SPACE}")
    return f"{value:.3g}"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of some rounds, with the extremes."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        """The median, with the extremes in brackets if they are others."""
        if self.least == self.most:
            return number(self.median)
        return f"{number(self.median)} ({number(self.least)}–{number(self.most)})"

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """None without values."""
        known = list(values)
        return cls(median=median(known), least=min(known), most=max(known)) if known else None


class Results:
    """All rows of one run; each is written to the file, if there is one, as soon as it is known."""

    def __init__(self, file: Path | None = None) -> None:
        self.rows: list[Row] = []
        self._file = file

    def add(self, row: Row) -> None:
        """Keep a row."""
        self.rows.append(row)
        if self._file:
            with self._file.open("a") as lines:
                lines.write(row.to_json() + "\n")

    def targets(self, case: str) -> list[str]:
        """The names of those measured in this case, in the order of the run."""
        return list(dict.fromkeys(row.target for row in self.rows if row.case == case))

    def spread(self, case: str, target: str, measure: str) -> Spread | None:
        """This value over the rounds; None if it was never measured."""
        return Spread.of(self._by_round(case, target, measure).values())

    def ratio(self, case: str, target: str, peer: str, measure: str) -> Spread | None:
        """The target's value divided by the peer's in the same round, over the rounds that have both."""
        ours, theirs = self._by_round(case, target, measure), self._by_round(case, peer, measure)
        return Spread.of(value / theirs[round_] for round_, value in ours.items() if theirs.get(round_))

    def difference(self, case: str, target: str, peer: str, measure: str) -> Spread | None:
        """The target's value less the peer's in the same round, over the rounds that have both."""
        ours, theirs = self._by_round(case, target, measure), self._by_round(case, peer, measure)
        return Spread.of(value - theirs[round_] for round_, value in ours.items() if round_ in theirs)

    def complaints(self, case: str) -> Iterator[str]:
        """What failed, or makes a row doubtful."""
        for row in self.rows:
            if row.case == case:
                for text in (row.failure and f"FAILED: {row.failure}", *row.remarks):
                    if text:
                        yield f"{row.target}, round {row.round}: {text}"

    def has_failure(self) -> bool:
        """Some row could not be measured."""
        return any(row.failure for row in self.rows)

    def _by_round(self, case: str, target: str, measure: str) -> dict[int, float]:
        return {
            row.round: row.values[measure]
            for row in self.rows
            if (row.case, row.target) == (case, target) and measure in row.values
        }
