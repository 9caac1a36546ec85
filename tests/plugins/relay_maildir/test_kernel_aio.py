"""KernelAio: the kernel syncs what it is given, and says what it could not."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from errno import EIO, ENOSPC
from pathlib import Path

import pytest

from mdacore_relay_maildir import kernel_aio
from mdacore_relay_maildir.kernel_aio import MAX_SYNCS, KernelAio, outcomes_in


@pytest.fixture
def aio() -> Iterator[KernelAio]:
    context = KernelAio()
    yield context
    context.close()


@pytest.fixture
def fds(tmp_path: Path) -> Iterator[list[int]]:
    """Two files and their folder."""
    opened = [os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT, 0o600) for name in ("a", "b")]
    opened.append(os.open(tmp_path, os.O_RDONLY))
    yield opened
    for fd in opened:
        os.close(fd)


class TestSync:
    def test_files_and_folders_are_synced(self, aio: KernelAio, fds: list[int]) -> None:
        assert dict.fromkeys(fds) == aio.fsync(fds)

    def test_context_can_be_used_again(self, aio: KernelAio, fds: list[int]) -> None:
        assert [dict.fromkeys(fds)] * 3 == [aio.fsync(fds) for _ in range(3)]

    def test_as_many_as_are_allowed_are_taken(self, aio: KernelAio, fds: list[int]) -> None:
        several = [os.dup(fds[0]) for _ in range(MAX_SYNCS)]

        outcomes = aio.fsync(several)

        for fd in several:
            os.close(fd)
        assert dict.fromkeys(several) == outcomes

    def test_nothing_is_no_work(self, aio: KernelAio) -> None:
        assert {} == aio.fsync([])

    def test_what_the_kernel_does_not_take_is_left_out(self, aio: KernelAio, fds: list[int]) -> None:
        assert {fds[0]: None} == aio.fsync([fds[0], 1_000_000, fds[1]])

    def test_what_cannot_be_synced_at_all_is_left_out(self, aio: KernelAio) -> None:
        reading, writing = os.pipe()

        outcomes = aio.fsync([reading])

        os.close(reading)
        os.close(writing)
        assert {} == outcomes

    @pytest.mark.needs("strace")
    def test_disk_has_been_asked(self, tmp_path: Path) -> None:
        """A process of its own, watched: the kernel gets every descriptor, and the call ends when it is through."""
        program = (
            "import os, sys; from mdacore_relay_maildir.kernel_aio import KernelAio\n"
            "fds = [os.open(sys.argv[1] + name, os.O_WRONLY | os.O_CREAT) for name in '/a /b'.split()]\n"
            "context = KernelAio(); context.fsync(fds); context.close()\n"
        )
        command = ["strace", "-f", "-e", "trace=io_submit,io_getevents,io_destroy", sys.executable, "-c", program]

        traced = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True)

        calls = [line for line in traced.stderr.splitlines() if line.startswith("io_")]
        assert ["io_submit", "io_getevents", "io_destroy"] == [call.partition("(")[0] for call in calls]
        assert 2 == calls[0].count("IOCB_CMD_FSYNC")
        assert 2 == calls[1].count("res=0")


class TestEvents:
    def test_each_says_what_became_of_its_descriptor(self) -> None:
        events = struct.pack("<QQqqQQqqQQqq", 7, 0, 0, 0, 8, 0, -EIO, 0, 9, 0, -ENOSPC, 0)

        errors = {fd: error and error.errno for fd, error in outcomes_in(events).items()}

        assert {7: None, 8: EIO, 9: ENOSPC} == errors


class TestMissing:
    def test_unknown_machine_has_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kernel_aio, "_NUMBERS", {})

        with pytest.raises(OSError, match="not implemented"):
            KernelAio()
