"""Drafts: seen by nobody before they are linked, and without a name wherever that can be."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from mdacore_relay_maildir.drafts import Drafts


@pytest.fixture
def box(tmp_path: Path) -> Path:
    for part in ("tmp", "new"):
        (tmp_path / part).mkdir()
    return tmp_path


@pytest.fixture
def folders(box: Path) -> Iterator[tuple[int, int]]:
    """Descriptors of ``tmp`` and ``new``."""
    fds = os.open(box / "tmp", os.O_RDONLY), os.open(box / "new", os.O_RDONLY)
    yield fds
    for fd in fds:
        os.close(fd)


def numbered() -> Drafts:
    numbers = count(1)
    return Drafts(lambda: f"name{next(numbers)}")


def files(box: Path) -> list[str]:
    return sorted(str(path.relative_to(box)) for path in box.glob("*/*"))


def deliver(drafts: Drafts, folders: tuple[int, int]) -> str:
    tmp_fd, new_fd = folders
    draft = drafts.make(tmp_fd)
    os.write(draft.fd, b"octets")
    name = drafts.show(draft, ",S=6", new_fd)
    draft.discard()
    return name


class TestNameless:
    def test_nothing_is_to_be_seen_before_it_is_linked(self, box: Path, folders: tuple[int, int]) -> None:
        draft = numbered().make(folders[0])
        os.write(draft.fd, b"octets")

        assert [] == files(box)
        draft.discard()

    def test_what_is_linked_stays_and_is_the_owners_alone(self, box: Path, folders: tuple[int, int]) -> None:
        name = deliver(numbered(), folders)

        assert [f"new/{name}"] == files(box)
        assert b"octets" == (box / "new" / name).read_bytes()
        assert 0o600 == stat.S_IMODE((box / "new" / name).stat().st_mode)

    def test_what_is_discarded_is_gone(self, box: Path, folders: tuple[int, int]) -> None:
        draft = numbered().make(folders[0])
        draft.discard()

        assert [] == files(box)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(draft.fd)


class TestNamed:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The flags of each file that is opened on a system that refuses those without a name."""
        flags: list[int] = []
        real = os.open

        def refusing(path: str, how: int, *args: int, **kwargs: int) -> int:
            flags.append(how)
            if how & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "not on this file system")
            return real(path, how, *args, **kwargs)

        monkeypatch.setattr(os, "open", refusing)
        return flags

    def test_where_the_file_system_knows_none_without_a_name_it_lies_in_tmp(
        self, box: Path, folders: tuple[int, int], asked: list[int]
    ) -> None:
        draft = numbered().make(folders[0])

        assert [f"tmp/{draft.name}"] == files(box)
        draft.discard()
        assert [] == files(box)

    def test_it_arrives_all_the_same(self, box: Path, folders: tuple[int, int], asked: list[int]) -> None:
        name = deliver(numbered(), folders)

        assert [f"new/{name}"] == files(box)

    def test_the_file_system_is_asked_once(self, folders: tuple[int, int], asked: list[int]) -> None:
        drafts = numbered()
        for _ in range(3):
            deliver(drafts, folders)

        assert 1 == sum(how & os.O_TMPFILE == os.O_TMPFILE for how in asked)

    def test_another_error_is_no_reason_to_go_on_with_names(
        self, box: Path, folders: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> int:
            raise OSError(errno.ENOSPC, "no room")

        monkeypatch.setattr(os, "open", full)
        with pytest.raises(OSError, match="no room"):
            numbered().make(folders[0])
