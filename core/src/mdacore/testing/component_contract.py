"""The contract suite for what all components share: built, started, drained, stopped, and asked how they are.

The suites of the roles inherit it; by itself it is for a component that is none of them. Needs pytest. Each test is one
rule of `mdacore.contracts.component` (and of `Provider.build`); its name and docstring say which.

Not tested, because it cannot be seen from outside: that what is finished in `drain` is finished well (the roles' suites
look at that), and that a start which fails for a reason of its own leaves nothing behind (here it fails because the
state folder cannot be made, or because descriptors run out).
"""

from __future__ import annotations

import abc
import json
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import gevent
import pytest

from mdacore.contracts import Component, Context, Health
from mdacore.runtime import SystemClock
from mdacore.testing.contexts import make_context
from mdacore.testing.logs import CapturedLog
from mdacore.testing.probes import SOON_S, few_descriptors, nothing_left, watched

PATIENCE_S = 60.0
"""A test that takes longer has met a component that hangs."""
EVENT = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")

NewContext = Callable[[], Context]


class ComponentContract(abc.ABC):
    """What every component keeps. Inherit the suite of your role instead, which brings this one along."""

    instance = "components.tested"

    @abc.abstractmethod
    def make_component(self, context: Context) -> Component:
        """The component, built and not started. What it needs outside (a server, a program) belongs to a fixture."""

    def start(self, component: Component) -> None:
        """Bring it up, as the core does."""
        component.start()

    def use(self, component: Component) -> None:  # noqa: B027 - nothing is an answer, too
        """Have it do one ordinary piece of work; the suites of the roles know how."""

    def make_context(self, state_path: Path, log: CapturedLog) -> Context:
        """What `make_component` is given."""
        return make_context(self.instance, state_path=state_path, clock=SystemClock(), log=log)

    # fixtures

    @pytest.fixture(autouse=True)
    def patience(self) -> Iterator[None]:
        """A component that hangs fails its test, not the whole run."""
        with gevent.Timeout(PATIENCE_S, AssertionError(f"not ready after {PATIENCE_S} s")):
            yield

    @pytest.fixture
    def log(self) -> CapturedLog:
        return CapturedLog()

    @pytest.fixture
    def new_context(self, tmp_path: Path, log: CapturedLog) -> NewContext:
        """Makes contexts, each with a state folder of its own that does not exist yet."""
        numbers = count()
        return lambda: self.make_context(tmp_path / f"state{next(numbers)}", log)

    @pytest.fixture
    def context(self, new_context: NewContext) -> Context:
        return new_context()

    @pytest.fixture
    def component(self, context: Context) -> Iterator[Component]:
        """Up, and stopped at the end."""
        component = self.make_component(context)
        self.start(component)
        yield component
        component.stop()

    # built

    def test_building_does_no_io(self, new_context: NewContext) -> None:
        """Built (no I/O): files, sockets and threads belong to `start`."""
        self.make_component(new_context())  # whatever is imported late is imported now
        context = new_context()

        with watched() as watch:
            self.make_component(context)

        assert [] == watch.asked
        assert not context.state_path.exists()

    def test_building_leaves_nothing_running(self, new_context: NewContext) -> None:
        """Built: no threads, no greenlets, no descriptors; one that is never started need not be stopped."""
        self.make_component(new_context())

        with nothing_left():
            self.make_component(new_context())

    # started

    def test_a_start_without_a_state_folder_leaves_nothing_behind(self, new_context: NewContext) -> None:
        """A component whose start raises is not stopped: it has released everything by then."""
        self._live_once(new_context())
        context = new_context()
        context.state_path.write_text("a file where the folder should be")

        with nothing_left():
            self._try_to_start(context)

    @pytest.mark.parametrize("free_descriptors", range(5))
    def test_a_start_without_descriptors_leaves_nothing_behind(
        self, new_context: NewContext, free_descriptors: int
    ) -> None:
        """The same, when the first, the second, … file or socket cannot be opened."""
        self._live_once(new_context())
        context = new_context()

        with nothing_left(), few_descriptors(free_descriptors):
            self._try_to_start(context)

    # drained and stopped

    @pytest.mark.parametrize("grace_s", [0.0, 5.0])
    def test_drain_of_an_idle_component_says_at_once_that_nothing_is_left(
        self, component: Component, grace_s: float
    ) -> None:
        """Drain returns True if nothing was left: the bool, and soon."""
        with gevent.Timeout(SOON_S, AssertionError(f"drain({grace_s}) took more than {SOON_S} s with nothing to do")):
            drained = component.drain(grace_s)

        assert drained is True

    @pytest.mark.parametrize("is_drained", [False, True])
    def test_stop_releases_everything(self, new_context: NewContext, is_drained: bool) -> None:
        """Stop releases descriptors, threads, greenlets and children, with a drain before it or without."""
        self._live_once(new_context())

        with nothing_left():
            self._live_once(new_context(), is_drained=is_drained)

    def test_stop_may_be_called_again(self, component: Component) -> None:
        """Stop is idempotent and raises nothing."""
        component.stop()
        component.stop()

    def test_stop_returns_soon(self, component: Component) -> None:
        """Stop has no grace: whoever wants one drains first."""
        self.use(component)

        with gevent.Timeout(SOON_S * 2, AssertionError(f"stop() took more than {SOON_S * 2} s")):
            component.stop()

    # asked

    def test_health_is_told_from_memory(self, component: Component) -> None:
        """Health does no I/O and does not block, whatever state the component is in."""
        component.health()

        with watched() as watch:
            component.health()
        component.drain(0.0)
        component.stop()
        with watched() as watch_after_stop:
            component.health()

        assert ([], 0) == (watch.asked + watch.waited, watch.switches)
        assert ([], 0) == (watch_after_stop.asked + watch_after_stop.waited, watch_after_stop.switches)

    def test_health_is_a_status_with_facts_that_json_can_say(self, component: Component) -> None:
        """Facts are JSON values."""
        self.use(component)
        healths = [component.health()]
        component.stop()
        healths.append(component.health())

        for health in healths:
            assert isinstance(health, Health)
            assert dict(health.facts) == json.loads(json.dumps(dict(health.facts)))

    def test_log_events_are_constants_and_what_varies_is_a_field(self, context: Context, log: CapturedLog) -> None:
        """An event is ``"<area>.<past_tense>"``, so that it can be counted and looked up."""
        self._live_once(context, is_drained=True)

        assert [] == [line.event for line in log.events if not EVENT.fullmatch(line.event)]

    def _live_once(self, context: Context, *, is_drained: bool = False) -> None:
        component = self.make_component(context)
        self.start(component)
        self.use(component)
        if is_drained:
            component.drain(1.0)
        component.stop()

    def _try_to_start(self, context: Context) -> None:
        component = self.make_component(context)
        try:
            self.start(component)
        except Exception:  # noqa: BLE001 - it may raise what it likes
            return
        component.stop()
