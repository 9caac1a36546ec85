"""Syncs: whatever is asked for is synced, at the same time or in turn, and errors are told by descriptor."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from errno import EBADF, EIO, ENOSYS
from pathlib import Path

import attrs
import pytest

from mdacore_relay_maildir.kernel_aio import MAX_SYNCS
from mdacore_relay_maildir.syncs import Syncs


@pytest.fixture
def fds(tmp_path: Path) -> Iterator[list[int]]:
    opened = [os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT, 0o600) for name in "abc"]
    yield opened
    for fd in opened:
        os.close(fd)


@attrs.define
class Kernel:
    """One that syncs `knows`; what is asked for stands in `asked`, and an error is `errors`' affair."""

    knows: frozenset[int]
    errors: dict[int, OSError] = attrs.field(factory=dict)
    asked: list[list[int]] = attrs.field(factory=list)
    is_closed: bool = False

    def fsync(self, fds: Sequence[int]) -> dict[int, OSError | None]:
        self.asked.append(list(fds))
        return {fd: self.errors.get(fd) for fd in fds if fd in self.knows}

    def close(self) -> None:
        self.is_closed = True


def no_kernel() -> Kernel:
    raise OSError(ENOSYS, "no such thing")


@pytest.fixture
def fsynced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is synced in turn."""
    seen: list[int] = []
    fsync = os.fsync

    def record(fd: int) -> None:
        seen.append(fd)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", record)
    return seen


class TestSyncing:
    def test_several_are_synced_by_the_kernel_at_once(self, fds: list[int], fsynced: list[int]) -> None:
        syncs = Syncs()

        errors = syncs(fds)
        syncs.close()

        assert {} == errors
        assert [] == fsynced

    def test_single_one_needs_no_kernel(self, fds: list[int], fsynced: list[int]) -> None:
        kernel = Kernel(frozenset(fds))

        Syncs(lambda: kernel)(fds[:1])

        assert fds[:1] == fsynced
        assert [] == kernel.asked

    def test_what_the_kernel_does_not_take_is_synced_in_turn(self, fds: list[int], fsynced: list[int]) -> None:
        errors = Syncs(lambda: Kernel(frozenset(fds[:1])))(fds)

        assert {} == errors
        assert fds[1:] == fsynced

    def test_all_are_synced_in_turn_where_there_is_no_kernel(self, fds: list[int], fsynced: list[int]) -> None:
        errors = Syncs(no_kernel)(fds)

        assert {} == errors
        assert fds == fsynced

    def test_errors_are_those_of_either_way(self, fds: list[int]) -> None:
        kernel = Kernel(frozenset(fds[:2]), errors={fds[1]: OSError(EIO, "broken")})

        errors = Syncs(lambda: kernel)([*fds, 1_000_000])

        assert {fds[1]: EIO, 1_000_000: EBADF} == {fd: error.errno for fd, error in errors.items()}

    def test_more_than_the_kernel_takes_at_once_are_several_calls(self) -> None:
        several = list(range(1000, 1000 + 2 * MAX_SYNCS + 1))
        kernel = Kernel(frozenset(several))

        errors = Syncs(lambda: kernel)(several)

        assert {} == errors
        assert [several[:MAX_SYNCS], several[MAX_SYNCS:-1], several[-1:]] == kernel.asked


class TestContexts:
    def test_context_is_used_again(self, fds: list[int]) -> None:
        made: list[Kernel] = []

        def make() -> Kernel:
            made.append(Kernel(frozenset(fds)))
            return made[-1]

        syncs = Syncs(make)

        syncs(fds)
        syncs(fds)

        assert 1 == len(made)

    def test_threads_have_contexts_of_their_own_and_close_ends_them(self, fds: list[int]) -> None:
        """Else one thread would get the answers that another one waits for."""
        both_are_in = threading.Barrier(2, timeout=60)
        made: list[Kernel] = []

        class Slow(Kernel):
            def fsync(self, fds: Sequence[int]) -> dict[int, OSError | None]:
                both_are_in.wait()
                return super().fsync(fds)

        def make() -> Kernel:
            made.append(Slow(frozenset(fds)))
            return made[-1]

        syncs = Syncs(make)
        threads = [threading.Thread(target=syncs, args=(fds,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        syncs.close()

        assert [True, True] == [kernel.is_closed for kernel in made]


class TestProbe:
    def test_real_kernel_syncs_at_the_same_time(self, fds: list[int]) -> None:
        assert Syncs().are_parallel_for(fds[0])

    def test_without_a_kernel_syncs_take_turns(self, fds: list[int]) -> None:
        assert not Syncs(no_kernel).are_parallel_for(fds[0])

    def test_without_this_kind_of_file_syncs_take_turns(self, fds: list[int]) -> None:
        assert not Syncs(lambda: Kernel(frozenset())).are_parallel_for(fds[0])

    def test_broken_disk_is_told(self, fds: list[int]) -> None:
        kernel = Kernel(frozenset(fds), errors={fds[0]: OSError(EIO, "broken")})

        with pytest.raises(OSError, match="broken"):
            Syncs(lambda: kernel).are_parallel_for(fds[0])
