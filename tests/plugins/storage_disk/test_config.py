"""The configuration: what can be known before anything is touched."""

from __future__ import annotations

import os

import pytest

from mdacore import SizeBytes
from mdacore_storage_disk.config import DiskConfig, check


class TestDiskConfig:
    @pytest.mark.parametrize(
        "wrong", [{"min_free_bytes": SizeBytes(-1)}, {"parallel_syncs": 0}, {"parallel_syncs": 257}]
    )
    def test_a_wrong_value_is_refused(self, wrong):
        with pytest.raises(ValueError):
            DiskConfig(**wrong)


class TestCheck:
    def test_a_folder_that_can_be_made_is_fine_and_is_not_made(self, context, path):
        assert [] == list(check(DiskConfig(), context))
        assert not path.exists()

    def test_a_file_in_its_place_is_a_problem(self, context, path):
        path.parent.mkdir()
        path.touch()

        assert ["path"] == [problem.key for problem in check(DiskConfig(), context)]

    def test_a_file_above_it_is_a_problem(self, context, path):
        path.parent.touch()

        assert ["path"] == [problem.key for problem in check(DiskConfig(), context)]

    @pytest.mark.parametrize("is_there", [False, True])
    def test_one_that_may_not_be_written_is_a_problem(self, context, path, monkeypatch, is_there):
        """Asked of the system: root may write everywhere, so it answers for the test."""
        if is_there:
            path.mkdir(parents=True)
        monkeypatch.setattr(os, "access", lambda *_: False)

        (problem,) = check(DiskConfig(), context)

        assert "path" == problem.key
        assert "for this user" in problem.text
