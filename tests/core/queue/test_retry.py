"""RetrySchedule: when a deferred message is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore.queue import DEFAULT_RETRY, RetrySchedule


class TestParse:
    @pytest.mark.parametrize(
        ("text", "expected_s"),
        [
            ("1m", (60,)),
            ("1m, 5m*3, 30m, 2h*", (60, 300, 300, 300, 1800, 7200)),
            ("30s,1m", (30, 60)),
            (" 1m * 2 ,5m * ", (60, 60, 300)),
            ("5m*1", (300,)),
        ],
    )
    def test_steps_become_delays(self, text: str, expected_s: tuple[float, ...]) -> None:
        assert expected_s == RetrySchedule.parse(text).delays_s

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ",",
            "1m,",
            "1m,,5m",
            "5",
            "0s",
            "1m, 0m",
            "-1m",
            "5m*0",
            "5m*-1",
            "5m*1001",
            "5m*x",
            "5m**",
            "1m*, 5m",
            "* 3",
        ],
    )
    def test_what_is_no_schedule_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):
            RetrySchedule.parse(text)

    def test_default_begins_with_a_minute_and_ends_at_two_hours(self) -> None:
        schedule = RetrySchedule.parse(DEFAULT_RETRY)

        assert 60 == schedule.delays_s[0]
        assert 7200 == schedule.delays_s[-1] == max(schedule.delays_s)


class TestDelay:
    def test_each_failed_attempt_has_its_own_delay_and_the_last_one_repeats(self) -> None:
        schedule = RetrySchedule((1.0, 2.0, 3.0), jitter=0.0)

        assert [1.0, 2.0, 3.0, 3.0, 3.0] == [schedule.delay_s(attempts, 0.5) for attempts in (1, 2, 3, 4, 1000)]

    def test_even_chance_changes_nothing(self) -> None:
        assert 100.0 == RetrySchedule((100.0,)).delay_s(1, 0.5)

    def test_extreme_chances_change_the_delay_by_the_jitter(self) -> None:
        schedule = RetrySchedule((100.0,), jitter=0.1)

        assert [90.0, 110.0] == pytest.approx([schedule.delay_s(1, 0.0), schedule.delay_s(1, 1.0)])

    @given(
        delays_s=st.lists(st.floats(0.1, 1e6), min_size=1, max_size=5).map(tuple),
        failed_attempts=st.integers(1, 100),
        chance=st.floats(0, 1),
    )
    def test_delay_is_never_further_from_its_step_than_the_jitter(
        self, delays_s: tuple[float, ...], failed_attempts: int, chance: float
    ) -> None:
        step_s = delays_s[min(failed_attempts, len(delays_s)) - 1]

        delay_s = RetrySchedule(delays_s).delay_s(failed_attempts, chance)

        assert step_s * 0.89 < delay_s < step_s * 1.11

    def test_schedule_without_a_delay_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one delay"):
            RetrySchedule(())
