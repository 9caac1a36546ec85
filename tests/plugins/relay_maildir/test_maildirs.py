"""Maildirs: what is in ``new/`` is whole and durable, and nothing outside of the root is touched."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mdacore.testing import ManualClock
from mdacore_relay_maildir.drafts import Drafts
from mdacore_relay_maildir.maildirs import Maildirs, UniqueNames
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
        name = maildirs.store(FOLDER, [b"one\n", b"", b"two\n"], is_wanted=always)

        assert [f"example.com/bob/new/{name}"] == tree(root)
        assert b"one\ntwo\n" == (root / "example.com/bob/new" / name).read_bytes()

    def test_size_is_in_the_name(self, maildirs: Maildirs) -> None:
        """Maildir++: so that counting needs no look at each file."""
        name = maildirs.store(FOLDER, [b"one\n", b"x" * 70_000, b"two\n"], is_wanted=always)

        assert name.endswith(".mx.example.com,S=70008")

    def test_maildir_is_made_for_its_owner_alone(self, maildirs: Maildirs, root: Path) -> None:
        name = maildirs.store(FOLDER, [b"x"], is_wanted=always)

        folders = [".", "example.com", *(f"example.com/bob/{part}" for part in ("", "cur", "tmp", "new"))]
        assert {0o700} == {stat.S_IMODE((root / folder).stat().st_mode) for folder in folders}
        assert 0o600 == stat.S_IMODE((root / "example.com/bob/new" / name).stat().st_mode)

    def test_maildir_that_was_removed_is_made_again(self, maildirs: Maildirs, root: Path) -> None:
        maildirs.store(FOLDER, [b"x"], is_wanted=always)
        for path in sorted((root / "example.com").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

        name = maildirs.store(FOLDER, [b"y"], is_wanted=always)

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

        name = maildirs.store(FOLDER, [b"x"], is_wanted=always)

        assert f"1700000000.M0P{os.getpid()}Q2.mx.example.com,S=1" == name
        assert b"older" == taken.read_bytes()
        assert b"x" == (root / "example.com/bob/new" / name).read_bytes()

    def test_names_that_are_all_taken_end_in_an_error(self, root: Path) -> None:
        maildirs = Maildirs(root, lambda: "same")
        maildirs.store(FOLDER, [b"x"], is_wanted=always)

        with pytest.raises(FileExistsError):
            maildirs.store(FOLDER, [b"y"], is_wanted=always)

        assert ["example.com/bob/new/same,S=1"] == tree(root)
        assert b"x" == (root / "example.com/bob/new/same,S=1").read_bytes()

    def test_message_that_is_no_longer_wanted_is_not_seen(self, maildirs: Maildirs, root: Path) -> None:
        with pytest.raises(InterruptedError):
            maildirs.store(FOLDER, [b"x"], is_wanted=lambda: False)

        assert [] == tree(root)

    def test_error_in_mid_file_leaves_nothing(self, maildirs: Maildirs, root: Path) -> None:
        with files_limited_to(100_000), pytest.raises(OSError, match="too large"):
            maildirs.store(FOLDER, [b"x" * 65_536] * 2, is_wanted=always)

        assert [] == tree(root)

    def test_body_that_cannot_be_read_to_its_end_leaves_nothing(self, maildirs: Maildirs, root: Path) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"half a mess"
            raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            maildirs.store(FOLDER, pieces(), is_wanted=always)

        assert [] == tree(root)

    def test_no_descriptor_stays_open(self, maildirs: Maildirs, root: Path) -> None:
        maildirs.store(FOLDER, [b"x"], is_wanted=always)
        with pytest.raises(InterruptedError):
            maildirs.store(FOLDER, [b"x"], is_wanted=lambda: False)

        assert [] == open_below(root)

    def test_many_threads_at_once_each_leave_their_message(self, maildirs: Maildirs, root: Path) -> None:
        def deliver(thread: int) -> None:
            for number in range(10):
                maildirs.store(FOLDER, [b"%d/%d" % (thread, number)], is_wanted=always)

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
        name = maildirs.store(self.LISTS, [b"x"], is_wanted=always)

        assert [f"example.com/bob/.Lists/{path}" for path in ("maildirfolder", f"new/{name}")] == tree(root)

    def test_maildir_around_a_new_sub_folder_is_whole(self, maildirs: Maildirs, root: Path) -> None:
        maildirs.store(self.LISTS, [b"x"], is_wanted=always)

        box = root / "example.com/bob"
        assert {".Lists", "tmp", "new", "cur"} == {path.name for path in box.iterdir()}
        assert {"maildirfolder", "tmp", "new", "cur"} == {path.name for path in (box / ".Lists").iterdir()}

    def test_case_062_first_message_syncs_the_sub_folder_too(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recorder = Recorder(monkeypatch, root)

        maildirs.store(self.LISTS, [b"x"], is_wanted=always)

        synced = [call for call in recorder.calls if call.startswith("fsync")]
        box = "example.com/bob"
        assert [
            f"fsync {what}" for what in (f"{box}/.Lists", box, "example.com", ".", "file", f"{box}/.Lists/new")
        ] == synced

    def test_place_is_the_sub_folder_that_is_there(self, maildirs: Maildirs) -> None:
        maildirs.store(self.LISTS, [b"x"], is_wanted=always)

        assert self.LISTS == maildirs.place(FOLDER.maildir, ".Lists")

    def test_place_is_the_maildir_where_there_is_no_such_folder(self, maildirs: Maildirs) -> None:
        without_maildir = maildirs.place(FOLDER.maildir, ".Lists")
        maildirs.store(FOLDER, [b"x"], is_wanted=always)

        assert (FOLDER, FOLDER) == (without_maildir, maildirs.place(FOLDER.maildir, ".Lists"))

    def test_folder_that_its_owner_has_removed_is_not_made_again(self, maildirs: Maildirs, root: Path) -> None:
        maildirs.store(self.LISTS, [b"x"], is_wanted=always)
        (root / "example.com/bob/.Lists").rename(root / "example.com/bob/.Other")

        assert FOLDER == maildirs.place(FOLDER.maildir, ".Lists")

    def test_folders_may_be_made_up_to_a_number(self, maildirs: Maildirs) -> None:
        places = []
        for name in (".a", ".b", ".c", ".b"):
            places.append(maildirs.place(FOLDER.maildir, name, makes_up_to=2))
            maildirs.store(places[-1], [b"x"], is_wanted=always)

        assert [".a", ".b", "", ".b"] == [place.subfolder for place in places]

    @pytest.mark.parametrize("kind", ["file", "folder", "link"])
    def test_what_is_no_maildir_is_left_alone(self, maildirs: Maildirs, root: Path, tmp_path: Path, kind: str) -> None:
        """``bob+ssh@`` must not find its way into ``.ssh``."""
        maildirs.store(FOLDER, [b"x"], is_wanted=always)
        ssh = root / "example.com/bob/.ssh"
        (tmp_path / "outside/new").mkdir(parents=True)
        {"file": ssh.touch, "folder": ssh.mkdir, "link": lambda: ssh.symlink_to(tmp_path / "outside")}[kind]()

        assert FOLDER == maildirs.place(FOLDER.maildir, ".ssh", makes_up_to=100)

    def test_descriptors_are_closed(self, maildirs: Maildirs, root: Path) -> None:
        maildirs.store(self.LISTS, [b"x"], is_wanted=always)
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
            maildirs.store(FOLDER, [b"x"], is_wanted=always)
            (root / where).rename(tmp_path / "aside")
        else:
            (root / where).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (root / where).symlink_to(outside)

        with pytest.raises(NotADirectoryError):
            maildirs.store(FOLDER, [b"x"], is_wanted=always)

        assert [] == tree(outside)

    @pytest.mark.parametrize("where", [".", "example.com", "example.com/bob", "example.com/bob/new"])
    def test_case_114_folder_that_everybody_may_write_is_refused(
        self, maildirs: Maildirs, root: Path, where: str
    ) -> None:
        (root / "example.com/bob/new").mkdir(parents=True, mode=0o700)
        (root / where).chmod(0o777)

        with pytest.raises(UnsafeFolder, match="written by everybody"):
            maildirs.store(FOLDER, [b"x"], is_wanted=always)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    @pytest.mark.parametrize("where", [".", "example.com", "example.com/bob", "example.com/bob/new"])
    def test_case_089_folder_of_another_user_is_refused(self, maildirs: Maildirs, root: Path, where: str) -> None:
        (root / "example.com/bob/new").mkdir(parents=True, mode=0o700)
        os.chown(root / where, 12_345, -1)

        with pytest.raises(UnsafeFolder, match="belongs to user 12345"):
            maildirs.store(FOLDER, [b"x"], is_wanted=always)

    def test_file_in_a_folder_s_place_is_refused(self, maildirs: Maildirs, root: Path) -> None:
        (root / "example.com").write_text("")

        with pytest.raises(NotADirectoryError):
            maildirs.store(FOLDER, [b"x"], is_wanted=always)


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
        return ["fsync file", "link example.com/bob/new", *unlink, "fsync example.com/bob/new"]

    def test_case_062_first_message_syncs_its_file_then_its_name_and_all_folders(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch, sync_and_show: list[str]
    ) -> None:
        recorder = Recorder(monkeypatch, root)

        maildirs.store(FOLDER, [b"x"], is_wanted=always)

        made = ["mkdir ./example.com", "mkdir example.com/bob"]
        made += [f"mkdir example.com/bob/{part}" for part in ("tmp", "new", "cur")]
        synced = ["fsync example.com/bob", "fsync example.com", "fsync ."]
        assert [*made, *synced, *sync_and_show] == recorder.calls

    def test_case_062_next_message_syncs_its_file_then_its_name(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch, sync_and_show: list[str]
    ) -> None:
        maildirs.store(FOLDER, [b"x"], is_wanted=always)
        recorder = Recorder(monkeypatch, root)

        maildirs.store(FOLDER, [b"y"], is_wanted=always)

        assert sync_and_show == recorder.calls

    def test_folders_that_an_earlier_process_left_unsynced_are_synced(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A folder may be there in memory only, when whoever made it was killed before the sync."""
        maildirs.store(FOLDER, [b"x"], is_wanted=always)
        recorder = Recorder(monkeypatch, root)

        Maildirs(root, UniqueNames("other", ManualClock())).store(FOLDER, [b"y"], is_wanted=always)

        assert {"fsync .", "fsync example.com", "fsync example.com/bob"} <= set(recorder.calls)

    def test_failed_sync_of_the_file_leaves_nothing(
        self, maildirs: Maildirs, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = maildirs.store(FOLDER, [b"x"], is_wanted=always)

        def broken(_fd: int) -> None:
            raise OSError(5, "the disk says no")

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="says no"):
            maildirs.store(FOLDER, [b"y"], is_wanted=always)

        assert [f"example.com/bob/new/{name}"] == tree(root)

    def test_killed_process_leaves_only_whole_messages_in_new(self, root: Path) -> None:
        """Case 61 at the relay: three kills in the middle of writing 1 MB messages."""
        program = (
            "import sys; from pathlib import Path; from mdacore.runtime import SystemClock\n"
            "from mdacore_relay_maildir.maildirs import Maildirs, UniqueNames\n"
            "from mdacore_relay_maildir.subfolder import Place\n"
            "maildirs = Maildirs(Path(sys.argv[1]), UniqueNames('h', SystemClock()))\n"
            "while True:\n"
            "    maildirs.store(Place(('bob',)), [b'x' * 65536] * 16, is_wanted=lambda: True); print('.', flush=True)\n"
        )
        for _ in range(3):
            with subprocess.Popen([sys.executable, "-c", program, str(root)], stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                for _ in range(3):
                    process.stdout.readline()
                process.send_signal(signal.SIGKILL)

        sizes = [file.stat().st_size for file in (root / "bob/new").iterdir()]
        assert len(sizes) >= 9
        assert {16 * 65_536} == set(sizes)
