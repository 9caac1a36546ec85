"""A suspension by itself: its pauses, its reviews, and what health says of it."""

from __future__ import annotations

import pytest

from mdacore import Reply
from mdacore.queue.suspension import FIRST_PAUSE_S, REVIEW_EVERY_S, Suspension, facts, sentence
from mdacore.testing import ManualClock

REFUSED = Reply.parse("451 4.4.1 Connection refused")
TIMED_OUT = Reply.parse("451 4.4.1 Connection timed out")
EVEN = 0.5
"""The chance that changes nothing."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def suspension(clock: ManualClock) -> Suspension:
    suspension = Suspension(clock, REFUSED, 900.0)
    suspension.prolong(REFUSED, EVEN)
    return suspension


class TestPause:
    def test_it_begins_small_and_doubles_up_to_its_limit(self, suspension):
        pauses = [suspension.pause_s]
        for _ in range(5):
            suspension.prolong(REFUSED, EVEN)
            pauses.append(suspension.pause_s)

        assert [60.0, 120.0, 240.0, 480.0, 900.0, 900.0] == pauses

    def test_a_limit_below_the_first_pause_is_kept(self, clock):
        suspension = Suspension(clock, REFUSED, 5.0)

        suspension.prolong(REFUSED, EVEN)

        assert 5.0 == suspension.left_s

    @pytest.mark.parametrize(("chance", "left_s"), [(0.0, 54.0), (1.0, 66.0)])
    def test_it_is_spread(self, clock, chance, left_s):
        """Destinations that went down together are not probed together."""
        suspension = Suspension(clock, REFUSED, 900.0)

        suspension.prolong(REFUSED, chance)

        assert pytest.approx(left_s) == suspension.left_s

    @pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
    def test_the_wall_clock_may_jump(self, clock, suspension, jump_s):
        clock.jump(jump_s)

        assert FIRST_PAUSE_S == suspension.left_s

    def test_the_last_reply_is_kept(self, suspension):
        suspension.prolong(TIMED_OUT, EVEN)

        assert TIMED_OUT == suspension.reply


class TestReview:
    def test_it_is_in_the_first_pause_after_its_time(self, clock, suspension):
        clock.advance(REVIEW_EVERY_S - 1)
        suspension.prolong(REFUSED, EVEN)
        was_review = suspension.is_review
        clock.advance(1)
        suspension.prolong(REFUSED, EVEN)

        assert (False, True) == (was_review, suspension.is_review)

    def test_and_then_not_again_before_as_long(self, clock, suspension):
        clock.advance(REVIEW_EVERY_S)
        suspension.prolong(REFUSED, EVEN)
        clock.advance(REVIEW_EVERY_S - 1)
        suspension.prolong(REFUSED, EVEN)
        was_review = suspension.is_review
        clock.advance(1)
        suspension.prolong(REFUSED, EVEN)

        assert (False, True) == (was_review, suspension.is_review)

    def test_what_was_looked_at_stays_away_until_the_pause_is_over(self, clock, suspension):
        """So a review has an end."""
        clock.advance(REVIEW_EVERY_S)
        suspension.prolong(REFUSED, EVEN)
        clock.advance(20)
        during = suspension.away_s
        clock.advance(1000)

        assert (100.0, 0.0) == (during, suspension.away_s)

    def test_in_any_other_pause_it_is_due_at_once(self, suspension):
        """The destination may be back before the pause is over, or the process begin anew."""
        assert 0.0 == suspension.away_s


class TestHealth:
    def test_it_names_the_lane_and_its_next_probe(self, clock, suspension):
        suspended = {"out/dead.test": suspension}

        assert "suspended: 1, out/dead.test until 2023-11-14T22:14:20Z" == sentence(suspended, clock)
        assert {
            "count": 1,
            "lanes": [{"lane": "out/dead.test", "until": 1_700_000_060, "reply": str(REFUSED)}],
        } == facts(suspended, clock)

    def test_of_many_it_names_a_few(self, clock, suspension):
        suspended = {f"out/{number}.test": suspension for number in range(30)}

        assert sentence(suspended, clock).endswith(", ...")
        assert (30, 20) == (facts(suspended, clock)["count"], len(facts(suspended, clock)["lanes"]))

    def test_of_none_it_says_nothing(self, clock):
        assert ("", {"count": 0, "lanes": []}) == (sentence({}, clock), facts({}, clock))
