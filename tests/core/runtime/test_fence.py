"""Fences: what a plugin's fault becomes, and what passes."""

from __future__ import annotations

import attrs
import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit

from mdacore import LOCAL_ERROR, ComponentFailure, Deferral, Discard, Hold, MdaError, Rejection, Reply, StorageError
from mdacore.log import get_log
from mdacore.runtime import Breaker, BrokenContract, Deadline, Fence, SwitchedOff
from mdacore.testing import CapturedLog, ManualClock


@pytest.fixture
def log():
    return CapturedLog()


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


class TestBrokenContract:
    def test_it_becomes_a_component_failure_logged_without_a_traceback(self, log):
        """The core raised it itself where it looked at a result: its traceback would tell nothing."""
        with pytest.raises(ComponentFailure, match=r"relays\.x gave nothing"):
            Fence("relays.x", log).call(raising(BrokenContract("gave nothing")))

        assert [("error", "plugin.failed", {"component": "relays.x", "error": "gave nothing"})] == log.lines
        assert log.events[0].exception is None


class TestBreaker:
    @pytest.fixture
    def clock(self):
        return ManualClock()

    @pytest.fixture
    def fence(self, log, clock):
        return Fence("policies.x", log, 0.01, breaker=Breaker(clock=clock, call="rcpt"))

    @pytest.mark.parametrize(
        "fault",
        [ValueError("x"), SystemExit(1), gevent.Timeout(9), BrokenContract("x"), StorageError("x")],
        ids=lambda fault: type(fault).__name__,
    )
    def test_after_three_faults_in_a_row_it_is_not_called(self, fence, fault):
        for _ in range(3):
            with pytest.raises(MdaError):
                fence.call(raising(fault))

        with pytest.raises(SwitchedOff):
            fence.call(pytest.fail, "it was called")

    def test_after_three_hangs_in_a_row_it_is_not_called(self, fence):
        for _ in range(3):
            with pytest.raises(ComponentFailure, match="overran"):
                fence.call(gevent.sleep, 60)

        with pytest.raises(SwitchedOff, match=r"switched off after: overran its deadline of 0.01 s"):
            fence.call(pytest.fail, "it was called")

    @pytest.mark.parametrize("verdict", [Discard("x"), Hold("x"), Rejection(Reply(code=550)), Deferral(LOCAL_ERROR)])
    def test_a_policys_verdict_is_no_fault_and_ends_a_row_of_them(self, fence, verdict):
        for error in (ValueError(), ValueError(), verdict) * 3:
            with pytest.raises((MdaError, type(verdict))):
                fence.call(raising(error))

        assert not fence.breaker.is_off

    def test_from_anybody_else_a_verdict_is_a_fault(self, log, clock):
        fence = Fence("relays.x", log, passes_verdicts=False, breaker=Breaker(clock=clock))
        for _ in range(3):
            with pytest.raises(ComponentFailure):
                fence.call(raising(Discard("x")))

        assert fence.breaker.is_off

    @pytest.mark.parametrize("interruption", [GreenletExit(), Deadline()])
    def test_an_interruption_from_outside_is_no_fault(self, fence, interruption):
        for _ in range(5):
            with pytest.raises(type(interruption)):
                fence.call(raising(interruption))

        assert 0 == fence.breaker.faults

    def test_it_is_logged_once_when_it_opens_and_once_when_it_closes(self, fence, log, clock):
        for _ in range(20):
            with pytest.raises(ComponentFailure):
                fence.call(raising(ValueError("x")))
        clock.advance(5)
        fence.call(int)
        fence.call(int)

        assert [
            *["plugin.failed"] * 3,
            "plugin.switched_off",
            "plugin.switched_on",
        ] == [event for _, event, _ in log.lines]
        expected = {"component": "policies.x", "call": "rcpt", "faults": 3, "pause_s": 5.0}
        assert ("warning", "plugin.switched_off", expected) == log.lines[3]
        assert ("info", "plugin.switched_on", {"component": "policies.x", "call": "rcpt"}) == log.lines[4]

    def test_while_the_trial_runs_nobody_else_is_let_through(self, fence, clock):
        for _ in range(3):
            with pytest.raises(ComponentFailure):
                fence.call(raising(ValueError("x")))
        clock.advance(5)
        may_end = Event()
        trial = gevent.spawn(attrs.evolve(fence, deadline_s=None).call, may_end.wait)
        gevent.sleep(0)

        with pytest.raises(SwitchedOff):
            fence.call(pytest.fail, "it was called")

        may_end.set()
        trial.join()
        assert 0 == fence.call(int)

    def test_a_trial_that_is_killed_makes_room_for_another(self, fence, clock):
        for _ in range(3):
            with pytest.raises(ComponentFailure):
                fence.call(raising(ValueError("x")))
        clock.advance(5)
        with pytest.raises(GreenletExit):
            fence.call(raising(GreenletExit()))

        assert 0 == fence.call(int)

    def test_a_long_fault_is_cut_to_a_line_for_health(self, fence):
        with pytest.raises(ComponentFailure):
            fence.call(raising(ValueError("x\n" * 1000)))

        fault = fence.breaker.circuit().last_fault
        assert (200, False) == (len(fault), "\n" in fault)
