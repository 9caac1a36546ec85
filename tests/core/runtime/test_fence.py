"""Fences: what a plugin's fault becomes, and what passes."""

from __future__ import annotations

import gevent
import pytest
from greenlet import GreenletExit

from mdacore import ComponentFailure, Discard, MdaError, Rejection, Reply
from mdacore.log import get_log
from mdacore.runtime import Deadline, Fence


@pytest.fixture
def fence():
    return Fence(instance="relays.under_test", log=get_log(), deadline_s=0.05)


def raising(error):
    def plugin():
        raise error

    return plugin


class TestCall:
    def test_a_result_passes(self, fence):
        assert 3 == fence.call(lambda a, b: a + b, 1, b=2)

    @pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), gevent.Timeout(9)])
    def test_a_fault_becomes_a_component_failure_that_defers(self, fence, error):
        with pytest.raises(ComponentFailure) as caught:
            fence.call(raising(error))

        assert ("relays.under_test", 451) == (caught.value.component, caught.value.reply.code)
        assert error is caught.value.__cause__

    def test_an_mda_error_passes_with_the_components_name(self, fence):
        error = MdaError("known", reply=Reply(code=452))

        with pytest.raises(MdaError) as caught:
            fence.call(raising(error))

        assert error is caught.value
        assert "relays.under_test" == error.component

    @pytest.mark.parametrize("error", [Discard("x"), Rejection(Reply(code=550)), GreenletExit()])
    def test_verdicts_and_kills_pass(self, fence, error):
        with pytest.raises(type(error)) as caught:
            fence.call(raising(error))

        assert error is caught.value

    def test_an_overrun_is_a_component_failure(self, fence):
        with pytest.raises(ComponentFailure):
            fence.call(gevent.sleep, 60)

    def test_an_outer_deadline_passes(self, fence):
        with pytest.raises(Deadline) as caught, Deadline(0.01) as outer:
            fence.call(gevent.sleep, 60)

        assert outer is caught.value

    def test_the_timer_ends_with_the_call(self, fence):
        fence.call(lambda: None)

        gevent.sleep(0.1)  # longer than the deadline: a timer left over would raise here
