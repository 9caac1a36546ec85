"""Code that blocks the hub is reported, named, and not stopped."""

from __future__ import annotations

import re
import time

import gevent
import pytest

from mdacore.runtime import Fence, Watchdog
from mdacore.testing import CapturedLog, no_leaks

BLOCKED_S = 0.05
PATIENCE_S = 60


@pytest.fixture
def log():
    return CapturedLog()


@pytest.fixture
def watchdog(log):
    watchdog = Watchdog(log, blocked_s=BLOCKED_S)
    watchdog.start()
    gevent.sleep(2 * BLOCKED_S)
    log.events.clear()  # a machine that stood still meanwhile is somebody else's news
    yield watchdog
    watchdog.stop()


def hold_the_hub(log, count=1):
    """Wait without yielding, as C code does that lets go of the interpreter's lock, until it is reported."""
    gives_up_at = time.monotonic() + PATIENCE_S
    time.sleep(6 * BLOCKED_S)
    while len(log.of("service.blocked")) < count:
        assert time.monotonic() < gives_up_at
        time.sleep(BLOCKED_S)


def let_it_be_over(log, count=1):
    with gevent.Timeout(PATIENCE_S):
        while len(log.of("service.unblocked")) < count:
            gevent.sleep(BLOCKED_S / 5)


def longest_turn_s():
    """Go round for some time. What the longest turn took tells whether the machine let us."""
    longest_s, began_at = 0.0, time.monotonic()
    for _ in range(20):
        gevent.sleep(BLOCKED_S / 5)
        now = time.monotonic()
        longest_s, began_at = max(longest_s, now - began_at), now
    return longest_s


def test_a_hub_that_goes_round_is_no_news(watchdog, log):
    with gevent.Timeout(PATIENCE_S):
        while longest_turn_s() > BLOCKED_S / 2:  # the process stood still: try again
            log.events.clear()

    assert [] == log.lines


def test_what_blocks_is_named_with_its_component_while_it_does(watchdog, log):
    seen = []
    fence = Fence("policies.slow", log)

    fence.call(lambda: (hold_the_hub(log), seen.extend(log.lines)))

    ((level, event, fields),) = seen
    assert ("warning", "service.blocked", "policies.slow") == (level, event, fields["component"])
    assert re.fullmatch(r".*test_watchdog\.hold_the_hub:\d+", fields["function"])
    assert fields["function"] == fields["frames"][0]
    assert fields["blocked_s"] >= BLOCKED_S


def test_code_of_nobodys_has_no_component(watchdog, log):
    hold_the_hub(log)

    assert [""] == [fields["component"] for fields in log.of("service.blocked")]


def test_it_is_reported_once_and_once_when_it_is_over(watchdog, log):
    hold_the_hub(log)
    let_it_be_over(log)

    assert ["service.blocked", "service.unblocked"] == [event for _, event, _ in log.lines]
    assert log.of("service.unblocked")[0]["blocked_s"] >= 4 * BLOCKED_S


def test_the_next_one_is_reported_too(watchdog, log):
    for count in (1, 2):
        hold_the_hub(log, count)
        let_it_be_over(log, count)

    assert 2 == len(log.of("service.blocked"))


def test_after_the_stop_nobody_looks_and_nothing_is_left(log):
    with no_leaks():
        watchdog = Watchdog(log, blocked_s=BLOCKED_S)
        watchdog.start()
        watchdog.stop()
        watchdog.stop()

        time.sleep(6 * BLOCKED_S)

    assert [] == log.lines
