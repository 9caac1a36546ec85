"""Quota: what is kept in maildirsize, and when it is counted anew."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mdacore.testing import ManualClock
from mdacore_relay_maildir.maildirs import Maildirs, UniqueNames
from mdacore_relay_maildir.maildirsize import MAX_BYTES, Limits
from mdacore_relay_maildir.quota import OverQuota, Quota
from mdacore_relay_maildir.steps import alone
from mdacore_relay_maildir.subfolder import Place

BOX = Place(("bob",))
LIMITS = Limits(size_bytes=1000, messages=10)


def always() -> bool:
    return True


@pytest.fixture
def clock() -> ManualClock:
    """As late as the files that the system makes."""
    return ManualClock(time.time())


@pytest.fixture
def maildirs(tmp_path: Path, clock: ManualClock) -> Maildirs:
    return make_maildirs(tmp_path, clock, LIMITS)


def make_maildirs(root: Path, clock: ManualClock, limits: Limits) -> Maildirs:
    names = UniqueNames("host", clock)
    return Maildirs(root, names, Quota(limits, clock.now, names))


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A maildir that somebody else has made, with 100 bytes in it."""
    for part in ("tmp", "new", "cur"):
        (tmp_path / "bob" / part).mkdir(parents=True, mode=0o700)
    put(tmp_path / "bob", "cur/older,S=100:2,S")
    return tmp_path / "bob"


def put(box: Path, name: str, content: bytes = b"") -> None:
    (box / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    (box / name).write_bytes(content)


def size_file(box: Path) -> str:
    return (box / "maildirsize").read_text()


def message_count(box: Path) -> int:
    return sum(len(list(box.glob(pattern))) for pattern in ("new/*", "cur/*", ".*/new/*", ".*/cur/*"))


class TestKeeping:
    def test_first_message_has_the_file_made_from_what_is_there(self, maildirs: Maildirs, box: Path) -> None:
        alone(maildirs.store(BOX, [b"x" * 50], is_wanted=always))

        assert "1000S,10C\n100 1\n50 1\n" == size_file(box)
        assert 0o600 == (box / "maildirsize").stat().st_mode & 0o777

    def test_next_message_is_one_more_line(self, maildirs: Maildirs, box: Path) -> None:
        for size_bytes in (50, 60):
            alone(maildirs.store(BOX, [b"x" * size_bytes], is_wanted=always))

        assert "1000S,10C\n100 1\n50 1\n60 1\n" == size_file(box)

    def test_sub_folders_are_kept_in_the_file_of_their_maildir(self, maildirs: Maildirs, box: Path) -> None:
        alone(maildirs.store(Place(BOX.maildir, ".Lists"), [b"x" * 50], is_wanted=always))

        assert "1000S,10C\n100 1\n50 1\n" == size_file(box)
        assert not (box / ".Lists/maildirsize").exists()

    @pytest.mark.parametrize("limits", [Limits(size_bytes=1000), Limits(messages=10)])
    def test_quota_may_have_one_limit_only(self, tmp_path: Path, clock: ManualClock, box: Path, limits: Limits) -> None:
        alone(make_maildirs(tmp_path, clock, limits).store(BOX, [b"x"], is_wanted=always))

        assert size_file(box).splitlines()[0] in ("1000S", "10C")

    def test_without_a_quota_there_is_no_file(self, tmp_path: Path, clock: ManualClock, box: Path) -> None:
        alone(Maildirs(tmp_path, UniqueNames("host", clock)).store(BOX, [b"x"], is_wanted=always))

        assert not (box / "maildirsize").exists()

    def test_message_that_is_given_up_is_not_counted(self, maildirs: Maildirs, box: Path) -> None:
        with pytest.raises(InterruptedError):
            alone(maildirs.store(BOX, [b"x"], is_wanted=lambda: False))

        assert "1000S,10C\n100 1\n" == size_file(box)

    def test_message_that_cannot_be_noted_is_delivered_and_has_the_file_removed(
        self, maildirs: Maildirs, box: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An error would have the message delivered again; a file that lacks it would be wrong for long."""
        alone(maildirs.store(BOX, [b"x" * 50], is_wanted=always))
        write = os.write

        def broken(fd: int, data: bytes) -> int:
            if bytes(data) == b"60 1\n":
                raise OSError(28, "No space left on device")
            return write(fd, data)

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", broken)
            alone(maildirs.store(BOX, [b"x" * 60], is_wanted=always))

        assert not (box / "maildirsize").exists()
        assert 3 == message_count(box)


class TestLimit:
    def test_message_that_fills_the_maildir_exactly_is_taken(self, maildirs: Maildirs, box: Path) -> None:
        alone(maildirs.store(BOX, [b"x" * 900], is_wanted=always))

        with pytest.raises(OverQuota):
            alone(maildirs.store(BOX, [b"x"], is_wanted=always))

        assert 2 == message_count(box)
        assert [] == list((box / "tmp").iterdir())

    def test_message_over_the_number_is_refused(self, maildirs: Maildirs, box: Path) -> None:
        for _ in range(9):
            alone(maildirs.store(BOX, [b"x"], is_wanted=always))

        with pytest.raises(OverQuota, match="messages=10"):
            alone(maildirs.store(BOX, [b"x"], is_wanted=always))

    def test_sub_folder_is_full_when_its_maildir_is(self, maildirs: Maildirs, box: Path) -> None:
        alone(maildirs.store(BOX, [b"x" * 900], is_wanted=always))

        with pytest.raises(OverQuota):
            alone(maildirs.store(Place(BOX.maildir, ".Lists"), [b"x"], is_wanted=always))

    def test_deliveries_at_once_do_not_pass_the_limit_together(self, maildirs: Maildirs, box: Path) -> None:
        refused: list[OverQuota] = []

        def deliver() -> None:
            for _ in range(4):
                try:
                    alone(maildirs.store(BOX, [b"x" * 100], is_wanted=always))
                except OverQuota as error:
                    refused.append(error)

        threads = [threading.Thread(target=deliver) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (10, 23) == (message_count(box), len(refused))
        assert 1000 == sum(int(line.split()[0]) for line in size_file(box).splitlines()[1:])


class TestCounting:
    """Maildir++, "Calculating maildirsize"."""

    def count(self, maildirs: Maildirs, box: Path) -> str:
        alone(maildirs.store(BOX, [b"x"], is_wanted=always))
        return size_file(box).splitlines()[1]

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("new/a,S=20", "120 2"),
            ("cur/a,S=20:2,", "120 2"),
            ("new/a", "107 2"),
            ("cur/a:2,S", "107 2"),
            (".Lists/new/a,S=20", "120 2"),
            (".Lists.Python/cur/a", "107 2"),
            ("tmp/a,S=20", "100 1"),
            (".Trash/cur/a,S=20", "100 1"),
            (".Trash.old/cur/a,S=20", "120 2"),
            ("cur/a,S=20:2,ST", "100 1"),
            ("new/.nfs0001", "100 1"),
            ("Other/new/a,S=20", "100 1"),
            (".Lists/a,S=20", "100 1"),
            ("cur/a,S=:2,S", "107 2"),
        ],
    )
    def test_messages_count_but_for_trash(self, maildirs: Maildirs, box: Path, name: str, expected: str) -> None:
        put(box, name, b"7 bytes")

        assert expected == self.count(maildirs, box)

    def test_symbolic_links_are_not_followed(self, maildirs: Maildirs, box: Path, tmp_path: Path) -> None:
        put(tmp_path, "outside/new/a,S=20")
        (box / ".Lists").symlink_to(tmp_path / "outside")
        (box / ".file").touch()

        assert "100 1" == self.count(maildirs, box)

    @pytest.mark.parametrize(
        "content",
        [b"", b"garbage", b"1000S\n1 1\n", b"999S,10C\n1 1\n", b"1000S,10C\n1 1\n" + b"0 0\n" * (MAX_BYTES // 4)],
        ids=["empty", "garbage", "other limits", "other size", "too long"],
    )
    def test_file_that_cannot_be_trusted_is_written_anew(self, maildirs: Maildirs, box: Path, content: bytes) -> None:
        put(box, "maildirsize", content)

        assert "100 1" == self.count(maildirs, box)
        assert size_file(box).startswith("1000S,10C\n")

    def test_what_is_no_file_is_replaced_and_what_it_points_to_left_alone(
        self, maildirs: Maildirs, box: Path, tmp_path: Path
    ) -> None:
        put(tmp_path, "outside", b"1000S,10C\n1 1\n")
        (box / "maildirsize").symlink_to(tmp_path / "outside")

        assert "100 1" == self.count(maildirs, box)
        assert b"1000S,10C\n1 1\n" == (tmp_path / "outside").read_bytes()

    def test_pipe_in_its_place_does_not_hang(self, maildirs: Maildirs, box: Path) -> None:
        os.mkfifo(box / "maildirsize")

        assert "100 1" == self.count(maildirs, box)

    def test_file_that_is_right_is_believed(self, maildirs: Maildirs, box: Path) -> None:
        put(box, "maildirsize", b"1000S,10C\n500 5\n100 1\n")

        assert "500 5" == self.count(maildirs, box)

    def test_nothing_is_left_in_tmp_when_it_cannot_be_written(self, maildirs: Maildirs, box: Path) -> None:
        (box / "maildirsize").mkdir()

        with pytest.raises(IsADirectoryError):
            alone(maildirs.store(BOX, [b"x"], is_wanted=always))

        assert [] == list((box / "tmp").iterdir())
        assert 1 == message_count(box)


class TestOverQuota:
    """Maildir++, "Calculating the quota", 4: not at once believed."""

    def test_file_of_more_than_one_line_is_counted_again(self, maildirs: Maildirs, box: Path) -> None:
        """A reader that knows no Maildir++ may have removed messages since."""
        put(box, "maildirsize", b"1000S,10C\n900 5\n99 1\n")

        alone(maildirs.store(BOX, [b"x" * 50], is_wanted=always))

        assert "1000S,10C\n100 1\n50 1\n" == size_file(box)

    def test_fresh_sum_is_believed(self, maildirs: Maildirs, box: Path) -> None:
        put(box, "maildirsize", b"1000S,10C\n999 5\n")

        with pytest.raises(OverQuota):
            alone(maildirs.store(BOX, [b"x" * 50], is_wanted=always))

    def test_sum_of_fifteen_minutes_is_counted_again(self, maildirs: Maildirs, box: Path, clock: ManualClock) -> None:
        put(box, "maildirsize", b"1000S,10C\n999 5\n")
        os.utime(box / "maildirsize", (clock.now() - 900, clock.now() - 900))

        alone(maildirs.store(BOX, [b"x" * 50], is_wanted=always))

        assert "1000S,10C\n100 1\n50 1\n" == size_file(box)

    def test_count_that_confirms_it_is_kept_for_the_next_messages(self, maildirs: Maildirs, box: Path) -> None:
        """A flood of mail for a full mailbox must not have it counted each time."""
        put(box, "cur/large,S=900")
        put(box, "maildirsize", b"1000S,10C\n900 5\n99 1\n")

        with pytest.raises(OverQuota, match="just counted"):
            alone(maildirs.store(BOX, [b"x" * 50], is_wanted=always))
        with pytest.raises(OverQuota) as second:
            alone(maildirs.store(BOX, [b"x" * 50], is_wanted=always))

        assert "1000S,10C\n1000 2\n" == size_file(box)
        assert "counted" not in str(second.value)


class TestRaces:
    @contextmanager
    def changes_during_counts(self, box: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> Iterator[None]:
        """Somebody else delivers between the count and the look whether anything has changed."""
        rename = os.rename
        left = [times]

        def rename_and_deliver(*args: Any, **kwargs: Any) -> None:
            rename(*args, **kwargs)
            if left[0]:
                left[0] -= 1
                put(box, f"new/race{left[0]},S=10")
                os.utime(box / "new", ns=(0, time.time_ns() + 10**9 * (times - left[0])))

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", rename_and_deliver)
            yield

    def test_count_is_repeated_when_the_maildir_has_changed_meanwhile(
        self, maildirs: Maildirs, box: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.changes_during_counts(box, monkeypatch, 1):
            alone(maildirs.store(BOX, [b"x"], is_wanted=always))

        assert "1000S,10C\n110 2\n1 1\n" == size_file(box)

    def test_count_of_a_maildir_that_changes_all_the_time_is_used_but_not_kept(
        self, maildirs: Maildirs, box: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.changes_during_counts(box, monkeypatch, 3):
            alone(maildirs.store(BOX, [b"x"], is_wanted=always))

        assert not (box / "maildirsize").exists()
        assert [] == list((box / "tmp").iterdir())

    def test_descriptors_are_closed_whatever_happens(
        self, maildirs: Maildirs, box: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))

        with self.changes_during_counts(box, monkeypatch, 3):
            alone(maildirs.store(BOX, [b"x"], is_wanted=always))
        alone(maildirs.store(BOX, [b"x"], is_wanted=always))
        with pytest.raises(OverQuota):
            alone(maildirs.store(BOX, [b"x" * 1000], is_wanted=always))

        assert before == len(list(Path("/proc/self/fd").iterdir()))
