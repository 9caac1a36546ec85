"""The root: made durably or not at all, and never one that others may write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mdacore_relay_maildir.walk import UnsafeFolder, make_root


class TestMakeRoot:
    def test_missing_parents_are_made_and_synced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        synced: list[Path] = []
        monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink()))

        make_root(tmp_path / "a/b")

        assert [tmp_path, tmp_path / "a"] == synced
        assert 0o700 == stat.S_IMODE((tmp_path / "a/b").stat().st_mode)

    def test_failure_leaves_nothing_behind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(_fd: int) -> None:
            raise OSError(5, "the disk says no")

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="says no"):
            make_root(tmp_path / "a/b")

        assert [] == list(tmp_path.iterdir())

    def test_root_that_everybody_may_write_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "root").mkdir()
        (tmp_path / "root").chmod(0o777)

        with pytest.raises(UnsafeFolder):
            make_root(tmp_path / "root")

    def test_root_that_is_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "root").write_text("")

        with pytest.raises(NotADirectoryError):
            make_root(tmp_path / "root")
