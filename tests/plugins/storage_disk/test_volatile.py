"""The file system that forgets: what is synced stays, and everything else may come out in any way."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdacore_storage_disk.testing import VolatileFs

FOLDER = Path("/folder")
FILE = FOLDER / "file"


@pytest.fixture
def fs():
    fs = VolatileFs()
    fs.mkdir(FOLDER)
    fs.sync_folder(Path("/"))
    return fs


def write(fs, path, data, *, offset=0, is_synced=False):
    fd = fs.create(path) if path.name not in fs.names(path.parent) else fs.open(path, is_writable=True)
    fs.write(fd, data, offset)
    if is_synced:
        fs.sync(fd)
    fs.close(fd)


def data_of(fs, path):
    fd = fs.open(path)
    return fs.read(fd, 1000, 0)


def outcomes(fs, at_most=1000):
    """Every state that a loss of power may leave: names with their octets."""
    states = set()
    for left in fs.crashed(at_most=at_most, seed=0):
        names = left.names(FOLDER) if "folder" in left.names(Path("/")) else ["no folder"]
        states.add(tuple(sorted((name, data_of(left, FOLDER / name)) for name in names)))
    return states


class TestCrash:
    def test_synced_octets_under_a_synced_name_stay(self, fs):
        write(fs, FILE, b"data", is_synced=True)
        fs.sync_folder(FOLDER)

        assert {(("file", b"data"),)} == outcomes(fs)

    def test_a_name_that_was_not_synced_may_be_missing(self, fs):
        write(fs, FILE, b"data", is_synced=True)

        assert {(), (("file", b"data"),)} == outcomes(fs)

    def test_octets_that_were_not_synced_may_be_missing_cut_or_zeros(self, fs):
        write(fs, FILE, b"", is_synced=True)
        fs.sync_folder(FOLDER)
        write(fs, FILE, b"data")

        found = {dict(state)["file"] for state in outcomes(fs)}

        assert {b"", b"da", b"da\0\0", b"\0\0ta", b"\0\0\0\0", b"data"} <= found

    def test_of_two_writes_the_second_may_be_there_alone(self, fs):
        write(fs, FILE, b"....", is_synced=True)
        fs.sync_folder(FOLDER)
        write(fs, FILE, b"ab")
        write(fs, FILE, b"cd", offset=2)

        assert (("file", b"..cd"),) in outcomes(fs)

    def test_of_a_rename_each_name_comes_out_by_itself(self, fs):
        write(fs, FILE, b"data", is_synced=True)
        fs.sync_folder(FOLDER)
        fs.rename(FILE, FOLDER / "new")

        both, old, new, neither = (("file", b"data"), ("new", b"data")), (("file", b"data"),), (("new", b"data"),), ()
        assert {both, old, new, neither} == outcomes(fs)

    def test_a_removed_name_may_come_back_until_its_folder_is_synced(self, fs):
        write(fs, FILE, b"data", is_synced=True)
        fs.sync_folder(FOLDER)
        fs.unlink(FILE)
        assert {(), (("file", b"data"),)} == outcomes(fs)

        fs.sync_folder(FOLDER)

        assert {()} == outcomes(fs)

    def test_of_too_many_states_as_many_are_tried_as_were_asked_for(self, fs):
        for number in range(20):
            write(fs, FOLDER / str(number), b"data")

        assert 50 == len(list(fs.crashed(at_most=50, seed=1)))

    def test_the_same_seed_gives_the_same_states(self, fs):
        for number in range(10):
            write(fs, FOLDER / str(number), b"data")

        assert outcomes(fs, at_most=30) == outcomes(fs, at_most=30)

    def test_what_is_left_is_a_file_system_of_its_own(self, fs):
        left = next(fs.crashed(at_most=1, seed=0))
        write(left, FILE, b"data", is_synced=True)

        assert [] == fs.names(FOLDER)


class TestKill:
    def test_everything_is_there_and_no_more_durable_than_before(self, fs):
        write(fs, FILE, b"data")

        killed = fs.killed()

        assert b"data" == data_of(killed, FILE)
        assert () in outcomes(killed)

    def test_sync_all_makes_it_durable(self, fs):
        write(fs, FILE, b"data")
        killed = fs.killed()

        killed.sync_all()

        assert {(("file", b"data"),)} == outcomes(killed)


class TestIgnored:
    def test_a_sync_that_is_ignored_does_nothing_and_says_nothing(self, fs):
        fs.ignored = {len(fs.syncs)}

        write(fs, FILE, b"data", is_synced=True)
        fs.sync_folder(FOLDER)

        assert (("file", b""),) in outcomes(fs)
