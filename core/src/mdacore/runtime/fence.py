"""Fences: every call from the core into a plugin goes through one.

A plugin that raises, overruns its deadline or calls ``sys.exit`` hurts one message, never the service. What leaves a
fence is an MdaError with the component's name, a policy's verdict, or what interrupts the calling greenlet itself.
Code that never yields cannot be interrupted: a deadline stops only code that waits.

A fence with a breaker stops calling what keeps failing. A verdict is no fault; every other MdaError is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import attrs
from greenlet import GreenletExit

from mdacore import events
from mdacore.contracts import EventLog
from mdacore.runtime.breaker import Breaker
from mdacore.runtime.deadline import Deadline, Deadlines
from mdacore.words import ComponentFailure, Deferral, Discard, Hold, MdaError, Rejection, Reply, printable

VERDICTS = (Rejection, Deferral, Discard, Hold)
MAX_FAULT_CHARS = 200
"""How much of an exception's text a breaker keeps for `health`."""
P = ParamSpec("P")
T = TypeVar("T")


class BrokenContract(Exception):
    """Raised behind a fence by the core, where it looks at a result: the text says what the plugin did."""


@attrs.frozen
class Fence:
    """The border around one instance.

    Attributes:
        instance: ``"policies.spam"``.
        deadline_s: how long one call may take, and at most a twentieth more; None = no limit.
        passes_verdicts: a policy may reject, defer, discard and hold; from anybody else that is a fault.
        breaker: that of the one function which is called through this fence; None = it is always called.
    """

    instance: str
    log: EventLog
    deadline_s: float | None = None
    passes_verdicts: bool = True
    breaker: Breaker | None = None
    _deadlines: Deadlines | None = attrs.field(init=False, eq=False, repr=False)

    @_deadlines.default
    def _limited(self) -> Deadlines | None:
        return None if self.deadline_s is None else Deadlines(self.deadline_s)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call into the plugin. Blocks as the plugin does.

        Raises:
            MdaError, Discard, Hold: as the plugin raised them, with the component's name.
            ComponentFailure: it raised anything else, or overran; logged with its traceback.
            SwitchedOff: a ComponentFailure too: it has failed too often, and was not called.
            GreenletExit, Deadline: the calling greenlet was killed, or somebody else's deadline around it has passed.
        """
        breaker = self.breaker
        trial = breaker.enter(self.instance) if breaker is not None and breaker.faults else 0
        deadlines = self._deadlines
        timed = deadlines.begin() if deadlines is not None else None
        try:
            result = function(*args, **kwargs)
        except GreenletExit:
            raise
        except Deadline as deadline:
            if timed is None or deadline is not timed.expired:
                raise
            raise self._overrun(trial) from deadline
        except BaseException as error:  # a plugin's own Timeout, SystemExit and KeyboardInterrupt end here too
            failure = self._failure(error, trial)
            if failure is None:
                raise
            raise failure from error
        else:
            if breaker is not None and breaker.faults:
                self._praise()
            return result
        finally:
            if deadlines is not None and timed is not None:
                deadlines.end(timed)
            if trial and breaker is not None:
                breaker.leave(trial)

    def _overrun(self, trial: int) -> ComponentFailure:
        self.log.error(events.PLUGIN_OVERRAN, component=self.instance, deadline_s=self.deadline_s, exc_info=True)
        what = f"overran its deadline of {self.deadline_s} s"
        self._blame(what, trial)
        return ComponentFailure(f"{self.instance} {what}", component=self.instance)

    def _failure(self, error: BaseException, trial: int) -> ComponentFailure | None:
        """What is to be raised in place of `error`; None = it passes."""
        is_verdict = isinstance(error, VERDICTS)
        if is_verdict and self.passes_verdicts:
            self._praise()
        elif not is_verdict and isinstance(error, MdaError) and isinstance(getattr(error, "reply", None), Reply):
            self._blame(_described(error), trial)
        else:
            return self._fault(error, trial)
        if isinstance(error, MdaError):
            error.component = error.component or self.instance
        return None

    def _fault(self, error: BaseException, trial: int) -> ComponentFailure:
        if isinstance(error, BrokenContract):  # raised by the core, so that its traceback tells nothing
            what = str(error)
            self.log.error(events.PLUGIN_FAILED, component=self.instance, error=what)
        else:
            what = _described(error)
            self.log.error(events.PLUGIN_FAILED, component=self.instance, error=what, exc_info=True)
            what = f"raised {what}"
        self._blame(what, trial)
        return ComponentFailure(f"{self.instance} {what}", component=self.instance)

    def _blame(self, what: str, trial: int) -> None:
        breaker = self.breaker
        if breaker is None:
            return
        pause_s = breaker.failed(printable(what, MAX_FAULT_CHARS), trial)
        if pause_s is not None:
            fields = {"component": self.instance, "call": breaker.call, "faults": breaker.faults, "pause_s": pause_s}
            self.log.warning(events.PLUGIN_SWITCHED_OFF, **fields)

    def _praise(self) -> None:
        if self.breaker is not None and self.breaker.succeeded():
            self.log.info(events.PLUGIN_SWITCHED_ON, component=self.instance, call=self.breaker.call)


def _described(error: BaseException) -> str:
    try:
        return repr(error)
    except Exception:  # somebody else's __repr__
        return type(error).__name__
