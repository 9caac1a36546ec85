"""Code that blocks the hub is reported, named, and not stopped."""

from __future__ import annotations

import re
import time

import gevent
import pytest

from mdacore.runtime import Fence, Watchdog
from mdacore.testing import CapturedLog, no_leaks

BLOCKED_S = 0.05


@pytest.fixture
def log():
    return CapturedLog()


@pytest.fixture
def watchdog(log):
    watchdog = Watchdog(log, blocked_s=BLOCKED_S)
    watchdog.start()
    gevent.sleep(2 * BLOCKED_S)
    yield watchdog
    watchdog.stop()


def hold_the_hub():
    """Wait without yielding, as C code does that lets go of the interpreter's lock."""
    time.sleep(6 * BLOCKED_S)


def test_a_hub_that_goes_round_is_no_news(watchdog, log):
    for _ in range(20):
        gevent.sleep(BLOCKED_S / 5)

    assert [] == log.lines


def test_what_blocks_is_named_with_its_component_while_it_does(watchdog, log):
    seen = []
    fence = Fence("policies.slow", log)

    fence.call(lambda: (hold_the_hub(), seen.extend(log.lines)))

    ((level, event, fields),) = seen
    assert ("warning", "service.blocked", "policies.slow") == (level, event, fields["component"])
    assert re.fullmatch(r".*test_watchdog\.hold_the_hub:\d+", fields["function"])
    assert fields["function"] == fields["frames"][0]
    assert fields["blocked_s"] >= BLOCKED_S


def test_code_of_nobodys_has_no_component(watchdog, log):
    hold_the_hub()

    assert [""] == [fields["component"] for fields in log.of("service.blocked")]


def test_it_is_reported_once_and_once_when_it_is_over(watchdog, log):
    hold_the_hub()
    gevent.sleep(2 * BLOCKED_S)

    assert ["service.blocked", "service.unblocked"] == [event for _, event, _ in log.lines]
    assert log.of("service.unblocked")[0]["blocked_s"] >= 4 * BLOCKED_S


def test_the_next_one_is_reported_too(watchdog, log):
    for _ in range(2):
        hold_the_hub()
        gevent.sleep(2 * BLOCKED_S)

    assert 2 == len(log.of("service.blocked"))


def test_after_the_stop_nobody_looks_and_nothing_is_left(log):
    with no_leaks():
        watchdog = Watchdog(log, blocked_s=BLOCKED_S)
        watchdog.start()
        watchdog.stop()
        watchdog.stop()

        hold_the_hub()

    assert [] == log.lines
