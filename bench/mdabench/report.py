"""Results as Markdown tables: medians, with the extremes in brackets where they tell something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mdabench.results import Results, Spread, number


@dataclass(frozen=True, kw_only=True)
class Column:
    """A measure in a table."""

    measure: str
    title: str
    has_range: bool = False


def table(results: Results, case: str, *, columns: Sequence[Column], compared: str, peers: Sequence[str]) -> str:
    """One case: a line for each target; the `compared` measure is also divided by that of each peer that was there.

    A column that has no value in this case is left out.
    """
    targets = results.targets(case)
    columns = [column for column in columns if any(results.spread(case, one, column.measure) for one in targets)]
    peers = [peer for peer in peers if results.spread(case, peer, compared)]
    head = ["target", *(column.title for column in columns), *(f"× {peer}" for peer in peers)]
    lines = [head, ["---", *("---:" for _ in head[1:])]]
    for target in targets:
        values = [_cell(results.spread(case, target, column.measure), column.has_range) for column in columns]
        ratios = [_cell(results.ratio(case, target, peer, compared), target != peer) for peer in peers]
        lines.append([target, *values, *ratios])
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), *_remarks(results, case)])


def _remarks(results: Results, case: str) -> Iterator[str]:
    complaints = list(results.complaints(case))
    if complaints:
        yield ""
        yield from (f"- {complaint}" for complaint in complaints)


def _cell(spread: Spread | None, has_range: bool) -> str:
    if spread is None:
        return "–"
    return str(spread) if has_range else number(spread.median)
