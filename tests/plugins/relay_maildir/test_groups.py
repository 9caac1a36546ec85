"""Groups: what comes meanwhile is done together, nobody waits for the slow, and the hub for nothing at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator

import attrs
import gevent
import pytest
from gevent.event import Event

from mdacore_relay_maildir import groups as groups_module
from mdacore_relay_maildir.groups import Groups
from mdacore_relay_maildir.steps import Steps

LIMIT_S = 20.0
"""Far more than anything in here takes on a busy machine."""


@attrs.define
class Disk:
    """Syncs nothing, and remembers the rounds."""

    rounds: list[list[int]] = attrs.field(factory=list)

    def __call__(self, fds: Collection[int]) -> dict[int, OSError]:
        self.rounds.append(sorted(fds))
        return {}


class Gate:
    """Steps that begin in a thread, tell the hub, and wait there until they are let go on."""

    def __init__(self) -> None:
        self._loop = gevent.get_hub().loop
        self.has_begun = Event()
        self._is_open = threading.Event()

    def steps(self) -> Steps[str]:
        self._loop.run_callback_threadsafe(self.has_begun.set)
        assert self._is_open.wait(LIMIT_S)
        yield (0,)
        return "gate"

    def open(self) -> None:
        self._is_open.set()


def steps(number: int) -> Steps[str]:
    yield (number,)
    return str(number)


def wrong() -> Steps[str]:
    yield (1,)
    raise ZeroDivisionError


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def make_groups(disk: Disk) -> Iterator[Callable[..., Groups[str]]]:
    """Makes groups; stops them when the test is over."""
    made = []

    def make(max_threads: int = 4, max_group: int = 8) -> Groups[str]:
        made.append(Groups[str](max_threads, max_group, disk))
        return made[-1]

    yield make
    for groups in made:
        groups.stop(LIMIT_S)


@pytest.fixture
def groups(make_groups: Callable[..., Groups[str]]) -> Groups[str]:
    return make_groups()


@pytest.fixture
def no_end_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what must not have to wait for it; another fixture makes the groups after this one."""
    monkeypatch.setattr(groups_module, "PATIENCE_S", 10 * LIMIT_S)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def do_all(groups: Groups[str], *several: Steps[str]) -> list[gevent.Greenlet[..., str]]:
    return [gevent.spawn(groups.do, each) for each in several]


def results(greenlets: list[gevent.Greenlet[..., str]]) -> list[str]:
    return [greenlet.get(timeout=LIMIT_S) for greenlet in greenlets]


class TestGrouping:
    def test_single_one_is_done_at_once(self, groups: Groups[str], disk: Disk) -> None:
        assert "7" == groups.do(steps(7))
        assert [[7]] == disk.rounds

    def test_what_begins_in_one_turn_is_one_group(self, groups: Groups[str], disk: Disk) -> None:
        assert ["1", "2", "3"] == results(do_all(groups, steps(1), steps(2), steps(3)))
        assert [[1, 2, 3]] == disk.rounds

    def test_what_comes_while_a_group_is_done_forms_the_next(
        self, make_groups: Callable[..., Groups[str]], disk: Disk, gate: Gate
    ) -> None:
        groups = make_groups(max_threads=1)
        first = do_all(groups, gate.steps())
        gate.has_begun.wait(LIMIT_S)

        others = do_all(groups, steps(1), steps(2))
        gevent.idle()
        gate.open()

        assert ["gate", "1", "2"] == results(first + others)
        assert [[0], [1, 2]] == disk.rounds

    def test_group_has_no_more_than_its_limit(self, make_groups: Callable[..., Groups[str]], disk: Disk) -> None:
        groups = make_groups(max_group=2)

        assert [str(number) for number in range(5)] == results(do_all(groups, *map(steps, range(5))))
        assert [[0, 1], [2, 3], [4]] == disk.rounds

    def test_long_ones_are_in_no_group(self, groups: Groups[str], disk: Disk) -> None:
        long = gevent.spawn(groups.do, steps(7), is_long=True)

        assert ["1", "2", "7"] == results([*do_all(groups, steps(1), steps(2)), long])
        assert [[1, 2], [7]] == sorted(disk.rounds)

    @pytest.mark.usefixtures("no_end_of_patience")
    def test_long_ones_keep_nobody_waiting(self, groups: Groups[str], gate: Gate) -> None:
        long = gevent.spawn(groups.do, gate.steps(), is_long=True)
        gate.has_begun.wait(LIMIT_S)

        others = results(do_all(groups, steps(1), steps(2)))
        is_waiting = not long.ready()
        gate.open()

        assert ["1", "2"] == others
        assert is_waiting
        assert "gate" == long.get(timeout=LIMIT_S)

    def test_group_that_hangs_keeps_the_next_waiting_for_a_moment_only(
        self, groups: Groups[str], disk: Disk, gate: Gate
    ) -> None:
        hanging = do_all(groups, gate.steps())
        gate.has_begun.wait(LIMIT_S)

        others = results(do_all(groups, steps(1), steps(2)))
        is_waiting = not hanging[0].ready()
        gate.open()

        assert ["1", "2"] == others
        assert is_waiting
        assert [1, 2] == disk.rounds[0]

    def test_who_finds_no_room_in_a_group_that_hangs_waits_for_a_moment_only(
        self, make_groups: Callable[..., Groups[str]], gate: Gate
    ) -> None:
        *_, left_over = do_all(make_groups(max_group=2), gate.steps(), steps(1), steps(2))

        assert "2" == left_over.get(timeout=LIMIT_S)

    @pytest.mark.usefixtures("no_end_of_patience")
    def test_groups_of_one_are_done_side_by_side(self, make_groups: Callable[..., Groups[str]], gate: Gate) -> None:
        groups = make_groups(max_group=1)
        first = do_all(groups, gate.steps())
        gate.has_begun.wait(LIMIT_S)

        assert "1" == groups.do(steps(1))
        assert not first[0].ready()


class TestFailure:
    def test_what_the_steps_raise_is_raised_to_their_greenlet_alone(self, groups: Groups[str]) -> None:
        failing, well = do_all(groups, wrong(), steps(2))
        gevent.joinall([failing, well], timeout=LIMIT_S)

        assert isinstance(failing.exception, ZeroDivisionError)
        assert "2" == well.value

    def test_groups_go_on_after_it(self, groups: Groups[str]) -> None:
        with pytest.raises(ZeroDivisionError):
            groups.do(wrong())

        assert "1" == groups.do(steps(1))

    def test_round_that_cannot_be_made_fails_the_whole_group(self) -> None:
        def broken(fds: Collection[int]) -> dict[int, OSError]:
            raise OSError("no round")

        groups = Groups[str](1, 8, broken)
        several = do_all(groups, steps(1), steps(2))
        gevent.joinall(several, timeout=LIMIT_S)
        groups.stop(LIMIT_S)

        assert ["no round"] * 2 == [str(greenlet.exception) for greenlet in several]


class TestGivingUp:
    def test_what_is_given_up_before_its_group_begins_is_never_begun(
        self, make_groups: Callable[..., Groups[str]], disk: Disk, gate: Gate
    ) -> None:
        groups = make_groups(max_threads=1)
        first = do_all(groups, gate.steps())
        gate.has_begun.wait(LIMIT_S)
        others = do_all(groups, steps(1), steps(2))
        gevent.idle()

        others[0].kill()
        gate.open()

        assert ["gate", "2"] == results([first[0], others[1]])
        assert [[0], [2]] == disk.rounds

    def test_what_has_begun_is_in_hand_until_its_end(self, groups: Groups[str], gate: Gate) -> None:
        given_up, other = do_all(groups, gate.steps(), steps(1))
        gate.has_begun.wait(LIMIT_S)

        given_up.kill()
        in_hand = groups.in_hand
        gate.open()

        assert 2 == in_hand
        assert "1" == other.get(timeout=LIMIT_S)
        assert 0 == groups.in_hand

    def test_others_of_its_group_are_told_when_one_has_left(self, groups: Groups[str], gate: Gate) -> None:
        given_up, other = do_all(groups, gate.steps(), steps(1))
        gate.has_begun.wait(LIMIT_S)

        with gevent.Timeout(0.001, False):
            given_up.get()
        given_up.kill()
        gate.open()

        assert "1" == other.get(timeout=LIMIT_S)


class TestInHand:
    def test_all_are_counted(self, make_groups: Callable[..., Groups[str]], gate: Gate) -> None:
        """One that waits, two in a group, and a long one."""
        groups = make_groups(max_threads=2)
        greenlets = do_all(groups, gate.steps(), steps(1))
        gate.has_begun.wait(LIMIT_S)
        second = Gate()
        greenlets.append(gevent.spawn(groups.do, second.steps(), is_long=True))
        second.has_begun.wait(LIMIT_S)
        greenlets += do_all(groups, steps(2))
        gevent.idle()

        in_hand = groups.in_hand
        gate.open()
        second.open()
        gevent.joinall(greenlets, timeout=LIMIT_S)

        assert 4 == in_hand
        assert 0 == groups.in_hand


class TestStop:
    def test_nothing_begins_after_it(self, groups: Groups[str]) -> None:
        groups.stop(LIMIT_S)

        with pytest.raises(RuntimeError, match="stopped"):
            groups.do(steps(1))

    @pytest.mark.parametrize("has_looked", [False, True])
    def test_what_waits_is_never_begun(
        self, make_groups: Callable[..., Groups[str]], disk: Disk, gate: Gate, has_looked: bool
    ) -> None:
        groups = make_groups(max_threads=1)
        first = do_all(groups, gate.steps())
        gate.has_begun.wait(LIMIT_S)
        waiting = do_all(groups, steps(1))
        gevent.idle() if has_looked else gevent.sleep(0)

        groups.stop(0.01)
        gate.open()
        results(first)
        gevent.killall(waiting)

        assert [[0]] == disk.rounds

    def test_it_may_come_in_the_turn_in_which_a_group_is_about_to_begin(self, groups: Groups[str], disk: Disk) -> None:
        (greenlet,) = do_all(groups, steps(1))
        gevent.sleep(0)

        groups.stop(LIMIT_S)
        gevent.idle()
        greenlet.kill()

        assert [] == disk.rounds
