"""What tests of the process itself need: root's rights, folders that other users may enter, processes to look at."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE_S = 120.0
PATCHED = "from gevent import monkey; monkey.patch_all()\n"


@pytest.fixture
def root() -> None:
    """The test needs root's rights; without them it is left out, which CI forbids."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture
def nobody() -> pwd.struct_passwd:
    """A user to become, and how the system knows it."""
    return pwd.getpwnam("nobody")


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A short path that other users may enter, unlike `tmp_path`."""
    path = Path(tempfile.mkdtemp(prefix="mdacore-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def run_script() -> Callable[..., list[str]]:
    """Run Python code in a process of its own, patched as a service is; gives the lines that it printed."""

    def run(code: str, *arguments: object) -> list[str]:
        command = [sys.executable, "-c", PATCHED + code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, cwd="/")
        assert 0 == done.returncode, done.stderr
        return done.stdout.splitlines()

    return run


OPEN = """
mount --bind "$1" "$2" && mount -t tmpfs -o mode=755 none "$1" || exit
for folder in $(cd "$2" && ls -A); do
    [ ! -d "$2/$folder" ] || { mkdir "$1/$folder" && mount --bind "$2/$folder" "$1/$folder"; } || exit
done
shift 2
exec "$@"
"""


@pytest.fixture
def opened(root: None, public_folder: Path) -> list[str]:
    """What to put before a command so that other users can read our Python.

    That of a developer may be below a home folder that is closed to them: the command then gets a view of the file
    system of its own, in which the home folder is open. Nothing changes for anybody else.
    """
    closed = [folder for folder in Path(os.__file__).parents if not folder.stat().st_mode & 0o001]
    if not closed:
        return []
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, or a Python that others can read")
    (public_folder / "hold").mkdir()
    return ["unshare", "--mount", "sh", "-c", OPEN, "open", str(closed[-1]), str(public_folder / "hold")]


def wait_until(condition: Callable[[], object], what: str = "it") -> None:
    """Let other processes go on until something is true."""
    ends_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_at, f"{what} did not happen in {PATIENCE_S} s"
        time.sleep(0.01)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until
