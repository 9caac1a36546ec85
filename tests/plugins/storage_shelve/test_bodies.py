"""Files of large bodies: there before a row names them, gone after the last one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mdacore import FileBody, StorageError
from mdacore_storage_shelve.bodies import ORPHAN_AGE_S, BodyFiles


@pytest.fixture
def bodies(tmp_path):
    (tmp_path / "bodies").mkdir()
    return BodyFiles(tmp_path / "bodies")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "spooled"
    path.write_bytes(b"octets")
    return FileBody(path, 6)


class TestAdopt:
    def test_on_the_same_file_system_the_file_is_linked(self, bodies, source):
        bodies.adopt({26: source})

        assert source.path.samefile(bodies.path(26))
        assert source.path.exists()

    def test_from_another_file_system_it_is_copied(self, bodies):
        path = Path(f"/dev/shm/mdacore-{os.getpid()}")
        path.write_bytes(b"octets")
        try:
            if Path("/dev/shm").stat().st_dev == bodies.folder.stat().st_dev:
                pytest.skip("/dev/shm is on the same file system")
            bodies.adopt({1: FileBody(path, 6)})
        finally:
            path.unlink()

        assert b"octets" == bodies.path(1).read_bytes()
        assert 0o600 == bodies.path(1).stat().st_mode & 0o777

    @pytest.mark.parametrize("code", [errno.EPERM, errno.EMLINK])
    def test_what_may_not_be_linked_is_copied(self, bodies, source, monkeypatch, code):
        def refuse(*_, **__):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "link", refuse)

        bodies.adopt({1: source})

        assert b"octets" == bodies.path(1).read_bytes()
        assert not source.path.samefile(bodies.path(1))

    def test_file_and_folder_are_synced_in_this_order(self, bodies, source, monkeypatch):
        synced = []
        fsync = os.fsync

        def note(fd):
            synced.append(Path(f"/proc/self/fd/{fd}").readlink())
            fsync(fd)

        monkeypatch.setattr(os, "fsync", note)

        bodies.adopt({1: source})

        assert [bodies.path(1), bodies.folder] == synced

    def test_all_or_none(self, bodies, source, tmp_path):
        with pytest.raises(FileNotFoundError):
            bodies.adopt({1: source, 2: FileBody(tmp_path / "missing", 6)})

        assert [] == list(bodies.folder.iterdir())

    def test_a_file_of_another_length_is_refused(self, bodies, source):
        """It would be accepted now, and found to be cut when it is read."""
        with pytest.raises(StorageError, match="has 6 octets, not 7"):
            bodies.adopt({1: FileBody(source.path, 7)})

        assert [] == list(bodies.folder.iterdir())


class TestOrphans:
    def orphans(self, bodies, now, used=(), first_number=100):
        return sorted(bodies.orphans(first_number=first_number, now=now, is_used=lambda number: number in used))

    def test_what_a_row_names_is_none_whatever_its_age(self, bodies, source):
        bodies.adopt({1: source, 200: source})
        linked_at = bodies.path(1).stat().st_ctime

        assert [] == self.orphans(bodies, linked_at + 2 * ORPHAN_AGE_S, used={1, 200})

    def test_what_an_earlier_run_left_is_one_at_once(self, bodies, source):
        bodies.adopt({99: source, 100: source})

        assert [99] == self.orphans(bodies, bodies.path(99).stat().st_ctime)

    def test_of_this_run_only_what_is_old(self, bodies, source):
        """It may be waiting for its commit; the age is that of its link, not of its octets."""
        os.utime(source.path, (0, 0))
        bodies.adopt({100: source})
        linked_at = bodies.path(100).stat().st_ctime

        assert [] == self.orphans(bodies, linked_at + ORPHAN_AGE_S - 60)
        assert [100] == self.orphans(bodies, linked_at + ORPHAN_AGE_S + 60)

    @pytest.mark.parametrize("name", ["README", "0a", "A", "-1", "1.txt", " 1", "1_0"])
    def test_somebody_elses_file_is_left_alone(self, bodies, name):
        (bodies.folder / name).touch()

        assert [] == self.orphans(bodies, 1e12)

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/")])
    def test_what_is_no_file_is_left_alone(self, bodies, make):
        make(bodies.path(5))

        assert [] == self.orphans(bodies, 1e12)
