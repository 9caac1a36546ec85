"""The kit's fixtures for pytest, all named ``mdacore_...``; found by itself where mdacore is installed.

A run that uses none of them imports neither gevent nor structlog, and nothing is ever patched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mdacore.contracts import Context, EdgeContext
    from mdacore.testing import AssembledService, CapturedLog, ManualClock, RecordingHandoff

_SUITES = (file.stem for file in Path(__file__).parent.glob("*_contract.py"))
pytest.register_assert_rewrite(*(f"mdacore.testing.{name}" for name in _SUITES))


@pytest.fixture
def mdacore_clock() -> ManualClock:
    """Time that the test moves."""
    from mdacore.testing import ManualClock

    return ManualClock()


@pytest.fixture
def mdacore_log() -> Iterator[CapturedLog]:
    """What is logged during the test: by components that were built with it, and by the process."""
    from mdacore.testing import CapturedLog

    with CapturedLog().of_process() as log:
        yield log


@pytest.fixture
def mdacore_handoff() -> RecordingHandoff:
    """A queue that remembers what it was given."""
    from mdacore.testing import RecordingHandoff

    return RecordingHandoff()


@pytest.fixture
def mdacore_context(tmp_path: Path, mdacore_clock: ManualClock, mdacore_log: CapturedLog) -> Callable[..., Context]:
    """`make_context` with a state folder of the test's, its clock and its log."""
    from mdacore.testing import make_context

    return partial(make_context, state_path=tmp_path / "state", clock=mdacore_clock, log=mdacore_log)


@pytest.fixture
def mdacore_edge_context(
    tmp_path: Path, mdacore_clock: ManualClock, mdacore_log: CapturedLog, mdacore_handoff: RecordingHandoff
) -> Callable[..., EdgeContext]:
    """`make_edge_context` with a state folder of the test's, its clock, its log and its handoff."""
    from mdacore.testing import make_edge_context

    return partial(
        make_edge_context,
        state_path=tmp_path / "state",
        clock=mdacore_clock,
        log=mdacore_log,
        handoff=mdacore_handoff,
    )


@pytest.fixture
def mdacore_leaks() -> Iterator[None]:
    """The test and the fixtures that are set up after this one leave no greenlet, descriptor or child behind."""
    from mdacore.testing import no_leaks

    with no_leaks():
        yield


@pytest.fixture
def mdacore_service(tmp_path: Path) -> Iterator[Callable[..., AssembledService]]:
    """Starts services as `assembled_service` does, in state folders of the test's; they end with the test."""
    from mdacore.testing import assembled_service

    with contextlib.ExitStack() as stack:

        def start(*tables: Any, **given: Any) -> AssembledService:
            given.setdefault("state_path", tmp_path / "state")
            return stack.enter_context(assembled_service(*tables, **given))

        yield start
