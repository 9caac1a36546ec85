"""Fences: every call from the core into a plugin goes through one.

A plugin that raises, overruns its deadline or calls ``sys.exit`` hurts one message, never the service. What leaves a
fence is an MdaError with the component's name, a policy's verdict, or what interrupts the calling greenlet itself.
Code that never yields cannot be interrupted: a deadline stops only code that waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import attrs
import gevent
from greenlet import GreenletExit

from mdacore import events
from mdacore.contracts import EventLog
from mdacore.words import ComponentFailure, Deferral, Discard, Hold, MdaError, Rejection, Reply

VERDICTS = (Rejection, Deferral, Discard, Hold)
P = ParamSpec("P")
T = TypeVar("T")


class Deadline(gevent.Timeout):
    """The core's own timer. One that is caught and is not the catcher's own is passed on."""


@attrs.frozen
class Fence:
    """The border around one instance.

    Attributes:
        instance: ``"policies.spam"``.
        deadline_s: how long one call may take; None = no limit.
        passes_verdicts: a policy may reject, defer, discard and hold; from anybody else that is a fault.
    """

    instance: str
    log: EventLog
    deadline_s: float | None = None
    passes_verdicts: bool = True

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call into the plugin. Blocks as the plugin does.

        Raises:
            MdaError, Discard, Hold: as the plugin raised them, with the component's name.
            ComponentFailure: it raised anything else, or overran; logged with its traceback.
            GreenletExit, Deadline: the calling greenlet was killed, or somebody else's deadline around it has passed.
        """
        timer = Deadline.start_new(self.deadline_s) if self.deadline_s is not None else None
        try:
            return function(*args, **kwargs)
        except GreenletExit:
            raise
        except Deadline as deadline:
            if deadline is not timer:
                raise
            self.log.error(events.PLUGIN_OVERRAN, component=self.instance, deadline_s=self.deadline_s, exc_info=True)
            message = f"{self.instance} overran its deadline of {self.deadline_s} s"
            raise ComponentFailure(message, component=self.instance) from deadline
        except BaseException as error:  # a plugin's own Timeout, SystemExit and KeyboardInterrupt end here too
            if self._passes(error):
                raise
            what = _described(error)
            self.log.error(events.PLUGIN_FAILED, component=self.instance, error=what, exc_info=True)
            raise ComponentFailure(f"{self.instance} raised {what}", component=self.instance) from error
        finally:
            if timer is not None:
                timer.close()

    def _passes(self, error: BaseException) -> bool:
        if isinstance(error, VERDICTS):
            passes = self.passes_verdicts
        else:
            passes = isinstance(error, MdaError) and isinstance(getattr(error, "reply", None), Reply)
        if passes and isinstance(error, MdaError):
            error.component = error.component or self.instance
        return passes


def _described(error: BaseException) -> str:
    try:
        return repr(error)
    except Exception:  # somebody else's __repr__
        return type(error).__name__
