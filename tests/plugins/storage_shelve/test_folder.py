"""The folder of a store: made whole, or refused."""

from __future__ import annotations

import uuid

import pytest

from mdacore import StorageError
from mdacore_storage_shelve.folder import Folder
from mdacore_storage_shelve.store import Store


def tree(path):
    """Every file with its octets."""
    return {str(p.relative_to(path)): p.read_bytes() if p.is_file() else None for p in path.rglob("*")}


@pytest.fixture
def folder(path):
    return Folder(path)


def make(folder):
    folder.make()
    return folder.prepare()


class TestNewStore:
    def test_case_069_a_missing_folder_is_made_with_its_parents(self, folder):
        store_id = make(folder)

        assert store_id == folder.read_marker()
        assert folder.database.is_file()

    def test_what_is_in_it_is_the_owners_alone(self, path):
        Store.open(path).close()

        folder = Folder(path)
        assert {0o700} == {p.stat().st_mode & 0o777 for p in (folder.path, folder.bodies, folder.spool)}
        assert {0o600} == {p.stat().st_mode & 0o777 for p in (folder.database, folder.marker, folder.lock)}

    def test_the_logs_of_the_database_are_the_owners_alone(self, store):
        logs = [p for p in store.folder.path.iterdir() if p.name.startswith("queue.db-")]

        assert [0o600, 0o600] == [p.stat().st_mode & 0o777 for p in logs]

    @pytest.mark.parametrize("names", [[], ["lost+found"]])
    def test_case_069_an_empty_folder_becomes_a_store_only_where_the_operator_says_so(self, folder, names):
        """Its file system may not be mounted: a store in the mount point would be hidden by the mount."""
        folder.path.mkdir(parents=True)
        for name in names:
            (folder.path / name).mkdir()

        with pytest.raises(StorageError, match=r"mounted.*`mdacore run --init-spool`"):
            Store.open(folder.path)
        assert sorted(names) == sorted(p.name for p in folder.path.iterdir())
        Store.open(folder.path, may_init=True).close()

        Store.open(folder.path).close()

    def test_case_069_what_stands_where_the_folder_is_made_is_left_alone(self, folder):
        new = folder.path.with_name("spool.new")
        new.mkdir(parents=True)
        (new / "holiday.jpg").write_bytes(b"jpg")

        with pytest.raises(StorageError, match=r"spool.new is in the way"):
            Store.open(folder.path)

        assert {"holiday.jpg": b"jpg"} == tree(new)
        assert not folder.path.exists()

    def test_a_link_to_a_folder_is_as_good_as_the_folder(self, path, tmp_path):
        """The operator's way to put the store on another disk."""
        (tmp_path / "disk").mkdir()
        path.parent.mkdir()
        path.symlink_to(tmp_path / "disk", target_is_directory=True)

        Store.open(path, may_init=True).close()

        assert (tmp_path / "disk" / "queue.db").is_file()

    def test_case_069_a_folder_with_something_else_in_it_is_refused_and_left_alone(self, folder):
        """Perhaps the wrong file system is mounted there."""
        folder.path.mkdir(parents=True)
        (folder.path / "holiday.jpg").write_bytes(b"jpg")

        with pytest.raises(StorageError, match=r"'holiday.jpg' and no mdacore-store file.* mounted"):
            Store.open(folder.path)

        assert {"holiday.jpg": b"jpg"} == tree(folder.path)

    def test_a_file_in_its_place_is_refused(self, folder):
        folder.path.parent.mkdir(parents=True)
        folder.path.write_text("file")

        with pytest.raises(StorageError, match="cannot be used"):
            Store.open(folder.path)

        assert "file" == folder.path.read_text()


class TestUnfinishedStore:
    """A store that was being made when the process died holds nothing, and is made anew."""

    def test_a_part_of_a_database_is_no_store(self, folder):
        folder.make()
        folder.lock.touch()
        folder.new_database.write_bytes(b"SQLite for")
        folder.marker.with_name("mdacore-store.new").write_bytes(b"md")

        store_id = make(folder)

        assert store_id == folder.read_marker()
        assert folder.database.is_file()
        assert not folder.new_database.exists()

    def test_a_marked_store_whose_database_has_its_first_name_is_finished(self, folder):
        store_id = make(folder)
        folder.database.rename(folder.new_database)

        assert store_id == make(folder)

        assert folder.database.is_file()

    def test_every_prefix_of_the_making_leads_to_a_store(self, folder, monkeypatch):
        """The process dies at the n-th change of the folder, for each n."""
        for dies_at in range(1, 100):
            changes = 0

            def change(original, dies_at=dies_at):
                def wrapped(*args, **kwargs):
                    nonlocal changes
                    changes += 1
                    if changes == dies_at:
                        raise KeyboardInterrupt
                    return original(*args, **kwargs)

                return wrapped

            with monkeypatch.context() as patch:
                for name in ("mkdir", "rename", "touch"):
                    patch.setattr(f"pathlib.Path.{name}", change(getattr(type(folder.path), name)))
                for name in ("open", "fsync"):
                    patch.setattr(f"os.{name}", change(getattr(__import__("os"), name)))
                try:
                    make(folder)
                except KeyboardInterrupt:
                    died = True
                else:
                    died = False
            make(folder)
            if not died:
                assert dies_at > 10
                return
            for file in sorted(folder.path.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            folder.path.rmdir()
        pytest.fail("the making never ended")


class TestOldStore:
    def test_case_068_a_missing_database_is_refused_and_not_made_anew(self, folder):
        make(folder)
        folder.database.unlink()

        with pytest.raises(StorageError, match=r"queue.db is missing"):
            Store.open(folder.path)

        assert not folder.database.exists()

    @pytest.mark.parametrize("text", ["", "mdacore shelve store\n", "garbage", "mdacore shelve store\n\x00\n"])
    def test_case_068_a_damaged_marker_is_refused(self, folder, text):
        make(folder)
        folder.marker.write_text(text)

        with pytest.raises(StorageError, match=r"damaged.*`mdacore queue recover`"):
            Store.open(folder.path)

        assert text == folder.marker.read_text()

    def test_the_spool_is_emptied(self, folder):
        make(folder)
        (folder.spool / "sub").mkdir()
        (folder.spool / "left").write_bytes(b"over")

        make(folder)

        assert [] == list(folder.spool.iterdir())

    def test_a_spool_that_is_a_link_is_refused_and_its_target_left_alone(self, folder, tmp_path):
        make(folder)
        folder.spool.rmdir()
        folder.spool.symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "precious").touch()

        with pytest.raises(StorageError):
            Store.open(folder.path)

        assert (tmp_path / "precious").exists()


class TestReadMarker:
    def test_without_a_store_it_says_so(self, folder):
        with pytest.raises(StorageError, match="there is no store"):
            folder.read_marker()

    def test_it_is_the_stores_uuid(self, store):
        assert isinstance(store.folder.read_marker(), uuid.UUID)
        assert store.store_id == store.folder.read_marker()
