"""StateFolder: it is the service's, and nothing else becomes the service's."""

from __future__ import annotations

import os
import stat

import pytest

from mdacore.assembly.config import ServiceKeys
from mdacore.assembly.identity import find_identity
from mdacore.service.state_folder import StateFolder


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_for_its_owner_alone(tmp_path):
    StateFolder(tmp_path / "state", None).start()

    assert 0o700 == mode_of(tmp_path / "state")


def test_what_is_missing_above_it_can_be_entered_whatever_the_umask(tmp_path):
    umask = os.umask(0o077)
    try:
        StateFolder(tmp_path / "a" / "b" / "state", None).start()
        assert 0o077 == os.umask(umask)
    finally:
        os.umask(umask)

    assert [0o755, 0o755, 0o700] == [mode_of(tmp_path / path) for path in ("a", "a/b", "a/b/state")]


@pytest.mark.usefixtures("root")
def test_made_by_root_it_belongs_to_the_user_and_what_is_above_it_to_root(tmp_path, nobody):
    StateFolder(tmp_path / "a" / "state", find_identity(ServiceKeys(user="nobody"))).start()

    assert (nobody.pw_uid, nobody.pw_gid) == (
        (tmp_path / "a/state").stat().st_uid,
        (tmp_path / "a/state").stat().st_gid,
    )
    assert 0 == (tmp_path / "a").stat().st_uid


@pytest.mark.usefixtures("root")
def test_one_that_is_there_is_left_as_it_is(tmp_path):
    tmp_path.chmod(0o750)

    StateFolder(tmp_path, find_identity(ServiceKeys(user="nobody"))).start()

    assert (0, 0o750) == (tmp_path.stat().st_uid, mode_of(tmp_path))


def test_what_was_made_and_is_still_empty_at_the_end_is_removed(tmp_path):
    folder = StateFolder(tmp_path / "a" / "state", None)
    folder.start()

    folder.stop()

    assert [] == list(tmp_path.iterdir())


def test_what_holds_something_at_the_end_stays(tmp_path):
    folder = StateFolder(tmp_path / "a" / "state", None)
    folder.start()
    (tmp_path / "a/state/spool").mkdir()

    folder.stop()

    assert (tmp_path / "a/state/spool").is_dir()


def test_one_that_was_there_stays_though_it_is_empty(tmp_path):
    folder = StateFolder(tmp_path, None)
    folder.start()

    folder.stop()

    assert tmp_path.is_dir()
