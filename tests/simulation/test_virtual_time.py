"""Virtual time: what waits on the hub waits as it would, and takes no time."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event
from queuesim.virtual_time import BusyLoop, VirtualClock, virtual_hub


def test_a_day_passes_at_once() -> None:
    with virtual_hub() as hub:
        clock = VirtualClock(hub.loop)
        before = clock.now()

        gevent.sleep(86_400.0)

        assert 86_400.0 == clock.now() - before


def test_timers_fire_by_time_and_those_of_one_moment_in_their_order() -> None:
    order: list[str] = []

    def note(name: str, delay_s: float) -> None:
        gevent.sleep(delay_s)
        order.append(name)

    with virtual_hub():
        gevent.joinall([gevent.spawn(note, name, delay_s) for name, delay_s in (("c", 2.0), ("a", 1.0), ("b", 1.0))])

    assert ["a", "b", "c"] == order


def test_a_timeout_interrupts_what_hangs() -> None:
    with virtual_hub() as hub:
        with pytest.raises(gevent.Timeout), gevent.Timeout(5.0):
            gevent.sleep(1e6)

        assert (5.0, 0) == (hub.loop.now(), hub.loop.active_timers)


def test_what_can_never_go_on_is_an_error() -> None:
    with virtual_hub(), pytest.raises(gevent.exceptions.LoopExit):
        Event().wait()


def test_a_busy_loop_is_an_error() -> None:
    def spin() -> None:
        while True:
            gevent.sleep(0)

    with virtual_hub():
        spinning = gevent.spawn(spin)
        with pytest.raises(BusyLoop):
            gevent.sleep(1.0)
        spinning.kill(block=False)
        gevent.sleep(0)


def test_the_hub_of_before_comes_back() -> None:
    before = gevent.get_hub()

    with virtual_hub() as hub:
        assert hub is gevent.get_hub()

    assert before is gevent.get_hub()
