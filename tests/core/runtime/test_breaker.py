"""The breaker's states, on a clock that the test moves."""

from __future__ import annotations

import pytest

from mdacore.runtime import Breaker, Circuit, CircuitState, SwitchedOff
from mdacore.testing import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def breaker(clock):
    return Breaker(clock=clock, call="attempt", faults_max=3, pause_max_s=15.0)


def switch_off(breaker):
    for number in (1, 2, 3):
        pause_s = breaker.failed(f"fault {number}", 0)
    return pause_s


class TestClosed:
    def test_it_lets_everything_through(self, breaker):
        assert (False, 20, 0) == (breaker.is_off, breaker.admits(20), breaker.enter("relays.local"))

    def test_fewer_faults_in_a_row_than_the_limit_change_nothing(self, breaker):
        assert [None, None] == [breaker.failed("x", 0) for _ in range(2)]

        assert (False, CircuitState.FAILING) == (breaker.is_off, breaker.circuit().state)

    def test_a_success_between_them_begins_the_count_anew(self, breaker):
        for _ in range(5):
            breaker.failed("x", 0)
            breaker.failed("x", 0)
            assert not breaker.succeeded()

        assert Circuit(state=CircuitState.OK, faults=0, last_fault="x") == breaker.circuit()


class TestOff:
    def test_the_last_fault_of_so_many_in_a_row_switches_it_off(self, breaker, clock):
        assert 5.0 == switch_off(breaker)

        assert (True, 0) == (breaker.is_off, breaker.admits(20))
        with pytest.raises(SwitchedOff, match=r"relays\.local is switched off after: fault 3") as refused:
            breaker.enter("relays.local")
        assert ("relays.local", 451) == (refused.value.component, refused.value.reply.code)
        expected = Circuit(state=CircuitState.OFF, faults=3, last_fault="fault 3", off_until=clock.now() + 5)
        assert expected == breaker.circuit()

    def test_the_clock_on_the_wall_has_no_say(self, breaker, clock):
        switch_off(breaker)

        clock.jump(86_400)

        assert breaker.is_off

    def test_a_fault_of_a_call_that_began_before_neither_prolongs_nor_doubles_the_pause(self, breaker, clock):
        switch_off(breaker)
        clock.advance(4)

        assert breaker.failed("late", 0) is None

        clock.advance(1)
        assert not breaker.is_off

    def test_a_success_of_a_call_that_began_before_switches_it_on(self, breaker):
        switch_off(breaker)

        assert breaker.succeeded()

        assert (20, Circuit(last_fault="fault 3")) == (breaker.admits(20), breaker.circuit())


class TestTrial:
    def test_after_the_pause_one_call_is_let_through(self, breaker, clock):
        switch_off(breaker)
        clock.advance(5)

        assert (1, CircuitState.TRIAL) == (breaker.admits(20), breaker.circuit().state)
        assert breaker.enter("x")
        assert 0 == breaker.admits(20)
        with pytest.raises(SwitchedOff):
            breaker.enter("x")

    def test_its_success_switches_on(self, breaker, clock):
        switch_off(breaker)
        clock.advance(5)
        trial = breaker.enter("x")

        assert breaker.succeeded()
        breaker.leave(trial)

        assert (20, 0) == (breaker.admits(20), breaker.enter("x"))

    def test_its_fault_doubles_the_pause_up_to_the_longest(self, breaker, clock):
        pauses_s = [switch_off(breaker)]
        for _ in range(3):
            clock.advance(pauses_s[-1])
            trial = breaker.enter("x")
            pauses_s.append(breaker.failed("again", trial))
            breaker.leave(trial)
            assert breaker.is_off

        assert [5.0, 10.0, 15.0, 15.0] == pauses_s

    def test_after_a_success_the_pauses_begin_anew(self, breaker, clock):
        switch_off(breaker)
        clock.advance(5)
        breaker.failed("again", breaker.enter("x"))
        breaker.succeeded()

        assert 5.0 == switch_off(breaker)

    def test_one_that_comes_to_no_result_is_followed_by_another(self, breaker, clock):
        switch_off(breaker)
        clock.advance(5)

        breaker.leave(breaker.enter("x"))

        assert breaker.enter("x")

    def test_a_call_that_began_before_does_not_decide_it(self, breaker, clock):
        switch_off(breaker)
        clock.advance(5)
        trial = breaker.enter("x")

        assert breaker.failed("late", 0) is None
        breaker.leave(0)

        assert breaker.is_off
        assert breaker.succeeded()
        breaker.leave(trial)
        assert not breaker.is_off

    def test_one_that_was_overtaken_by_a_success_counts_as_any_other(self, breaker, clock):
        switch_off(breaker)
        clock.advance(5)
        trial = breaker.enter("x")
        breaker.succeeded()

        assert breaker.failed("x", trial) is None

        assert not breaker.is_off


def test_a_pause_is_never_longer_than_the_longest(clock):
    breaker = Breaker(clock=clock, faults_max=1, pause_max_s=2.0)

    assert 2.0 == breaker.failed("x", 0)
