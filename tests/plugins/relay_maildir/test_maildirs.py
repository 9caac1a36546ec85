"""Maildirs: what is in ``new/`` is whole and durable, and nothing outside of the root is touched."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mdacore.testing import ManualClock
from mdacore_relay_maildir.drafts import Drafts
from mdacore_relay_maildir.maildirs import Maildirs, UniqueNames
from mdacore_relay_maildir.maildirsize import Limits
from mdacore_relay_maildir.quota import OverQuota, Quota
from mdacore_relay_maildir.steps import Steps, alone, one_by_one, together
from mdacore_relay_maildir.subfolder import Place
from mdacore_relay_maildir.walk import UnsafeFolder, make_root

FOLDER = Place(("example.com", "bob"))


def always() -> bool:
    return True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "maildirs"
    make_root(path)
    return path


@pytest.fixture
def names() -> UniqueNames:
    return UniqueNames("mx.example.com", ManualClock())


@pytest.fixture(params=[True, False], ids=["nameless", "named"])
def drafts(request: pytest.FixtureRequest, names: UniqueNames) -> Drafts:
    """As on a file system that makes files without names, and as on others."""
    return Drafts(names, may_be_nameless=request.param)


@pytest.fixture
def maildirs(root: Path, names: UniqueNames, drafts: Drafts) -> Maildirs:
    return Maildirs(root, names, drafts=drafts)


def tree(path: Path) -> list[str]:
    """Every file below, relative."""
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir())


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """The system stops every write of this process at this size, in mid-file, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def open_below(root: Path) -> list[str]:
    """What this process has open in there."""
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed since
            targets.append(str(descriptor.readlink()))
    return [target for target in targets if target.startswith(str(root))]


class TestUniqueNames:
    def test_name_holds_time_process_number_and_host(self) -> None:
        names = UniqueNames("mx.example.com", ManualClock(1_700_000_000.25))

        expected = [f"1700000000.M250000P{os.getpid()}Q{number}.mx.example.com" for number in (1, 2)]
        assert expected == [names(), names()]

    def test_case_089_slash_and_colon_of_the_host_are_written_in_octal(self) -> None:
        """So is the comma, behind which the size stands."""
        names = UniqueNames("a/b:c,S=5", ManualClock())

        assert names().endswith(r".a\057b\072c\054S=5")

    def test_long_host_leaves_a_legal_file_name(self) -> None:
        assert len(UniqueNames(".".join(["x" * 60] * 4), ManualClock())()) < 255


class TestStore:
    def test_message_lies_whole_in_new_and_nothing_in_tmp(self, maildirs: Maildirs, root: Path) -> None:
        name = alone(maildirs.store(FOLDER, [b"one\n", b"", b"two\n"], is_wanted=always))

        assert [f"example.com/bob/new/{name}"] == tree(root)
        assert b"one\ntwo\n" == (root / "example.com/bob/new" / name).read_bytes()

    def test_size_is_in_the_name(self, maildirs: Maildirs) -> None:
        """Maildir++: so that counting needs no look at each file."""
        name = alone(maildirs.store(FOLDER, [b"one\n", b"x" * 70_000, b"two\n"], is_wanted=always))

        assert name.endswith(".mx.example.com,S=70008")

    def test_maildir_is_made_for_its_owner_alone(self, maildirs: Maildirs, root: Path) -> None:
        name = alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))

        folders = [".", "example.com", *(f"example.com/bob/{part}" for part in ("", "cur", "tmp", "new"))]
        assert {0o700} == {stat.S_IMODE((root / folder).stat().st_mode) for folder in folders}
        assert 0o600 == stat.S_IMODE((root / "example.com/bob/new" / name).stat().st_mode)

    def test_maildir_that_was_removed_is_made_again(self, maildirs: Maildirs, root: Path) -> None:
        alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))
        for path in sorted((root / "example.com").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

        name = alone(maildirs.store(FOLDER, [b"y"], is_wanted=always))

        assert [f"example.com/bob/new/{name}"] == tree(root)

    @pytest.mark.parametrize(
        ("drafts", "part", "suffix"),
        [(True, "new", ",S=1"), (False, "new", ",S=1"), (False, "tmp", "")],
        indirect=["drafts"],
    )
    def test_case_089_name_that_is_taken_is_left_alone_and_another_one_used(
        self, maildirs: Maildirs, root: Path, part: str, suffix: str
    ) -> None:
        taken = root / "example.com/bob" / part / f"1700000000.M0P{os.getpid()}Q1.mx.example.com{suffix}"
        taken.parent.mkdir(parents=True, mode=0o700)
        taken.write_bytes(b"older")

        name = alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))

        assert f"1700000000.M0P{os.getpid()}Q2.mx.example.com,S=1" == name
        assert b"older" == taken.read_bytes()
        assert b"x" == (root / "example.com/bob/new" / name).read_bytes()

    def test_names_that_are_all_taken_end_in_an_error(self, root: Path) -> None:
        maildirs = Maildirs(root, lambda: "same")
        alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))

        with pytest.raises(FileExistsError):
            alone(maildirs.store(FOLDER, [b"y"], is_wanted=always))

        assert ["example.com/bob/new/same,S=1"] == tree(root)
        assert b"x" == (root / "example.com/bob/new/same,S=1").read_bytes()

    def test_message_that_is_no_longer_wanted_is_not_seen(self, maildirs: Maildirs, root: Path) -> None:
        with pytest.raises(InterruptedError):
            alone(maildirs.store(FOLDER, [b"x"], is_wanted=lambda: False))

        assert [] == tree(root)

    def test_error_in_mid_file_leaves_nothing(self, maildirs: Maildirs, root: Path) -> None:
        with files_limited_to(100_000), pytest.raises(OSError, match="too large"):
            alone(maildirs.store(FOLDER, [b"x" * 65_536] * 2, is_wanted=always))

        assert [] == tree(root)

    def test_body_that_cannot_be_read_to_its_end_leaves_nothing(self, maildirs: Maildirs, root: Path) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"half a mess"
            raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            alone(maildirs.store(FOLDER, pieces(), is_wanted=always))

        assert [] == tree(root)

    def test_no_descriptor_stays_open(self, maildirs: Maildirs, root: Path) -> None:
        alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))
        with pytest.raises(InterruptedError):
            alone(maildirs.store(FOLDER, [b"x"], is_wanted=lambda: False))

        assert [] == open_below(root)

    def test_many_threads_at_once_each_leave_their_message(self, maildirs: Maildirs, root: Path) -> None:
        def deliver(thread: int) -> None:
            for number in range(10):
                alone(maildirs.store(FOLDER, [b"%d/%d" % (thread, number)], is_wanted=always))

        threads = [threading.Thread(target=deliver, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        found = sorted(file.read_bytes() for file in (root / "example.com/bob/new").iterdir())
        assert sorted(b"%d/%d" % (thread, number) for thread in range(8) for number in range(10)) == found


class TestSubFolders:
    LISTS = Place(("example.com", "bob"), ".Lists")

    def test_message_goes_into_the_sub_folder_which_is_marked_as_one(self, maildirs: Maildirs, root: Path) -> None:
        """Maildir++: the mark tells other deliverers to look for the quota one folder up."""
        name = alone(maildirs.store(self.LISTS, [b"x"], is_wanted=always))

        assert [f"example.com/bob/.Lists/{path}" for path in ("maildirfolder", f"new/{name}")] == tree(root)

    def test_maildir_around_a_new_sub_folder_is_whole(self, maildirs: Maildirs, root: Path) -> None:
        alone(maildirs.store(self.LISTS, [b"x"], is_wanted=always))

        box = root / "example.com/bob"
        assert {".Lists", "tmp", "new", "cur"} == {path.name for path in box.iterdir()}
        assert {"maildirfolder", "tmp", "new", "cur"} == {path.name for path in (box / ".Lists").iterdir()}

    def test_case_062_first_message_syncs_the_sub_folder_too(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recorder = Recorder(monkeypatch, root)

        alone(maildirs.store(self.LISTS, [b"x"], is_wanted=always))

        synced = [call for call in recorder.calls if call.startswith("fsync")]
        box = "example.com/bob"
        assert [
            f"fsync {what}" for what in (f"{box}/.Lists", box, "example.com", ".", "file", "file", f"{box}/.Lists/new")
        ] == synced

    def test_place_is_the_sub_folder_that_is_there(self, maildirs: Maildirs) -> None:
        alone(maildirs.store(self.LISTS, [b"x"], is_wanted=always))

        assert self.LISTS == maildirs.place(FOLDER.maildir, ".Lists")

    def test_place_is_the_maildir_where_there_is_no_such_folder(self, maildirs: Maildirs) -> None:
        without_maildir = maildirs.place(FOLDER.maildir, ".Lists")
        alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))

        assert (FOLDER, FOLDER) == (without_maildir, maildirs.place(FOLDER.maildir, ".Lists"))

    def test_folder_that_its_owner_has_removed_is_not_made_again(self, maildirs: Maildirs, root: Path) -> None:
        alone(maildirs.store(self.LISTS, [b"x"], is_wanted=always))
        (root / "example.com/bob/.Lists").rename(root / "example.com/bob/.Other")

        assert FOLDER == maildirs.place(FOLDER.maildir, ".Lists")

    def test_folders_may_be_made_up_to_a_number(self, maildirs: Maildirs) -> None:
        places = []
        for name in (".a", ".b", ".c", ".b"):
            places.append(maildirs.place(FOLDER.maildir, name, makes_up_to=2))
            alone(maildirs.store(places[-1], [b"x"], is_wanted=always))

        assert [".a", ".b", "", ".b"] == [place.subfolder for place in places]

    @pytest.mark.parametrize("kind", ["file", "folder", "link"])
    def test_what_is_no_maildir_is_left_alone(self, maildirs: Maildirs, root: Path, tmp_path: Path, kind: str) -> None:
        """``bob+ssh@`` must not find its way into ``.ssh``."""
        alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))
        ssh = root / "example.com/bob/.ssh"
        (tmp_path / "outside/new").mkdir(parents=True)
        {"file": ssh.touch, "folder": ssh.mkdir, "link": lambda: ssh.symlink_to(tmp_path / "outside")}[kind]()

        assert FOLDER == maildirs.place(FOLDER.maildir, ".ssh", makes_up_to=100)

    def test_descriptors_are_closed(self, maildirs: Maildirs, root: Path) -> None:
        alone(maildirs.store(self.LISTS, [b"x"], is_wanted=always))
        maildirs.place(FOLDER.maildir, ".Lists")
        maildirs.place(FOLDER.maildir, ".None")

        assert [] == open_below(root)


class TestUnsafeFolders:
    @pytest.mark.parametrize("where", ["example.com", "example.com/bob", "example.com/bob/new", "example.com/bob/tmp"])
    @pytest.mark.parametrize("is_known", [False, True])
    def test_case_089_symbolic_link_is_not_followed(
        self, maildirs: Maildirs, root: Path, tmp_path: Path, where: str, is_known: bool
    ) -> None:
        outside = tmp_path / "outside"
        for part in ("tmp", "new", "cur", "bob/tmp", "bob/new", "bob/cur"):
            (outside / part).mkdir(parents=True, mode=0o700)
        if is_known:
            alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))
            (root / where).rename(tmp_path / "aside")
        else:
            (root / where).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (root / where).symlink_to(outside)

        with pytest.raises(NotADirectoryError):
            alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))

        assert [] == tree(outside)

    @pytest.mark.parametrize("where", [".", "example.com", "example.com/bob", "example.com/bob/new"])
    def test_case_114_folder_that_everybody_may_write_is_refused(
        self, maildirs: Maildirs, root: Path, where: str
    ) -> None:
        (root / "example.com/bob/new").mkdir(parents=True, mode=0o700)
        (root / where).chmod(0o777)

        with pytest.raises(UnsafeFolder, match="written by everybody"):
            alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    @pytest.mark.parametrize("where", [".", "example.com", "example.com/bob", "example.com/bob/new"])
    def test_case_089_folder_of_another_user_is_refused(self, maildirs: Maildirs, root: Path, where: str) -> None:
        (root / "example.com/bob/new").mkdir(parents=True, mode=0o700)
        os.chown(root / where, 12_345, -1)

        with pytest.raises(UnsafeFolder, match="belongs to user 12345"):
            alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))

    def test_file_in_a_folder_s_place_is_refused(self, maildirs: Maildirs, root: Path) -> None:
        (root / "example.com").write_text("")

        with pytest.raises(NotADirectoryError):
            alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))


class Recorder:
    """Calls of `os` by name, with the path behind each descriptor, passed on to the real ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.calls: list[str] = []
        self._root = root
        for name in ("fsync", "link", "mkdir", "unlink"):
            monkeypatch.setattr(os, name, self._recorded(name, getattr(os, name)))

    def _recorded(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            target = args[0] if name == "fsync" else kwargs.get("dst_dir_fd", kwargs.get("dir_fd"))
            path = Path(f"/proc/self/fd/{target}").readlink().relative_to(self._root)
            is_file = path.parts and path.parts[-1].startswith(("1700000000", "#"))  # "#…" is one without a name
            what = "file" if is_file else str(path)
            self.calls.append(f"{name} {what}" + (f"/{args[0]}" if name == "mkdir" else ""))
            return function(*args, **kwargs)

        return call


class TestDurability:
    @pytest.fixture
    def sync_and_show(self, request: pytest.FixtureRequest) -> list[str]:
        unlink = ["unlink example.com/bob/tmp"] if "-named" in f"-{request.node.callspec.id}" else []
        return ["fsync file", "link example.com/bob/new", "fsync file", "fsync example.com/bob/new", *unlink]

    def test_case_062_first_message_syncs_its_file_then_its_name_and_all_folders(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch, sync_and_show: list[str]
    ) -> None:
        recorder = Recorder(monkeypatch, root)

        alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))

        made = ["mkdir ./example.com", "mkdir example.com/bob"]
        made += [f"mkdir example.com/bob/{part}" for part in ("tmp", "new", "cur")]
        synced = ["fsync example.com/bob", "fsync example.com", "fsync ."]
        assert [*made, *synced, *sync_and_show] == recorder.calls

    def test_case_062_next_message_syncs_its_file_then_its_name(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch, sync_and_show: list[str]
    ) -> None:
        alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))
        recorder = Recorder(monkeypatch, root)

        alone(maildirs.store(FOLDER, [b"y"], is_wanted=always))

        assert sync_and_show == recorder.calls

    def test_file_is_synced_again_once_it_has_its_name(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On ext4 without a journal fsck would remove it after a crash: as far as the disk knows it has no links."""
        recorder = Recorder(monkeypatch, root)

        alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))

        linked_at = recorder.calls.index("link example.com/bob/new")
        assert "fsync file" in recorder.calls[linked_at:]

    def test_folders_that_an_earlier_process_left_unsynced_are_synced(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A folder may be there in memory only, when whoever made it was killed before the sync."""
        alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))
        recorder = Recorder(monkeypatch, root)

        alone(Maildirs(root, UniqueNames("other", ManualClock())).store(FOLDER, [b"y"], is_wanted=always))

        assert {"fsync .", "fsync example.com", "fsync example.com/bob"} <= set(recorder.calls)

    def test_message_is_not_written_before_its_new_folders_are_durable(self, maildirs: Maildirs, root: Path) -> None:
        def broken(fds: Collection[int]) -> dict[int, OSError]:
            return {fd: OSError(5, "the disk says no") for fd in fds}

        for _ in range(2):  # what could not be synced is not taken for durable the next time
            with pytest.raises(OSError, match="says no"):
                alone(maildirs.store(FOLDER, [b"x"], is_wanted=always), broken)

        assert [] == tree(root)

    def test_failed_sync_of_the_file_leaves_nothing(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = alone(maildirs.store(FOLDER, [b"x"], is_wanted=always))

        def broken(_fd: int) -> None:
            raise OSError(5, "the disk says no")

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="says no"):
            alone(maildirs.store(FOLDER, [b"y"], is_wanted=always))

        assert [f"example.com/bob/new/{name}"] == tree(root)

    def test_killed_process_leaves_only_whole_messages_in_new_and_all_that_it_told_of(self, root: Path) -> None:
        """Case 61 at the relay: three kills in the middle of writing 1 MB messages, four at a time."""
        program = (
            "import sys; from pathlib import Path; from mdacore.runtime import SystemClock\n"
            "from mdacore_relay_maildir.maildirs import Maildirs, UniqueNames\n"
            "from mdacore_relay_maildir.steps import together\n"
            "from mdacore_relay_maildir.subfolder import Place\n"
            "from mdacore_relay_maildir.syncs import Syncs\n"
            "maildirs, syncs = Maildirs(Path(sys.argv[1]), UniqueNames('h', SystemClock())), Syncs()\n"
            "def store():\n"
            "    return maildirs.store(Place(('bob',)), [b'x' * 65536] * 16, is_wanted=lambda: True)\n"
            "while True:\n"
            "    print(*together([store() for _ in range(4)], syncs), sep='\\n', flush=True)\n"
        )
        told_of: list[bytes] = []
        for _ in range(3):
            with subprocess.Popen([sys.executable, "-c", program, str(root)], stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                told_of += [process.stdout.readline() for _ in range(6)]
                process.send_signal(signal.SIGKILL)

        sizes = {file.name: file.stat().st_size for file in (root / "bob/new").iterdir()}
        assert {16 * 65_536} == set(sizes.values())
        assert {line.decode().strip() for line in told_of} <= set(sizes)


class TestCompany:
    """Several messages at once, which share their rounds of syncs."""

    ANN, EVE = (Place(("example.com", name)) for name in ("ann", "eve"))

    @pytest.fixture
    def company(self, maildirs: Maildirs) -> list[Steps[str]]:
        """One message each for Bob, Ann and Eve, who have maildirs."""
        for place in (FOLDER, self.ANN, self.EVE):
            alone(maildirs.store(place, [b"older"], is_wanted=always))
        return [maildirs.store(place, [b"x" * 9], is_wanted=always) for place in (FOLDER, self.ANN, self.EVE)]

    def test_case_062_all_files_are_synced_before_the_first_is_shown(
        self, company: list[Steps[str]], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recorder = Recorder(monkeypatch, root)

        together(company, one_by_one)

        links = [number for number, call in enumerate(recorder.calls) if call.startswith("link")]
        before, after = recorder.calls[: links[0]], recorder.calls[links[-1] + 1 :]
        assert ["fsync file"] * 3 == before
        assert {"bob", "ann", "eve"} == {call.split("/")[1] for call in after if call.endswith("/new")}
        assert 3 == len(links)

    def test_new_folders_of_all_are_synced_in_one_round(self, maildirs: Maildirs) -> None:
        """After a start every mailbox is new to the process: one after the other would keep the first group waiting."""
        rounds: list[int] = []

        def sync(fds: Collection[int]) -> dict[int, OSError]:
            rounds.append(len(fds))
            return one_by_one(fds)

        names = together(
            [maildirs.store(place, [b"x"], is_wanted=always) for place in (FOLDER, self.ANN, self.EVE)], sync
        )

        assert [3 * 3, 3, 2 * 3] == rounds
        assert all(isinstance(name, str) for name in names)

    @pytest.mark.parametrize("what", ["file", "folder"])
    def test_failed_sync_is_the_failure_of_one_alone(self, company: list[Steps[str]], root: Path, what: str) -> None:
        """What was shown before its folder could not be synced may be delivered twice, but is not lost."""
        rounds: list[int] = []

        def broken(fds: Collection[int]) -> dict[int, OSError]:
            rounds.append(len(fds))
            is_his_turn = len(rounds) == (1 if what == "file" else 2)
            return {list(fds)[1]: OSError(5, "the disk says no")} if is_his_turn else {}

        first, second, third = together(company, broken)

        failed = [outcome for outcome in (first, second, third) if isinstance(outcome, OSError)]
        delivered = [str(outcome) for outcome in (first, second, third) if isinstance(outcome, str)]
        found = {path.rpartition("/")[2] for path in tree(root)}
        assert ["the disk says no"] == [error.strerror for error in failed]
        assert 2 == len(delivered)
        assert set(delivered) <= found
        assert (5 if what == "file" else 6) == len(found)

    def test_folder_that_is_swapped_spoils_its_own_message_alone(
        self, company: list[Steps[str]], root: Path, tmp_path: Path
    ) -> None:
        (root / "example.com/ann").rename(tmp_path / "aside")
        (root / "example.com/ann").symlink_to(tmp_path / "aside")

        bob, ann, eve = together(company, one_by_one)

        assert isinstance(ann, NotADirectoryError)
        assert [str, str] == [type(outcome) for outcome in (bob, eve)]

    def test_full_maildir_spoils_its_own_message_alone(self, root: Path, names: UniqueNames) -> None:
        quota = Quota(Limits(messages=1), ManualClock().now, names)
        maildirs = Maildirs(root, names, quota)

        outcomes = together(
            [maildirs.store(place, [b"x"], is_wanted=always) for place in (FOLDER, FOLDER, self.ANN)], one_by_one
        )

        assert [str, OverQuota, str] == [type(outcome) for outcome in outcomes]

    def test_no_descriptor_stays_open(self, company: list[Steps[str]], root: Path) -> None:
        together(company, lambda fds: {next(iter(fds)): OSError(5, "the disk says no")})

        assert [] == open_below(root)

    @pytest.mark.needs("strace")
    def test_case_062_kernel_sees_files_synced_then_linked_then_synced_with_their_folders_then_the_answer(
        self, root: Path
    ) -> None:
        program = (
            "import os, sys; from pathlib import Path; from mdacore.runtime import SystemClock\n"
            "from mdacore_relay_maildir.maildirs import Maildirs, UniqueNames\n"
            "from mdacore_relay_maildir.steps import together\n"
            "from mdacore_relay_maildir.subfolder import Place\n"
            "from mdacore_relay_maildir.syncs import Syncs\n"
            "maildirs, syncs = Maildirs(Path(sys.argv[1]), UniqueNames('h', SystemClock())), Syncs()\n"
            "def deliver():\n"
            "    two = [maildirs.store(Place((name,)), [b'x'], is_wanted=lambda: True) for name in ('a', 'b')]\n"
            "    together(two, syncs); os.write(1, b'answer')\n"
            "deliver(); deliver()\n"
        )
        traced = "trace=io_submit,io_getevents,linkat,fsync,write"
        command = ["strace", "-f", "-s", "500", "-e", traced, sys.executable, "-c", program, str(root)]

        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

        second = done.stderr.partition('"answer"')[2].splitlines()
        calls = [(line.partition("(")[0], line.count("IOCB_CMD_FSYNC")) for line in second if '"x"' not in line]
        shown, done_with = [("linkat", 0)] * 2, ("io_getevents", 0)
        assert [("io_submit", 2), done_with, *shown, ("io_submit", 4), done_with, ("write", 0)] == calls[1:8]
