"""Where the state folder is, and whether it could be."""

import os
from pathlib import Path

import pytest

from mdacore.assembly.state import check_state_path, find_state_path
from mdacore.assembly.tree import Report


@pytest.fixture(params=["root", "user"])
def user(request, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0 if request.param == "root" else 1000)
    return request.param


class TestFindStatePath:
    def test_what_is_given_wins_and_is_made_absolute(self, user, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        assert (tmp_path / "x", "--state") == find_state_path("x", {"STATE_DIRECTORY": "/a"})

    def test_then_comes_the_first_folder_of_systemd(self, user):
        assert (Path("/a"), "STATE_DIRECTORY") == find_state_path(None, {"STATE_DIRECTORY": "/a:/b", "HOME": "/h"})

    def test_then_root_has_a_place_of_its_own(self, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 0)

        assert (Path("/var/lib/mdacore"), "") == find_state_path(None, {"XDG_STATE_HOME": "/x"})

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, (Path("/x/mdacore"), "XDG_STATE_HOME")),
            ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, (Path("/h/.local/state/mdacore"), "")),
            ({"STATE_DIRECTORY": "", "HOME": "/h"}, (Path("/h/.local/state/mdacore"), "")),
        ],
    )
    def test_then_others_have_theirs_at_home(self, environ, expected, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)

        assert expected == find_state_path(None, environ)


def problems_of(path):
    report = Report()
    check_state_path(path, "--state", report)
    return [str(problem) for problem in report.problems]


class TestCheckStatePath:
    def test_folder_that_could_be_made_is_fine_and_is_not_made(self, tmp_path):
        assert [] == problems_of(tmp_path / "a/b")
        assert [] == list(tmp_path.iterdir())

    def test_file_in_the_way_is_a_problem(self, tmp_path):
        (tmp_path / "a").write_text("")

        assert [f"--state: state folder {tmp_path}/a/b: {tmp_path}/a is not a folder"] == problems_of(tmp_path / "a/b")

    def test_dangling_link_in_the_way_is_a_problem(self, tmp_path):
        (tmp_path / "a").symlink_to("nowhere")

        assert [f"--state: state folder {tmp_path}/a: {tmp_path}/a is not a folder"] == problems_of(tmp_path / "a")

    def test_folder_that_may_not_be_written_is_a_problem(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere

        assert [f"--state: state folder {tmp_path}/a: {tmp_path} is not writable"] == problems_of(tmp_path / "a")
