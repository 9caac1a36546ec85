"""Cases 68, 69 and 78: the folder of a store is made whole, or refused; what is refused stays as it is."""

from __future__ import annotations

import zlib

import pytest

from mdacore import StorageError
from mdacore.testing.storage_samples import listed, new
from mdacore_storage_disk.folder import Folder, shard_of
from mdacore_storage_disk.fs import RealFs
from mdacore_storage_disk.store import Store


def tree(path):
    return {str(p.relative_to(path)): p.read_bytes() if p.is_file() else None for p in path.rglob("*")}


@pytest.fixture
def made(path):
    """The folder of a store that nobody has open."""
    Store.open(path, RealFs()).close()
    return path


def refused(path, match):
    before = {name: data for name, data in tree(path).items() if name != "lock"}
    with pytest.raises(StorageError, match=match):
        Store.open(path, RealFs())
    assert before == {name: data for name, data in tree(path).items() if name != "lock"}


class TestNewStore:
    def test_case_069_a_missing_folder_is_made_with_its_parents(self, made):
        assert (made / "mdacore-store").is_file()

    @pytest.mark.parametrize("names", [[], ["lost+found"]])
    def test_case_069_an_empty_folder_becomes_a_store_only_where_the_operator_says_so(self, path, names):
        """Its file system may not be mounted: a store in the mount point would be hidden by the mount."""
        path.mkdir(parents=True)
        for name in names:
            (path / name).mkdir()

        with pytest.raises(StorageError, match=r"mounted.*`mdacore run --init-spool`"):
            Store.open(path, RealFs())
        assert sorted(names) == sorted(p.name for p in path.iterdir())
        Store.open(path, RealFs(), may_init=True).close()

        Store.open(path, RealFs()).close()

    def test_case_069_a_folder_with_something_else_in_it_is_refused_and_left_alone(self, path):
        """Perhaps the wrong file system is mounted there."""
        path.mkdir(parents=True)
        (path / "holiday.jpg").write_bytes(b"jpg")

        refused(path, r"'holiday.jpg' and no mdacore-store file.* mounted")

    def test_one_with_mail_and_no_marker_is_refused(self, made):
        (made / "messages" / "00" / "x.msg").write_text("mail")
        (made / "mdacore-store").unlink()

        refused(made, "'messages/00/x.msg' and no mdacore-store")

    def test_one_that_was_being_made_when_the_process_died_is_made_anew(self, made):
        (made / "mdacore-store").rename(made / "mdacore-store.new")

        Store.open(made, RealFs()).close()

        assert (made / "mdacore-store").is_file()

    def test_a_file_in_its_place_is_refused(self, path):
        path.parent.mkdir(parents=True)
        path.write_text("file")

        with pytest.raises(StorageError, match="cannot be opened"):
            Store.open(path, RealFs())

        assert "file" == path.read_text()


class TestOldStore:
    @pytest.mark.parametrize(
        "text",
        ["", "garbage", "mdacore shelve store\n1234\n", "mdacore disk store\nformat 1\n", "mdacore disk store\n"],
    )
    def test_case_068_a_damaged_or_foreign_marker_is_refused(self, made, text):
        (made / "mdacore-store").write_text(text)

        refused(made, "damaged or another storage's")

    def test_case_078_what_a_later_version_wrote_is_refused(self, made):
        marker = made / "mdacore-store"
        marker.write_text(marker.read_text().replace("format 1", "format 2"))

        refused(made, "written by a newer version .format 2; this one knows 1")

    @pytest.mark.parametrize("text", [None, "", "17\n", "17 00000000\n", "-1 12345678\n"])
    def test_case_068_without_the_next_number_it_is_refused(self, made, text):
        """Else ids would be given twice."""
        number = made / "next-number"
        number.unlink()
        if text is not None:
            number.write_text(text)

        refused(made, "next-number is missing or damaged")

    @pytest.mark.parametrize("name", ["messages/1f", "tmp", "corrupt"])
    def test_case_068_without_one_of_its_folders_it_is_refused(self, made, name):
        (made / name).rmdir()

        refused(made, "is missing or no folder")

    def test_the_spool_is_emptied(self, made):
        (made / "spool" / "left").write_bytes(b"over")

        Store.open(made, RealFs()).close()

        assert [] == list((made / "spool").iterdir())

    def test_a_spool_that_is_a_link_is_refused_and_its_target_left_alone(self, made, tmp_path):
        (made / "spool").rmdir()
        (made / "spool").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "precious").touch()

        with pytest.raises(StorageError):
            Store.open(made, RealFs())

        assert (tmp_path / "precious").exists()

    def test_after_a_refusal_the_lock_is_free(self, made):
        marker = (made / "mdacore-store").read_text()
        (made / "mdacore-store").write_text("")
        refused(made, "damaged")
        (made / "mdacore-store").write_text(marker)

        Store.open(made, RealFs()).close()


class TestReadme:
    def test_the_command_for_a_lost_next_number_works(self, made, open_storage, clock):
        digits = b"1000000"
        (made / "next-number").write_text(f"{digits.decode()} {zlib.crc32(digits):08x}\n")

        storage = open_storage()
        storage.write([new(clock)], queue="main")

        assert 1 == len(listed(storage))


class TestShardOf:
    def test_acceptances_that_follow_each_other_share_a_folder(self):
        assert 1 == len({shard_of(number) for number in range(4096)})
        assert 64 == len({shard_of(number) for number in range(0, 64 * 4096, 4096)})
        assert shard_of(0) == shard_of(64 * 4096)


class TestReserveNumbers:
    def test_none_is_reserved_twice(self, made):
        folder = Folder(made, RealFs())

        first, second = folder.reserve_numbers(10), folder.reserve_numbers(10)

        assert set() == set(first) & set(second)
