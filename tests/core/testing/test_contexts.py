"""Contexts for tests, and a component's life around a block."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdacore import Chain
from mdacore.runtime import SystemClock
from mdacore.testing import CapturedLog, ManualClock, RecordingHandoff, make_context, make_edge_context, running


class TestMakeContext:
    def test_time_stands_still_and_the_log_is_captured_by_default(self):
        context = make_context()

        assert isinstance(context.clock, ManualClock)
        assert isinstance(context.log, CapturedLog)
        assert "relays.local" == context.instance

    def test_a_given_log_gets_the_instances_name(self):
        log = CapturedLog()

        make_context("policies.spam", log=log).log.info("a.b")

        assert ["policies.spam"] == [one.instance for one in log.events]

    def test_relative_paths_are_under_the_given_state_folder(self, tmp_path):
        assert tmp_path / "maildirs" == make_context(state_path=tmp_path).resolve(Path("maildirs"))

    def test_without_a_state_folder_nothing_can_be_written(self):
        """Not even by root: a component that writes where no test asked it to is found out."""
        with pytest.raises(NotADirectoryError):
            make_context().resolve(Path("spool")).mkdir(parents=True)

    def test_everything_may_be_given(self):
        clock, log = SystemClock(), object()

        context = make_context(hostname="h", clock=clock, log=log)

        assert ("h", clock, log) == (context.hostname, context.clock, context.log)


class TestMakeEdgeContext:
    def test_mail_is_recorded_and_nobody_objects_by_default(self):
        context = make_edge_context()

        assert isinstance(context.handoff, RecordingHandoff)
        assert Chain() == context.validators

    def test_handoff_and_validators_may_be_given(self):
        handoff, chain = RecordingHandoff(), Chain(rcpt=(lambda *_: None,))

        context = make_edge_context(handoff=handoff, validators=chain)

        assert (handoff, chain) == (context.handoff, context.validators)


class Component:
    def __init__(self, fault=None):
        self.fault = fault
        self.steps = []

    def start(self):
        self.steps.append("start")
        if self.fault:
            raise self.fault

    def stop(self):
        self.steps.append("stop")


class TestRunning:
    def test_the_component_is_started_and_stopped(self):
        with running(Component()) as component:
            assert ["start"] == component.steps

        assert ["start", "stop"] == component.steps

    def test_it_is_stopped_also_when_the_block_fails(self):
        component = Component()

        with pytest.raises(ZeroDivisionError), running(component):
            raise ZeroDivisionError

        assert ["start", "stop"] == component.steps

    def test_one_that_could_not_start_is_not_stopped(self):
        component = Component(OSError("no way"))

        with pytest.raises(OSError, match="no way"), running(component):
            pass

        assert ["start"] == component.steps
