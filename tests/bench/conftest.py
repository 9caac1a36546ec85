"""The benchmark is scripts, not a distribution: its folder goes on the path for the tests beside this file."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A short path that other users may enter, unlike `tmp_path`; sockets have 107 bytes for theirs."""
    with tempfile.TemporaryDirectory(prefix="mda-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder, "data")
        data.mkdir(mode=0o755)
        yield data
