"""Clean environments for examples: the libraries that the tests run with, and of mdacore only what a test installs.

Nothing is downloaded: wheels are built from the checkout, and a library is the one that is installed for the tests. The
checkout itself cannot be seen from such an environment.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from .programs import Certificate

ROOT = Path(__file__).resolve().parents[2]
FROM_CHECKOUT = ("core", "plugins/edge_smtp", "plugins/storage_shelve", "examples/third_party")
NOT_SHARED = re.compile(r"_?mdacore|_editable|__editable__|__pycache__|pip|rich|.*\.pth$")
"""Also what would change what a reader sees: pytest's plugins do not, rich's tracebacks in structlog's lines do."""
PATIENCE_S = 180.0


@attrs.frozen
class Served:
    """A service that runs in a process of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, event: str) -> str:
        """The first line of the log in which this event stands."""
        number = self.wait_for_line(f".*{re.escape(event)}.*")
        return self.log.read_text().splitlines()[number - 1]

    def wait_for_line(self, pattern: str, *, after: int = 0) -> int:
        """Wait for a whole line like this behind the first `after` lines; gives how many lines there are up to it."""
        ends_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends_at and self.process.poll() is None:
            for number, line in enumerate(self.log.read_text().splitlines()[after:], after + 1):
                if re.fullmatch(pattern, line):
                    return number
            time.sleep(0.02)  # another process's progress
        raise AssertionError(f"no line {pattern!r} behind line {after} of:\n{self.log.read_text()}")

    def port(self) -> int:
        """Where its first edge listens, once it does."""
        return int(re.findall(r"127\.0\.0\.1:([0-9]+)", self.wait_for("service.started"))[0])

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Have it end well; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@attrs.frozen
class Environment:
    """A virtual environment."""

    path: Path

    def variables(self) -> dict[str, str]:
        """As in a shell after ``. bin/activate``."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MDACORE", "PYTHON"))}
        found_by = {"PATH": f"{self.path / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(self.path)}
        pip = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # no download; "0" means that there is no isolation
        return kept | found_by | pip | {"PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, *command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end."""
        argv = [self.path / "bin" / command[0], *command[1:]]
        folder = cwd or self.path
        return subprocess.run(
            argv, capture_output=True, text=True, cwd=folder, env=self.variables(), timeout=PATIENCE_S
        )

    def check(self, *command: str | Path, cwd: Path | None = None) -> str:
        """Run a program that has to succeed; gives its output."""
        done = self.run(*command, cwd=cwd)
        assert 0 == done.returncode, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def serving(self, *command: str, log: Path, cwd: Path | None = None, **variables: str) -> Iterator[Served]:
        """``mdacore run``, or whatever command serves, until the end of the block."""
        argv = [self.path / "bin" / command[0], *command[1:]]
        with log.open("wb") as file:
            process = subprocess.Popen(
                argv, stdout=file, stderr=file, cwd=cwd or self.path, env=self.variables() | variables
            )
        try:
            yield Served(process, log)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def pip() -> list[str | Path]:
    """A pip that works on environments: this environment's, or that of the Python that it was made with."""
    for python in (sys.executable, Path(sys.base_prefix, "bin/python3")):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            return [python, "-m", "pip", "--disable-pip-version-check"]
    raise AssertionError("no pip: neither in this environment nor in the Python that it was made with")


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with links to all that is installed for the tests, but for what is mdacore's."""
    folder = tmp_path_factory.mktemp("libraries")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not NOT_SHARED.match(entry.name):
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory, pip: list[str | Path], libraries: Path) -> Path:
    """A folder with the wheels of core, of two plugins and of the stranger's."""
    folder = tmp_path_factory.mktemp("wheels")
    options = ["wheel", "-q", "--no-index", "--no-deps", "--no-build-isolation", "-w", folder]
    subprocess.run([*pip, *options, *(ROOT / name for name in FROM_CHECKOUT)], check=True, timeout=PATIENCE_S * 2)
    return folder


NewEnvironment = Callable[..., Environment]


@pytest.fixture
def new_environment(pip: list[str | Path], libraries: Path, wheels: Path) -> NewEnvironment:
    """Makes an environment at a path, with pip, pytest, and these of the wheels installed."""

    def make(path: Path, *distributions: str) -> Environment:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True, timeout=PATIENCE_S)
        packages = path / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        (packages / "libraries.pth").write_text(f"{libraries}\n")
        _add_program(path / "bin/pip", f'exec {" ".join(map(str, pip))} --python {path}/bin/python "$@"')
        _add_program(path / "bin/pytest", f'exec {path}/bin/python -m pytest "$@"')
        environment = Environment(path)
        if distributions:
            environment.check("pip", "install", "-q", "--find-links", wheels, *distributions)
        return environment

    return make


def _add_program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """Of a server on this machine."""
    return Certificate.made_in(tmp_path)
