"""Suspension: a destination that takes nothing is left alone for a while. Pure state; time comes from a Clock.

suspended ─(the pause is over)→ one attempt as a probe ─→ an answer ends it, or a pause of twice the length begins.

What is claimed along with a failed probe is looked at and given back behind everything that is due, so the next probe
meets other mail; and it is due still, so nothing waits when the destination is back. In some pauses, the reviews, all
that waits is claimed and looked at: in them it is given back until the pause is over, and a review has come to its end
when nothing is due any more.

In memory only: after a restart each destination is tried anew, with few attempts at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import attrs

from mdacore.contracts import Clock
from mdacore.words import Reply

FIRST_PAUSE_S = 60.0
"""The first pause, as long as the default schedule's first delay; each failed probe doubles it."""
JITTER = 0.1
"""Each pause is changed by up to this share of itself: destinations that went down together are not probed together."""
REMEMBERED_S = 3600.0
"""For how long at least a failure is remembered where nobody has mail, and a suspension after the end of its pause."""
CERTAIN_S = 3600.0
"""A message that was never attempted is old only if its destination has been down for so long: the clock may jump."""
REVIEW_EVERY_S = CERTAIN_S
"""How often all that waits is looked at; before the first time what was never attempted is not old anyway."""
SHOWN_MAX = 20
"""How many lanes `facts` names, and `sentence` a few of them."""


@attrs.define
class Suspension:
    """That of one lane.

    Attributes:
        reply: the last that was heard of the destination.
        pause_max_s: the longest pause.
        pause_s: the current one, or the last.
        is_review: in this pause everything that waits is claimed to be looked at, though nothing may be attempted.
    """

    clock: Clock = attrs.field(repr=False)
    reply: Reply
    pause_max_s: float
    pause_s: float = attrs.field(default=0.0, init=False)
    is_review: bool = attrs.field(default=False, init=False)
    _since: float = attrs.field(init=False)  # monotonic, as all that follows
    _resumes_at: float = attrs.field(default=0.0, init=False)
    _reviewed_at: float = attrs.field(init=False)

    @_since.default
    @_reviewed_at.default
    def _now(self) -> float:
        return self.clock.monotonic()

    @property
    def lasts_s(self) -> float:
        """For how long the destination has been down."""
        return self.clock.monotonic() - self._since

    @property
    def left_s(self) -> float:
        """Until a probe may be made; not above 0 where it may be."""
        return self._resumes_at - self.clock.monotonic()

    @property
    def away_s(self) -> float:
        """For how long what was looked at is given back; 0 = it is due at once, behind what is due for longer."""
        return max(0.0, self.left_s) if self.is_review else 0.0

    def prolong(self, reply: Reply, chance: float) -> None:
        """The destination is down, or still down. `chance` is a random number from 0 to 1."""
        self.reply = reply
        pause_s = min(2 * self.pause_s or FIRST_PAUSE_S, self.pause_max_s)
        now = self.clock.monotonic()
        self._resumes_at = now + pause_s * (1 + JITTER * (2 * chance - 1))
        self.pause_s = pause_s
        self.is_review = now - self._reviewed_at >= REVIEW_EVERY_S
        if self.is_review:
            self._reviewed_at = now


def facts(suspended: Mapping[str, Suspension], clock: Clock) -> dict[str, object]:
    """For `health`: how many lanes are suspended, and those that wait longest, each with its next probe (epoch seconds)
    and with what was heard of it.
    """
    shown = [
        {"lane": name, "until": round(clock.now() + one.left_s), "reply": str(one.reply)}
        for name, one in _longest(suspended)
    ]
    return {"count": len(suspended), "lanes": shown}


def sentence(suspended: Mapping[str, Suspension], clock: Clock) -> str:
    """The same for an operator, ``""`` where there are none."""
    if not suspended:
        return ""
    shown = [f"{name} until {_time(clock.now() + one.left_s)}" for name, one in _longest(suspended)[:3]]
    more = ["..."] if len(suspended) > len(shown) else []
    return f"suspended: {len(suspended)}, {', '.join([*shown, *more])}"


def _longest(suspended: Mapping[str, Suspension]) -> list[tuple[str, Suspension]]:
    return sorted(suspended.items(), key=lambda item: -item[1].left_s)[:SHOWN_MAX]


def _time(epoch_s: float) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
