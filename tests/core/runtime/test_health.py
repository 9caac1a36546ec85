"""Health of one instance: its own words and its breakers, whatever it does."""

from __future__ import annotations

import gevent
import pytest

from mdacore import Health, Status
from mdacore.runtime import Breaker, CircuitState, InstanceHealth, health_of
from mdacore.testing import CapturedLog, ManualClock


class Part:
    """A component whose health is what the test says."""

    def __init__(self, answer):
        self._answer = answer

    def health(self):
        return self._answer()


def health_with(answer, *breakers):
    named = {breaker.call: breaker for breaker in breakers}
    return health_of("relays.x", Part(answer), breakers=named, log=CapturedLog())


def breaker_after(faults):
    breaker = Breaker(clock=ManualClock(), call="attempt")
    for _ in range(faults):
        breaker.failed("no", 0)
    return breaker


class TestHealthOf:
    def test_it_is_what_the_component_says(self):
        own = Health(status=Status.FAILED, reason="full", facts={"messages": 3})

        assert InstanceHealth(instance="relays.x", own=own) == health_with(lambda: own)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (lambda: 1 / 0, "relays.x raised ZeroDivisionError('division by zero')"),
            (lambda: exit(3), "relays.x raised SystemExit(3)"),
            (lambda: None, "relays.x health() gave a NoneType"),
        ],
    )
    def test_one_that_cannot_say_has_failed(self, answer, reason):
        assert Health(status=Status.FAILED, reason=reason) == health_with(answer).own

    def test_one_that_waits_is_cut(self, monkeypatch):
        monkeypatch.setattr("mdacore.runtime.health.HEALTH_DEADLINE_S", 0.01)

        assert Status.FAILED is health_with(lambda: gevent.sleep(60)).own.status

    @pytest.mark.parametrize(
        ("faults", "state", "status"),
        [
            (0, CircuitState.OK, Status.OK),
            (1, CircuitState.FAILING, Status.DEGRADED),
            (3, CircuitState.OFF, Status.DEGRADED),
        ],
    )
    def test_while_a_call_fails_or_is_switched_off_it_is_degraded(self, faults, state, status):
        health = health_with(Health, breaker_after(faults))

        assert (state, status) == (health.circuits["attempt"].state, health.status)

    def test_a_component_that_has_failed_stays_so_whatever_its_calls_do(self):
        assert Status.FAILED is health_with(lambda: Health(status=Status.FAILED), breaker_after(3)).status
