"""Environments of their own for peers in Python: made at first use from pinned versions, and kept.

What a peer needs can then neither fail nor change what is measured beside it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from mdabench.load import BENCH, BUILD, Unavailable

INSTALL_LIMIT_S = 300.0


def python_of(name: str, base: str = sys.executable) -> Path:
    """The interpreter of the environment with what ``requirements/<name>.txt`` says. Raises Unavailable.

    It is made from the interpreter `base`: another one where the peer needs what ours does not have.
    """
    requirements = BENCH / "requirements" / f"{name}.txt"
    key = hashlib.sha256(requirements.read_bytes() + f"{sys.version} {sys.prefix} {base}".encode()).hexdigest()[:12]
    folder = BUILD / f"{name}-{key}"
    if not folder.exists():
        _make(folder, requirements, base)
    return folder / "bin" / "python"


def _make(folder: Path, requirements: Path, base: str) -> None:
    """Make it beside its place and move it there, whole; somebody else may be making it, too."""
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        _run([base, "-m", "venv", "--without-pip", str(unfinished)])
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(unfinished / "bin/python")]
        _run([*pip, "install", "-qq", "--no-deps", "-r", str(requirements)])
        with suppress(OSError):  # it is there already
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(command)} failed: {error.stderr.strip()[-500:]}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(command)} has not ended in {INSTALL_LIMIT_S:g} s") from None
