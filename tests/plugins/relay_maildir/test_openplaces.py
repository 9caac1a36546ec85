"""Folders that stay open between messages: never too many, never the wrong ones, and none after the end."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from mdacore.testing import ManualClock
from mdacore_relay_maildir.maildirs import Maildirs, UniqueNames
from mdacore_relay_maildir.openplaces import OpenPlaces
from mdacore_relay_maildir.steps import alone
from mdacore_relay_maildir.subfolder import Place
from mdacore_relay_maildir.walk import UnsafeFolder, make_root

BOB = Place(("example.com", "bob"))
LISTS = Place(BOB.maildir, ".Lists")


def always() -> bool:
    return True


def box(name: str) -> Place:
    return Place((name,))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "maildirs"
    make_root(path)
    return path


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make_maildirs(root: Path, clock: ManualClock) -> Iterator[Callable[[int], Maildirs]]:
    """Maildirs with so many places open; closed when the test is over."""
    made = []

    def make(max_places: int) -> Maildirs:
        names = UniqueNames("mx.example.com", clock)
        made.append(Maildirs(root, names, open_places=OpenPlaces(max_places, clock.monotonic)))
        return made[-1]

    yield make
    for maildirs in made:
        maildirs.close()


@pytest.fixture
def maildirs(make_maildirs: Callable[[int], Maildirs]) -> Maildirs:
    return make_maildirs(8)


def open_below(root: Path) -> list[str]:
    """The folders that this process has open in there."""
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed since
            targets.append(descriptor.readlink())
    return sorted(str(target.relative_to(root)) for target in targets if target.is_relative_to(root))


def opened(*names: str) -> list[str]:
    """What is open of these maildirs."""
    return sorted(f"{name}{part}" for name in names for part in ("", "/tmp", "/new"))


@contextmanager
def descriptors_limited_to(spare: int) -> Iterator[None]:
    """So many more may be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 10, hard))
    fillers: list[int] = []
    try:
        with suppress(OSError):
            while True:
                fillers.append(os.open("/", os.O_RDONLY))
        for _ in range(spare):
            os.close(fillers.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is opened, by its last name."""
    calls: list[str] = []
    real = os.open

    def record(path: str | Path, *args: int, **kwargs: int | None) -> int:
        calls.append(Path(path).name)
        return real(path, *args, **kwargs)  # type: ignore[arg-type] # whatever the caller gave

    monkeypatch.setattr(os, "open", record)
    return calls


class TestReuse:
    def test_next_message_opens_nothing_but_its_file(self, maildirs: Maildirs, opens: list[str]) -> None:
        alone(maildirs.store(BOB, [b"x"], is_wanted=always))
        opens.clear()

        alone(maildirs.store(BOB, [b"y"], is_wanted=always))

        assert [""] == opens  # a file without a name

    def test_sub_folder_is_a_place_of_its_own(self, maildirs: Maildirs, root: Path) -> None:
        for place in (BOB, LISTS, BOB, LISTS):
            alone(maildirs.store(place, [b"x"], is_wanted=always))

        assert [2, 2] == [len(list((root.joinpath(*place.path) / "new").iterdir())) for place in (BOB, LISTS)]

    def test_many_threads_share_what_is_open_while_it_is_dropped(
        self, make_maildirs: Callable[[int], Maildirs], root: Path
    ) -> None:
        """More places than may be open, so that each is dropped while others use it."""
        maildirs = make_maildirs(2)

        def deliver() -> None:
            for number in range(30):
                alone(maildirs.store(box(f"box{number % 5}"), [b"x"], is_wanted=always))

        threads = [Thread(target=deliver) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert 180 == len(list(root.glob("*/new/*")))
        assert 6 == len(open_below(root))


class TestReplacedFolders:
    @pytest.mark.parametrize("where", ["example.com", "example.com/bob", "example.com/bob/new", "example.com/bob/tmp"])
    def test_case_089_folder_that_was_replaced_is_not_written_any_more(
        self, maildirs: Maildirs, root: Path, tmp_path: Path, where: str
    ) -> None:
        alone(maildirs.store(BOB, [b"x"], is_wanted=always))
        (root / where).rename(tmp_path / "aside")
        before = sorted(tmp_path.glob("aside/**/*"))
        for part in ("tmp", "new", "cur"):
            (root / "example.com/bob" / part).mkdir(parents=True, exist_ok=True, mode=0o700)

        name = alone(maildirs.store(BOB, [b"y"], is_wanted=always))

        assert b"y" == (root / "example.com/bob/new" / name).read_bytes()
        assert before == sorted(tmp_path.glob("aside/**/*"))

    @pytest.mark.parametrize("where", ["example.com", "example.com/bob", "example.com/bob/new", "example.com/bob/tmp"])
    def test_case_089_symbolic_link_to_another_folder_is_refused(
        self, maildirs: Maildirs, root: Path, tmp_path: Path, where: str
    ) -> None:
        alone(maildirs.store(BOB, [b"x"], is_wanted=always))
        shutil.copytree(root / where, tmp_path / "other")
        (root / where).rename(tmp_path / "aside")
        (root / where).symlink_to(tmp_path / "other")

        with pytest.raises(NotADirectoryError):
            alone(maildirs.store(BOB, [b"y"], is_wanted=always))

    @pytest.mark.parametrize("part", ["new", "tmp"])
    def test_case_089_symbolic_link_to_the_very_folder_is_refused_too(
        self, maildirs: Maildirs, root: Path, tmp_path: Path, part: str
    ) -> None:
        alone(maildirs.store(BOB, [b"x"], is_wanted=always))
        (root / "example.com/bob" / part).rename(tmp_path / "aside")
        (root / "example.com/bob" / part).symlink_to(tmp_path / "aside")

        with pytest.raises(NotADirectoryError):
            alone(maildirs.store(BOB, [b"y"], is_wanted=always))

    def test_maildir_that_was_removed_is_made_again(self, maildirs: Maildirs, root: Path) -> None:
        alone(maildirs.store(BOB, [b"x"], is_wanted=always))
        shutil.rmtree(root / "example.com")

        name = alone(maildirs.store(BOB, [b"y"], is_wanted=always))

        assert [root / "example.com/bob/new" / name] == list(root.rglob("new/*"))

    @pytest.mark.parametrize("part", ["new", "tmp"])
    def test_case_114_folder_that_everybody_may_write_by_now_is_refused(
        self, maildirs: Maildirs, root: Path, part: str
    ) -> None:
        alone(maildirs.store(BOB, [b"x"], is_wanted=always))
        (root / "example.com/bob" / part).chmod(0o777)

        with pytest.raises(UnsafeFolder, match="written by everybody"):
            alone(maildirs.store(BOB, [b"y"], is_wanted=always))

    def test_case_114_folder_further_up_is_looked_at_again_after_ten_seconds(
        self, maildirs: Maildirs, root: Path, clock: ManualClock
    ) -> None:
        alone(maildirs.store(BOB, [b"x"], is_wanted=always))
        (root / "example.com").chmod(0o777)
        clock.advance(10)

        with pytest.raises(UnsafeFolder, match="written by everybody"):
            alone(maildirs.store(BOB, [b"y"], is_wanted=always))

    def test_what_was_replaced_is_closed(self, maildirs: Maildirs, root: Path) -> None:
        alone(maildirs.store(BOB, [b"x"], is_wanted=always))
        shutil.rmtree(root / "example.com")

        alone(maildirs.store(BOB, [b"y"], is_wanted=always))

        assert opened("example.com/bob") == open_below(root)


class TestBound:
    def test_least_recently_used_is_closed_first(self, make_maildirs: Callable[[int], Maildirs], root: Path) -> None:
        maildirs = make_maildirs(2)

        for name in ("ann", "bob", "ann", "eve"):
            alone(maildirs.store(box(name), [b"x"], is_wanted=always))

        assert opened("ann", "eve") == open_below(root)

    def test_nothing_stays_open_where_nothing_may(self, make_maildirs: Callable[[int], Maildirs], root: Path) -> None:
        alone(make_maildirs(0).store(BOB, [b"x"], is_wanted=always))

        assert [] == open_below(root)

    def test_place_that_is_in_use_is_closed_only_afterwards(
        self, make_maildirs: Callable[[int], Maildirs], root: Path
    ) -> None:
        maildirs = make_maildirs(1)

        def drop_it() -> bool:
            alone(maildirs.store(box("eve"), [b"x"], is_wanted=always))
            return True

        alone(maildirs.store(box("bob"), [b"x"], is_wanted=drop_it))

        assert 1 == len(list((root / "bob/new").iterdir()))
        assert opened("eve") == open_below(root)

    @pytest.mark.parametrize("spare", range(8))
    def test_descriptors_that_are_only_kept_are_given_up_when_there_are_no_others(
        self, maildirs: Maildirs, root: Path, spare: int
    ) -> None:
        """Wherever on the way the last of them is taken."""
        for name in ("ann", "bob", "eve"):
            alone(maildirs.store(box(name), [b"x"], is_wanted=always))

        with descriptors_limited_to(spare):
            alone(maildirs.store(box("new"), [b"x"], is_wanted=always))

        assert 1 == len(list((root / "new/new").iterdir()))

    @pytest.mark.parametrize("spare", range(6))
    def test_they_are_given_up_for_the_look_for_a_sub_folder_too(
        self, maildirs: Maildirs, root: Path, spare: int
    ) -> None:
        """Else only mail with a sub-address would be deferred, for as long as no other needs a descriptor."""
        for place in (box("ann"), LISTS):
            alone(maildirs.store(place, [b"x"], is_wanted=always))

        with descriptors_limited_to(spare):
            found = maildirs.place(LISTS.maildir, LISTS.subfolder)

        assert LISTS == found

    def test_no_descriptors_at_all_is_an_error_and_leaves_none(self, maildirs: Maildirs, root: Path) -> None:
        with descriptors_limited_to(3), pytest.raises(OSError, match="Too many open files"):
            alone(maildirs.store(BOB, [b"x"], is_wanted=always))

        assert [] == open_below(root)

    def test_error_closes_no_place(self, maildirs: Maildirs, root: Path) -> None:
        with pytest.raises(InterruptedError):
            alone(maildirs.store(BOB, [b"x"], is_wanted=lambda: False))

        assert opened("example.com/bob") == open_below(root)


class TestClose:
    def test_nothing_is_open_afterwards(self, maildirs: Maildirs, root: Path) -> None:
        alone(maildirs.store(BOB, [b"x"], is_wanted=always))
        maildirs.close()
        is_closed = open_below(root) == []

        alone(maildirs.store(BOB, [b"x"], is_wanted=always))

        assert is_closed
        assert [] == open_below(root)

    def test_place_in_use_is_closed_by_its_user(self, maildirs: Maildirs, root: Path) -> None:
        def close() -> bool:
            maildirs.close()
            return True

        alone(maildirs.store(BOB, [b"x"], is_wanted=close))

        assert 1 == len(list((root / "example.com/bob/new").iterdir()))
        assert [] == open_below(root)
