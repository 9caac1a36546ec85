"""The command line in this process and in one of its own, with the fake plugins of the assembly's tests."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mdacore.__main__ import main

SITE = Path(__file__).parents[1] / "assembly/site"


@pytest.fixture(autouse=True)
def fake_site(monkeypatch, tmp_path):
    """Install the fake plugins for one test, in an empty folder and without configuration variables."""
    monkeypatch.syspath_prepend(str(SITE))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MDACORE")]:
        monkeypatch.delenv(name)
    yield
    for name in [name for name in sys.modules if name.startswith("fake_")]:
        del sys.modules[name]


@pytest.fixture
def state(tmp_path):
    """A state folder that does not exist yet."""
    return tmp_path / "state"


@pytest.fixture
def mdacore(capfd):
    """Run a command in this process: ``(status, output, errors)``. Not for `run`, which patches."""

    def run(*arguments):
        status = main(list(map(str, arguments)))
        return status, *capfd.readouterr()

    return run


def heed_interrupts():
    """As from a terminal: tests that run in the background have inherited that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def spawn():
    """Start a command as a process; whatever still runs at the end of the test is killed."""
    processes = []

    def start(*arguments, stdout=subprocess.PIPE, **environ):
        command = [sys.executable, "-m", "mdacore", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(SITE), **environ},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with process:
            process.kill()


@pytest.fixture
def fakes():
    """The names of the fake plugins, for ``--plugins``."""
    return "fake_edge,fake_storage,fake_policy,fake_relay"


@pytest.fixture
def chosen(state, fakes):
    """The options that choose the fake plugins and the state folder."""
    return ("--plugins", fakes, "--state", state)


@pytest.fixture
def after():
    """The value of an expression in a process that has just run a command."""

    def run(arguments, expression):
        script = (
            "import json, sys; from mdacore.__main__ import main; main(sys.argv[1:]); "
            f"print(); print(json.dumps({expression}))"
        )
        command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
        environ = {**os.environ, "PYTHONPATH": str(SITE)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
        return json.loads(done.stdout.splitlines()[-1])

    return run
