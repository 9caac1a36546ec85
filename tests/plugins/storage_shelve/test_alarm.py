"""Alarms: a wait ends when there may be something to claim, not before and not much later."""

from __future__ import annotations

import gevent
import pytest

from mdacore.testing import ManualClock
from mdacore_storage_shelve.alarm import Alarm


@pytest.fixture
def clock():
    return ManualClock(1000.0)


@pytest.fixture
def alarm(clock):
    alarm = Alarm(clock)
    alarm.looked(float("inf"))
    return alarm


def waiting(alarm, timeout_s=60.0):
    greenlet = gevent.spawn(alarm.wait, timeout_s)
    gevent.idle()
    return greenlet


class TestWait:
    def test_before_the_first_look_there_may_be_something(self, clock):
        Alarm(clock).wait(60)

    def test_it_ends_with_its_timeout(self, alarm, clock):
        greenlet = waiting(alarm)

        clock.advance(59)
        assert not greenlet.ready()
        clock.advance(1)
        greenlet.get(timeout=60)

    def test_it_ends_when_the_next_message_is_due(self, alarm, clock):
        alarm.looked(1030.0)
        greenlet = waiting(alarm)

        clock.advance(29)
        assert not greenlet.ready()
        clock.advance(1)
        greenlet.get(timeout=60)

    def test_it_ends_at_once_for_a_message_that_is_due(self, alarm):
        greenlet = waiting(alarm)

        alarm.offer(999.0)

        greenlet.get(timeout=60)

    def test_an_earlier_message_brings_its_end_forward(self, alarm, clock):
        alarm.looked(1050.0)
        greenlet = waiting(alarm)
        alarm.offer(1010.0)
        gevent.idle()

        clock.advance(9)
        assert not greenlet.ready()
        clock.advance(1)
        greenlet.get(timeout=60)

    def test_a_later_message_does_not_put_it_off(self, alarm, clock):
        alarm.looked(1010.0)
        greenlet = waiting(alarm)
        alarm.offer(1050.0)

        clock.advance(10)

        greenlet.get(timeout=60)

    def test_what_came_between_the_look_and_the_wait_is_not_missed(self, alarm):
        alarm.offer(1000.0)

        alarm.wait(60)

    def test_everybody_who_waits_is_woken(self, alarm):
        greenlets = [waiting(alarm) for _ in range(3)]

        alarm.offer(1000.0)

        gevent.joinall(greenlets, timeout=60)
        assert all(greenlet.ready() for greenlet in greenlets)

    def test_a_killed_waiter_leaves_no_greenlet_behind(self, alarm, clock):
        slept = []

        class Counting(ManualClock):
            def sleep(self, delay_s):
                slept.append(gevent.getcurrent())
                super().sleep(delay_s)

        alarm = Alarm(Counting(1000.0))
        alarm.looked(float("inf"))
        greenlet = waiting(alarm)

        greenlet.kill()
        gevent.idle()

        assert [True] == [sleeper.dead for sleeper in slept]
