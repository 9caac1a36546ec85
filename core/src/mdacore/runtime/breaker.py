"""The circuit breaker: what keeps failing is not called for a while. Pure state; time comes from a Clock.

closed ─(`faults_max` faults in a row)→ off ─(the pause is over)→ one call on trial ─→ closed, or off for twice as long.
What counts as a fault, and what is done instead of a call, is for the Fence and its callers to say. Any success closes.

Invariant: of the calls that begin after the switching off at most one runs at a time, until one has succeeded.
"""

from __future__ import annotations

import enum

import attrs

from mdacore.contracts import Clock
from mdacore.words import ComponentFailure

FIRST_PAUSE_S = 5.0
"""The first pause; each failed trial doubles it, up to `pause_max_s`."""


class SwitchedOff(ComponentFailure):
    """The component was not called: it is switched off. Not logged; that it was switched off has been."""


class CircuitState(enum.Enum):
    """Where a breaker is."""

    OK = "ok"
    FAILING = "failing"
    """The last call, or the last few, failed; it is still called."""
    OFF = "off"
    TRIAL = "trial"
    """The pause is over: one call is being made, or the next one will be, to see whether it works again."""


@attrs.frozen(kw_only=True)
class Circuit:
    """A breaker at one moment, for an operator.

    Attributes:
        faults: in a row.
        last_fault: what the last one was, also after a success; ``""`` = there was none.
        off_until: epoch seconds of the next trial; None = it is not off.
    """

    state: CircuitState = CircuitState.OK
    faults: int = 0
    last_fault: str = ""
    off_until: float | None = None


@attrs.define(eq=False, kw_only=True)
class Breaker:
    """The breaker of one function of one instance. Not thread-safe: for the greenlets of one hub.

    Attributes:
        call: what the function is to an operator: ``"attempt"``, ``"rcpt"``.
        faults_max: so many faults in a row switch it off.
        pause_max_s: the longest time for which it is off before a trial.
        faults: in a row until now. While it is 0 there is nothing to ask: that is all a healthy component costs.
    """

    clock: Clock = attrs.field(repr=False)
    call: str = ""
    faults_max: int = 3
    pause_max_s: float = 60.0
    faults: int = attrs.field(default=0, init=False)
    _last_fault: str = attrs.field(default="", init=False)
    _pause_s: float = attrs.field(default=0.0, init=False)  # 0 = closed
    _off_until: float = attrs.field(default=0.0, init=False)  # monotonic
    _trial: int = attrs.field(default=0, init=False)  # the number of the one that runs; 0 = none
    _trials: int = attrs.field(default=0, init=False)

    @property
    def is_off(self) -> bool:
        """A call would be refused now."""
        return bool(self._pause_s) and (bool(self._trial) or self.clock.monotonic() < self._off_until)

    def admits(self, wanted: int) -> int:
        """How many of so many calls at once make sense now: all of them, one as a trial, or none."""
        if not self._pause_s:
            return wanted
        return 0 if self.is_off else min(1, wanted)

    def enter(self, instance: str) -> int:
        """Ask before a call. Returns the number of the trial that the call is, 0 if it is none; `leave` ends it.

        Raises:
            SwitchedOff: it must not be called now.
        """
        if not self._pause_s:
            return 0
        if self.is_off:
            raise SwitchedOff(f"{instance} is switched off after: {self._last_fault}", component=instance)
        self._trials += 1
        self._trial = self._trials
        return self._trial

    def leave(self, trial: int) -> None:
        """The trial is over, also where it came to no result (its greenlet was interrupted)."""
        if self._trial == trial:
            self._trial = 0

    def failed(self, fault: str, trial: int) -> float | None:
        """Count a fault of a call; returns the pause in seconds if that switches it off, now or again.

        What began before it was switched off and fails later changes nothing.
        """
        self.faults += 1
        self._last_fault = fault
        is_decisive = trial and trial == self._trial if self._pause_s else self.faults >= self.faults_max
        if not is_decisive:
            return None
        self._pause_s = min(2 * self._pause_s or FIRST_PAUSE_S, self.pause_max_s)
        self._off_until = self.clock.monotonic() + self._pause_s
        return self._pause_s

    def succeeded(self) -> bool:
        """A call came to a good end; returns True if that switches it on again."""
        was_off = bool(self._pause_s)
        self.faults, self._pause_s, self._trial = 0, 0.0, 0
        return was_off

    def circuit(self) -> Circuit:
        """How it is now."""
        left_s = self._off_until - self.clock.monotonic()
        if not self._pause_s:
            state = CircuitState.FAILING if self.faults else CircuitState.OK
        else:
            state = CircuitState.OFF if left_s > 0 else CircuitState.TRIAL
        off_until = self.clock.now() + left_s if state is CircuitState.OFF else None
        return Circuit(state=state, faults=self.faults, last_fault=self._last_fault, off_until=off_until)
