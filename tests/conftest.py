"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

IS_CI = os.environ.get("CI") == "true"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*programs): left out, with a reason, where one is missing; never in CI")
    config.addinivalue_line("markers", "takes_minutes: begun before all others, which the other workers do meanwhile")
    # A busy machine is no failure, and neither is luck: each run has the same examples.
    settings.register_profile(
        "mdacore", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("mdacore")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs a program that is not here. In CI nothing is left out: there it fails."""
    items.sort(key=lambda item: item.get_closest_marker("takes_minutes") is None)
    if IS_CI:
        return
    for item in items:
        wanted = [program for marker in item.iter_markers("needs") for program in marker.args]
        missing = [program for program in wanted if shutil.which(program) is None]
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"{', '.join(missing)} not installed"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """In CI a test that was left out is a failure."""
    if IS_CI and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("CI=true, and tests were left out: see above", red=True)
        raise pytest.UsageError("with CI=true nothing may be left out")


@pytest.fixture(autouse=True)
def library_stays_unpatched() -> Iterator[None]:
    """A test that patches this process changes every test after it: patching is for processes of their own."""
    yield
    monkey = sys.modules.get("gevent.monkey")
    assert monkey is None or not monkey.saved


def pytest_collection_finish() -> None:
    """What was imported and collected lives to the end: leak checks need not look through it again and again."""
    gc.collect()
    gc.freeze()
