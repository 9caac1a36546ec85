"""What holds for all tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def library_stays_unpatched() -> Iterator[None]:
    """A test that patches this process changes every test after it: patching is for processes of their own."""
    yield
    monkey = sys.modules.get("gevent.monkey")
    assert monkey is None or not monkey.saved
