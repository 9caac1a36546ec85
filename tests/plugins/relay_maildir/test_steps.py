"""Steps: each waits for its own syncs, shares the rounds with the others, and fails alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from errno import EIO
from pathlib import Path

import attrs
import pytest

from mdacore_relay_maildir.steps import Steps, alone, one_by_one, together


@attrs.define
class Disk:
    """Syncs nothing, and remembers what it was asked for; each of `broken` fails."""

    broken: frozenset[int] = frozenset()
    rounds: list[list[int]] = attrs.field(factory=list)

    def __call__(self, fds: Collection[int]) -> dict[int, OSError]:
        self.rounds.append(list(fds))
        return {fd: OSError(EIO, f"sync of {fd} failed") for fd in fds if fd in self.broken}


def steps(name: str, *waits: tuple[int, ...], log: list[str] | None = None) -> Steps[str]:
    """Wait for these, one after the other."""
    for fds in waits:
        yield fds
        if log is not None:
            log.append(f"{name} after {fds}")
    return name


class TestTogether:
    def test_one_round_of_syncs_serves_all(self) -> None:
        disk = Disk()

        outcomes = together([steps("a", (1,), (2, 3)), steps("b", (4,), (5, 6))], disk)

        assert ["a", "b"] == outcomes
        assert [[1, 4], [2, 3, 5, 6]] == disk.rounds

    def test_next_step_comes_after_the_sync(self) -> None:
        log: list[str] = []

        def sync(fds: Collection[int]) -> dict[int, OSError]:
            log.append(f"sync {list(fds)}")
            return {}

        together([steps("a", (1,), (2,), log=log), steps("b", (3,), log=log)], sync)

        assert ["sync [1, 3]", "a after (1,)", "b after (3,)", "sync [2]", "a after (2,)"] == log

    def test_what_several_wait_for_is_synced_once(self) -> None:
        disk = Disk()

        together([steps("a", (1, 9)), steps("b", (2, 9))], disk)

        assert [[1, 9, 2]] == disk.rounds

    def test_those_that_are_done_early_take_part_in_no_more_rounds(self) -> None:
        disk = Disk()

        outcomes = together([steps("a"), steps("b", (1,)), steps("c", (2,), (3,))], disk)

        assert ["a", "b", "c"] == outcomes
        assert [[1, 2], [3]] == disk.rounds

    def test_failed_sync_is_thrown_into_those_who_wait_for_it_alone(self) -> None:
        disk = Disk(broken=frozenset({3}))

        first, second, third = together([steps("a", (1,), (2,)), steps("b", (3, 4), (5,)), steps("c", (3,))], disk)

        assert "a" == first
        assert ["sync of 3 failed"] * 2 == [error.strerror for error in (second, third) if isinstance(error, OSError)]
        assert [[1, 3, 4], [2]] == disk.rounds

    def test_steps_may_go_on_after_a_failed_sync(self) -> None:
        def stubborn() -> Steps[str]:
            try:
                yield (1,)
            except OSError:
                yield (2,)
            return "at last"

        disk = Disk(broken=frozenset({1}))

        assert ["at last"] == together([stubborn()], disk)
        assert [[1], [2]] == disk.rounds

    def test_bug_in_one_spoils_no_other(self) -> None:
        def wrong() -> Steps[str]:
            yield (1,)
            raise ZeroDivisionError

        first, second = together([wrong(), steps("b", (2,), (3,))], Disk())

        assert isinstance(first, ZeroDivisionError)
        assert "b" == second

    def test_nothing_is_no_work(self) -> None:
        disk = Disk()

        assert [] == together([], disk)
        assert [] == disk.rounds


class TestAlone:
    @pytest.fixture
    def fd(self, tmp_path: Path) -> Iterator[int]:
        fd = os.open(tmp_path, os.O_RDONLY)
        yield fd
        os.close(fd)

    def test_result_is_given(self, fd: int) -> None:
        assert "a" == alone(steps("a", (fd,), (fd,)))

    def test_failure_is_raised(self) -> None:
        with pytest.raises(OSError, match="Bad file descriptor"):
            alone(steps("a", (1_000_000,)))

    def test_errors_are_told_by_descriptor(self, fd: int) -> None:
        assert {1_000_000: OSError} == {wrong: type(error) for wrong, error in one_by_one([fd, 1_000_000]).items()}
