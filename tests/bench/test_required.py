"""The requirements: each is about something that is measured."""

from __future__ import annotations

from collections.abc import Sequence

import accept
import backlog
import edge
import lda
import maildir
import pytest
import storage
from mdabench import environments, slimta
from mdabench.load import Unavailable
from required import REQUIRED, Bounded, Required

MEASUREMENTS = (accept.ACCEPT, backlog.BACKLOG, edge.EDGE, lda.LDA, maildir.MAILDIR, storage.STORAGE)


def measured_by(one: Required | Bounded) -> Sequence[str]:
    return [each.name for each in MEASUREMENTS if one.case in each.cases and one.targets <= set(each.targets)]


class TestRequired:
    @pytest.mark.parametrize("one", REQUIRED, ids=str)
    def test_requirement_belongs_to_one_measurement(self, one: Required | Bounded) -> None:
        """A misspelt case or target would never be checked."""
        assert 1 == len(measured_by(one))


class TestSlimta:
    def test_python_without_gdbm_is_named_with_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(slimta, "NEEDS", "import nothing_of_this_name")

        with pytest.raises(Unavailable, match="apt-get install python3 python3-gdbm"):
            slimta.Slimta().need()

    def test_environment_that_cannot_be_made_is_unavailable(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        monkeypatch.setattr(slimta, "NEEDS", "import sys")
        monkeypatch.setattr(environments, "BUILD", tmp_path_factory.mktemp("build"))
        monkeypatch.setenv("PIP_NO_INDEX", "1")  # as without a network

        with pytest.raises(Unavailable, match="No matching distribution"):
            slimta.Slimta().need()

    def test_version_is_the_pinned_one(self) -> None:
        assert slimta.Slimta().version().startswith("python-slimta ")
