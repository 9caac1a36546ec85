"""What a release has to reach: the only place where it is written down.

Speed is a ratio to a peer in the same run, never an absolute number, so that it holds on any machine; memory is the
same on all of them, and how long somebody waits for a start is what it is.
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

    @property
    def targets(self) -> frozenset[str]:
        """What has to be measured for it."""
        return frozenset((self.target, self.peer))


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """In this case the target's measure is at most so much, or so much more than the peer's if there is one."""

    case: str
    target: str
    peer: str = ""
    measure: str
    at_most: float

    @property
    def targets(self) -> frozenset[str]:
        """What has to be measured for it."""
        return frozenset((self.target, self.peer or self.target))


REQUIRED: Sequence[Required | Bounded] = (
    Required(case="2k-20s", peer="postfix", at_least=2.5),  # of the first service; of its queue: below
    Required(case="lda", peer="loop", at_least=0.8),
    Required(case="lda-800mb", peer="loop", at_least=0.8),
    Required(case="maildir", peer="postfix", at_least=2.0),
    Required(case="2k-20s", peer="postfix", at_least=3.5),
    Required(case="2k-20s", peer="slimta", at_least=3.0),
    Required(case="2k-20s", target="postfix", peer="mdacore", measure="p99_ms", at_least=3.0),
    Required(case="2k-100s", peer="postfix", at_least=5.0),
    Required(case="2k-100s", peer="slimta", at_least=5.0),
    Required(case="2k-20s-pipelined", peer="postfix", at_least=5.0),
    Required(case="2k-20s-pipelined", peer="slimta", at_least=12.0),
    Required(case="2k-20s-single", peer="postfix", at_least=2.5),
    Required(case="50k-20s", peer="postfix", at_least=2.2),
    Required(case="2k-1s", peer="postfix", at_least=1.7),
    Required(case="2k-20s-slowsync", peer="postfix", at_least=1.0),
    Required(case="2k-100s-slowsync", peer="postfix", at_least=2.0),
    Required(case="backlog", target="full", peer="empty", at_least=0.8),
    Bounded(case="backlog", target="full", measure="start_s", at_most=2.0),
    Bounded(case="backlog", target="full", peer="empty", measure="bytes_a_message", at_most=100.0),
    Required(case="2k-20s", target="edge", peer="bare", at_least=0.5),
    Required(case="2k-20s-pipelined", target="edge", peer="bare", at_least=0.5),
    Required(case="2k-20s-single", target="edge", peer="bare", at_least=0.5),
    Required(case="2k-20s", target="edge", peer="aiosmtpd", at_least=2.5),
    Required(case="50k-20s", target="edge", peer="bare", at_least=0.4),
    Bounded(case="idle", target="edge", peer="bare", measure="connection_kb", at_most=10.0),
    Bounded(case="large", target="edge", measure="peak_mb", at_most=64.0),
    Bounded(case="trickle", target="edge", measure="slowdown", at_most=2.0),
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether one requirement is met, and the sentence about it."""

    is_met: bool
    text: str


def judge(results: Results, required: Iterable[Required | Bounded]) -> Sequence[Verdict]:
    """A verdict for each requirement; what was not measured is not met."""
    return [_judge(results, one) if isinstance(one, Required) else _judge_bounded(results, one) for one in required]


def _judge(results: Results, one: Required) -> Verdict:
    what = f"{one.case}: {one.measure} of {one.target} / {one.peer}"
    ratio = results.ratio(one.case, one.target, one.peer, one.measure)
    if ratio is None:
        return Verdict(is_met=False, text=f"NOT MEASURED {what}, required: at least {one.at_least:g}")
    is_met = ratio.median >= one.at_least
    word = "ok" if is_met else "TOO LOW"
    return Verdict(is_met=is_met, text=f"{word} {what} = {ratio}, required: at least {one.at_least:g}")


def _judge_bounded(results: Results, one: Bounded) -> Verdict:
    what, limit = f"{one.case}: {one.measure} of {one.target}", f"required: at most {one.at_most:g}"
    if one.peer:
        what += f" - {one.peer}"
        value = results.difference(one.case, one.target, one.peer, one.measure)
    else:
        value = results.spread(one.case, one.target, one.measure)
    if value is None:
        return Verdict(is_met=False, text=f"NOT MEASURED {what}, {limit}")
    is_met = value.median <= one.at_most
    return Verdict(is_met=is_met, text=f"{'ok' if is_met else 'TOO HIGH'} {what} = {value}, {limit}")
