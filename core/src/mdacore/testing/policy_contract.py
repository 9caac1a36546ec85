"""The contract suites for what all policies share. The suites of the roles inherit them. Needs pytest.

`PolicyContract`: its parts. `EnvelopePolicyContract`: what a queue policy and a relay policy have in common, which are
all rules about the envelope that goes in and those that come out. Each test is one rule of `mdacore.contracts.policy`.

A verdict (Rejection, Deferral, Discard, Hold) and a fault that says so (an MdaError; `on_error` settles it) are legal
ends of every call. Not tested: which verdicts are right, and that deadlines are kept, which the core sees to.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Sequence
from typing import cast

import attrs
import gevent
import pytest

from mdacore.contracts import Component, Context, Policy, PolicyParts
from mdacore.testing.component_contract import ComponentContract, NewContext
from mdacore.testing.messages import content_of, make_envelope
from mdacore.testing.probes import (
    HUB_BLOCKED_S,
    INTERRUPT_AFTER_S,
    Struck,
    hub_turns,
    killed,
    nothing_left,
    timed_out,
    watched,
)
from mdacore.testing.samples import ODD, odd_envelopes
from mdacore.words import Discard, Envelope, Hold, MdaError

AT_ONCE = 20
"""How many envelopes the suite gives to the policy at the same time."""
VERDICTS = (MdaError, Discard, Hold)
"""What a policy may raise."""

_BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")


class PolicyContract(ComponentContract):
    """What every policy keeps, wherever it takes part. Inherit the suites of the places where yours does."""

    instance = "policies.tested"

    @abc.abstractmethod
    def make_policy(self, context: Context) -> Policy:
        """The policy, built and not started. What it needs outside (a server, a file) belongs to a fixture."""

    def make_component(self, context: Context) -> Component:
        return self.make_policy(context)

    def start(self, component: Component) -> None:
        """Bring it up, as the core does: its parts are asked for once, before the start."""
        self.parts = cast(Policy, component).parts()
        component.start()

    @pytest.fixture
    def policy(self, component: Component) -> Policy:
        """Up, and stopped at the end."""
        return cast(Policy, component)

    def test_parts_are_told_from_memory_before_the_start(self, new_context: NewContext) -> None:
        """Called once, after `build` and before `start`; no I/O."""
        self.make_policy(new_context()).parts()
        policy = self.make_policy(new_context())

        with watched() as watch:
            parts = policy.parts()

        assert isinstance(parts, PolicyParts)
        assert ([], 0) == (watch.asked + watch.waited, watch.switches)


@pytest.mark.usefixtures("component")
class EnvelopePolicyContract(PolicyContract):
    """What queue policies and relay policies keep. Inherit one of their suites instead."""

    address = "bob@example.test"
    """Whom the suite's messages are for."""

    @abc.abstractmethod
    def apply(self, envelope: Envelope) -> Sequence[Envelope]:
        """Have the policy that was started last judge an envelope."""

    def use(self, component: Component) -> None:  # noqa: ARG002 - its parts are at hand
        self._outcome(make_envelope(self.address))

    # what goes in

    def test_the_envelope_is_left_as_it_was(self) -> None:
        """Envelopes are immutable: others still hold this very one."""
        envelope = self._envelope()
        copy, message = attrs.evolve(envelope), content_of(envelope)

        self._outcome(envelope)

        assert copy == envelope
        assert message == content_of(envelope)

    @pytest.mark.parametrize("odd", ODD)
    def test_whatever_is_in_the_envelope_is_judged(self, odd: str) -> None:
        """An envelope or a verdict; an exception that the content provoked is a fault, and defers mail for ever."""
        self._outcome(odd_envelopes(self.address)[odd])

    # what comes out

    def test_bodies_are_shared(self) -> None:
        """A body is never copied: changes are header edits on top of the one that was received."""
        envelope = self._envelope()

        assert all(result.content.body is envelope.content.body for result in self._outcome(envelope))

    def test_earlier_edits_are_kept(self) -> None:
        """What is taken out of the header is taken out by an edit; the edge's Received field is an edit, too."""
        content = self._envelope().content.remove(b"x-not-there").prepend(b"Received: by the edge\r\n")
        envelope = self._envelope().with_content(content)

        for result in self._outcome(envelope):
            assert content.edits == result.content.edits[: len(content.edits)]

    @pytest.mark.parametrize("odd", ODD)
    def test_line_ends_stay_crlf(self, odd: str) -> None:
        """Content is CRLF only: a bare CR or LF could smuggle commands at the next hop."""
        for result in self._outcome(odd_envelopes(self.address)[odd]):
            assert not _BARE_LINE_END.search(content_of(result))

    # many at once, and the hub

    def test_many_envelopes_at_once_keep_apart(self) -> None:
        """A policy is called from many greenlets at once."""
        envelopes = [attrs.evolve(self._envelope(), dsn_envelope_id=f"{n}") for n in range(AT_ONCE)]
        running = [gevent.spawn(self._outcome, envelope) for envelope in envelopes]
        gevent.joinall(running, raise_error=True)

        for envelope, one in zip(envelopes, running, strict=True):
            assert {envelope.dsn_envelope_id} >= {result.dsn_envelope_id for result in one.value or ()}

    def test_others_run_while_an_envelope_is_judged(self) -> None:
        """A policy blocks its own greenlet, never the hub."""
        with hub_turns() as turns:
            self._outcome(self._envelope())

        assert turns.longest_s < HUB_BLOCKED_S

    def test_judging_leaves_nothing_behind(self) -> None:
        """No descriptor, greenlet, thread or child more than after the first envelope."""
        self._outcome(self._envelope())

        with nothing_left():
            for _ in range(AT_ONCE):
                self._outcome(self._envelope())

    # interrupted

    def test_a_kill_passes_through(self) -> None:
        """What interrupts the greenlet is nothing that a policy may answer to."""
        for after_s in INTERRUPT_AFTER_S:
            assert _has_passed(killed(lambda: self._outcome(self._envelope()), after_s))

    def test_a_timeout_of_the_caller_passes_through(self) -> None:
        """The core's deadline is a gevent.Timeout; a policy compares the one that it catches with its own by `is`."""
        for after_s in INTERRUPT_AFTER_S:
            assert _has_passed(timed_out(lambda: self._outcome(self._envelope()), after_s))

    def test_an_interrupted_call_leaves_nothing_behind(self) -> None:
        """No descriptor, greenlet, thread or child, wherever it was struck."""
        self._outcome(self._envelope())

        with nothing_left():
            for after_s in INTERRUPT_AFTER_S:
                killed(lambda: self._outcome(self._envelope()), after_s)

    def _envelope(self) -> Envelope:
        return make_envelope(self.address, "carol@example.test", "dave@example.org")

    def _outcome(self, envelope: Envelope) -> Sequence[Envelope]:
        """What came out; nothing after a verdict."""
        try:
            return self.apply(envelope)
        except VERDICTS:
            return ()


def _has_passed(struck: Struck[Sequence[Envelope]]) -> bool:
    return struck.was_in_time or struck.result is None
