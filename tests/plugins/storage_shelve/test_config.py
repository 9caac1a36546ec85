"""The configuration: what can be wrong with it is said before anything starts, and nothing is touched."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest

from mdacore import API_VERSION
from mdacore_storage_shelve import ShelveConfig, ShelveStorage, mdacore_storages
from mdacore_storage_shelve.config import check


class TestProvider:
    def test_it_offers_one_kind_which_is_the_default(self):
        (provider,) = mdacore_storages()

        assert ("shelve", True, API_VERSION) == (provider.kind, provider.default, provider.api)
        assert (ShelveConfig, check) == (provider.config, provider.check)

    def test_building_touches_nothing(self, context):
        (provider,) = mdacore_storages()

        assert isinstance(provider.build(ShelveConfig(), context), ShelveStorage)

        assert not context.state_path.exists()


class TestDefaults:
    def test_case_066_the_low_water_mark_is_two_of_the_largest_messages_and_64_mb(self):
        """Case 66."""
        assert 2 * 50 * 2**20 + 64_000_000 == ShelveConfig().min_free_bytes

    def test_the_store_is_under_the_state_folder(self, context):
        storage = ShelveStorage(ShelveConfig(), context)

        assert context.state_path / "spool" / "spool" == storage.spool_path

    @pytest.mark.parametrize("config", [{"min_free_bytes": -1}, {"wal_max_bytes": 0}])
    def test_an_impossible_size_is_refused(self, config):
        with pytest.raises(ValueError):
            ShelveConfig(**config)

    def test_every_key_has_its_help(self):
        assert all(field.metadata["help"].endswith(".") for field in attrs.fields(ShelveConfig))


class TestCheck:
    def problems(self, context, path="spool"):
        return [str(problem) for problem in check(ShelveConfig(path=Path(path)), context)]

    def test_a_folder_that_can_be_made_is_none(self, context):
        assert [] == self.problems(context)
        assert not context.state_path.exists()

    def test_a_store_that_is_there_is_none(self, context, storage):
        assert [] == self.problems(context)

    def test_a_file_in_its_place(self, context):
        context.state_path.mkdir()
        (context.state_path / "spool").touch()

        (problem,) = self.problems(context)

        assert problem == f"path: {context.state_path}/spool exists and is not a folder"

    def test_a_file_where_a_parent_should_be(self, context, tmp_path):
        (tmp_path / "state").touch()

        (problem,) = self.problems(context)

        assert problem.endswith(f"cannot be made: {tmp_path}/state is not a folder")

    def test_a_parent_that_is_not_writable(self, context, tmp_path, monkeypatch):
        """The answer of access is faked: root may do everything."""
        monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)

        (problem,) = self.problems(context)

        assert problem.endswith(f"cannot be made: {tmp_path} is not writable for this user")

    def test_a_store_that_is_not_writable(self, context, path, monkeypatch):
        path.mkdir(parents=True)
        monkeypatch.setattr(os, "access", lambda *_: False)

        (problem,) = self.problems(context)

        assert problem == f"path: {path} is not readable and writable for this user"
