"""The ratios that a release has to reach: the only place where they are written down.

They are ratios to a peer in the same run, never absolute numbers, so that they hold on any machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mdabench.results import Results


@dataclass(frozen=True, kw_only=True)
class Required:
    """In this case the target's measure, divided by the peer's, is at least so much."""

    case: str
    target: str = "mdacore"
    peer: str
    measure: str = "rate"
    at_least: float


REQUIRED = (
    Required(case="2k-20s", peer="postfix", at_least=2.5),
    Required(case="lda", peer="loop", at_least=0.8),
    Required(case="lda-800mb", peer="loop", at_least=0.8),
    Required(case="maildir", peer="postfix", at_least=2.0),
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether one requirement is met, and the sentence about it."""

    is_met: bool
    text: str


def judge(results: Results, required: Iterable[Required]) -> Sequence[Verdict]:
    """A verdict for each requirement; what was not measured is not met."""
    return [_judge(results, one) for one in required]


def _judge(results: Results, one: Required) -> Verdict:
    what = f"{one.case}: {one.measure} of {one.target} / {one.peer}"
    ratio = results.ratio(one.case, one.target, one.peer, one.measure)
    if ratio is None:
        return Verdict(is_met=False, text=f"NOT MEASURED {what}, required: at least {one.at_least:g}")
    is_met = ratio.median >= one.at_least
    word = "ok" if is_met else "TOO LOW"
    return Verdict(is_met=is_met, text=f"{word} {what} = {ratio}, required: at least {one.at_least:g}")
