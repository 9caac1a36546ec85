"""python-slimta as a target, in an environment of its own.

Its shelves lie in gdbm, the one of Python's databases that can be told to sync, so it is run by a Python that has it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from mdabench import environments
from mdabench.load import BENCH, Unavailable
from mdabench.server import Target

NEEDS = "import dbm.gnu, venv"


class Slimta(Target):
    """`workers/slimta_mda.py`: its edge, its queue over two shelves that are synced for each message, its blackhole."""

    name = "slimta"
    keeps = "the message, synced: a sync of each of its two shelves"

    def need(self) -> None:
        environments.python_of(self.name, _python_with_gdbm())

    def version(self) -> str:
        pinned = (BENCH / "requirements" / "slimta.txt").read_text().splitlines()
        return next(line for line in pinned if line.startswith("python-slimta")).replace("==", " ")

    def command(self, data: Path, port: int) -> list[str]:
        python = environments.python_of(self.name, _python_with_gdbm())
        return [str(python), str(BENCH / "workers" / "slimta_mda.py"), str(port), str(data)]


def _python_with_gdbm() -> str:
    """This Python, or the system's. Raises Unavailable."""
    for python in (sys.executable, "/usr/bin/python3"):
        if shutil.which(python) and subprocess.run([python, "-c", NEEDS], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    raise Unavailable("slimta's shelves need a Python with gdbm: apt-get install python3 python3-gdbm")
