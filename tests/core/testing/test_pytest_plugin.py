"""The pytest plugin, as somebody has it who has installed mdacore: in pytest runs of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

USING_ALL = """
import gevent, pytest
from mdacore import Reply
from mdacore.log import get_log
from mdacore.testing import ScriptedRelay, make_envelope

def test_clock(mdacore_clock):
    mdacore_clock.advance(60)
    assert mdacore_clock.monotonic() == 60

def test_log_of_the_process(mdacore_log):
    get_log("relays.x").warning("a.b", size=1)
    assert mdacore_log.one("a.b", size=1).instance == "relays.x"

def test_context(mdacore_context, mdacore_clock, mdacore_log, tmp_path):
    context = mdacore_context("policies.spam", hostname="h")
    context.log.info("a.b")
    assert mdacore_log.events[0].instance == "policies.spam"
    assert (context.clock, context.state_path, context.hostname) == (mdacore_clock, tmp_path / "state", "h")

def test_edge_context(mdacore_edge_context, mdacore_handoff):
    mdacore_edge_context().handoff.accept(make_envelope())
    assert len(mdacore_handoff.envelopes) == 1

def test_service(mdacore_leaks, mdacore_service):
    service = mdacore_service(relays={"local": ScriptedRelay(Reply(code=250))})
    service.send(make_envelope())
    service.wait_until_idle()
    assert len(service.seen()) == 1

def test_log_does_not_leak_from_test_to_test(mdacore_log):
    assert mdacore_log.events == []

def test_nothing_is_patched(mdacore_service):
    from gevent import monkey
    assert not monkey.saved
"""

LEAKING = """
import gevent

def test_leaves_a_greenlet_behind(mdacore_leaks):
    gevent.spawn(gevent.sleep, 60)
"""

USING_NOTHING = """
import sys

def test_nothing_was_imported_for_it():
    assert not {"gevent", "structlog", "orjson", "mdacore.queue", "mdacore.testing.clock"} & set(sys.modules)
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest in a process of its own on this text; gives its status and what it printed."""

    def run_pytest(text: str, *options: str):
        (tmp_path / "test_them.py").write_text(text)
        command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240)
        return done.returncode, done.stdout + done.stderr

    return run_pytest


def test_every_fixture_works(run):
    status, output = run(USING_ALL)

    assert 0 == status, output
    assert "7 passed" in output


def test_what_a_test_leaves_behind_is_named(run):
    status, output = run(LEAKING)

    assert 1 == status
    assert "AssertionError: leaked: greenlet <Greenlet" in output
    assert "1 passed, 1 error" in output


def test_a_run_that_does_not_use_it_imports_nothing_for_it(run):
    status, output = run(USING_NOTHING)

    assert 0 == status, output


def test_all_fixtures_are_listed_with_what_they_are(run):
    _, output = run("", "--fixtures")

    listed = [line.split()[0] for line in output.splitlines() if line.startswith("mdacore_")]
    assert [
        "mdacore_clock",
        "mdacore_context",
        "mdacore_edge_context",
        "mdacore_handoff",
        "mdacore_leaks",
        "mdacore_log",
        "mdacore_service",
    ] == sorted(listed)
    assert "no docstring" not in output.partition("mdacore_clock")[2]
