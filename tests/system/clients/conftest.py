"""One server for all clients, and a mailbox of its own for each test."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..conftest import Service
from .server import Server, install_witness


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    """1, 2, 3 and so on."""
    return itertools.count(1)


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path fits into a UNIX socket's, and that servers under other users can enter."""
    folder = Path(tempfile.mkdtemp(prefix="mda-clients-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_folder(short_folder: Path, numbers: Iterator[int]) -> Callable[[str], Path]:
    """Make another one in there."""

    def make(name: str) -> Path:
        folder = short_folder / f"{name}{next(numbers)}"
        folder.mkdir()
        return folder

    return make


@pytest.fixture(scope="session")
def server(new_folder: Callable[[str], Path]) -> Iterator[Server]:
    """Started with the first test that wants it, ended with the last."""
    folder = new_folder("server")
    server = Server(Service(folder))
    try:
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("PYTHONPATH", str(install_witness(folder)))
            monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
            server.start()
        yield server
        assert 0 == server.service.terminate()
    finally:
        if server.service.process is not None and server.service.process.poll() is None:
            server.service.kill()


@pytest.fixture
def user(numbers: Iterator[int]) -> str:
    """The local part of an address that nobody else writes to."""
    return f"user{next(numbers)}"
