"""GroupCommit: everybody who waits is committed with others, once, and hears of it."""

from __future__ import annotations

import threading
import time

import gevent
import pytest
from gevent.event import AsyncResult, Event

from mdacore.runtime import GroupCommit
from mdacore.runtime.group_commit import PATIENCE_S


class Committer:
    """Commits by doubling each job. The first batch waits in its thread until `go` is set."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.begun = threading.Event()

    def __call__(self, jobs):
        self.batches.append(list(jobs))
        self.threads.add(threading.get_ident())
        self.begun.set()
        if len(self.batches) == 1:
            assert self.go.wait(60)
        return [ValueError(job) if job < 0 else job * 2 for job in jobs]


@pytest.fixture
def committer():
    return Committer()


@pytest.fixture
def given_up():
    """What was handed to `abandoned`."""
    return []


@pytest.fixture
def group(committer, given_up):
    group = GroupCommit(committer, max_batch=4, abandoned=lambda job, result: given_up.append((job, result)))
    yield group
    committer.go.set()
    group.stop()


def begin(group, committer, *jobs):
    """Submit in a greenlet each; the first is in its batch when this returns, the others wait."""
    first = gevent.spawn(group.submit, jobs[0])
    while not committer.begun.is_set():
        gevent.idle()
    rest = [gevent.spawn(group.submit, job) for job in jobs[1:]]
    gevent.idle()
    return [first, *rest]


class TestBatches:
    def test_what_arrives_during_a_commit_is_the_next_batch_in_order(self, group, committer):
        waiting = begin(group, committer, 1, 2, 3, 4)

        committer.go.set()
        gevent.joinall(waiting, raise_error=True)

        assert [[1], [2, 3, 4]] == committer.batches
        assert [2, 4, 6, 8] == [greenlet.value for greenlet in waiting]

    def test_a_batch_has_at_most_max_batch_jobs(self, group, committer):
        waiting = begin(group, committer, *range(10))

        committer.go.set()
        gevent.joinall(waiting, raise_error=True)

        assert [1, 4, 4, 1] == [len(batch) for batch in committer.batches]

    def test_what_is_not_urgent_goes_with_the_next_that_is(self, group, committer):
        committer.go.set()
        patient = gevent.spawn(group.submit, 1, is_urgent=False)
        gevent.sleep(0)

        assert 4 == group.submit(2)

        assert [[1, 2]] == committer.batches
        assert 2 == patient.get(timeout=0)

    def test_what_is_not_urgent_goes_alone_in_the_end(self, group, committer):
        committer.go.set()

        for job in (1, 2, 3):
            began_at = time.monotonic()
            gevent.get_hub().loop.update_now()
            gevent.spawn(group.submit, job, is_urgent=False).get(timeout=60)
            assert time.monotonic() - began_at >= PATIENCE_S

        assert [[1], [2], [3]] == committer.batches

    def test_what_is_not_urgent_is_committed_at_once_when_it_stops(self, group, committer):
        committer.go.set()
        patient = gevent.spawn(group.submit, 1, is_urgent=False)
        gevent.sleep(0)

        group.stop()

        assert 2 == patient.get(timeout=0)

    def test_the_commit_runs_in_one_thread_that_is_not_the_hubs(self, group, committer):
        waiting = begin(group, committer, *range(10))

        committer.go.set()
        gevent.joinall(waiting, raise_error=True)

        assert 1 == len(committer.threads)
        assert threading.get_ident() not in committer.threads

    def test_the_hub_goes_on_meanwhile(self, group, committer):
        ticked = Event()
        begin(group, committer, 1)

        gevent.spawn(ticked.set)

        assert ticked.wait(60)

    def test_from_the_main_greenlet_it_works_as_from_any(self, group, committer):
        committer.go.set()

        assert 14 == group.submit(7)


class TestErrors:
    def test_one_jobs_exception_is_its_callers_alone(self, group, committer):
        waiting = begin(group, committer, 1, -2, 3)

        committer.go.set()
        gevent.joinall(waiting)

        assert [2, None, 6] == [greenlet.value for greenlet in waiting]
        assert isinstance(waiting[1].exception, ValueError)

    @pytest.mark.parametrize("commit", [lambda _jobs: 1 / 0, lambda _jobs: [], lambda jobs: [*jobs, 1]])
    def test_a_commit_that_fails_as_a_whole_is_everybodys(self, commit):
        group = GroupCommit(commit)
        waiting = [gevent.spawn(group.submit, job) for job in range(3)]

        gevent.joinall(waiting, timeout=60)

        assert all(isinstance(greenlet.exception, (ZeroDivisionError, RuntimeError)) for greenlet in waiting)
        group.stop()

    def test_the_next_batch_is_not_touched_by_it(self):
        def commit(jobs):
            return [10 // job for job in jobs]

        group = GroupCommit(commit)
        with pytest.raises(ZeroDivisionError):
            group.submit(0)

        assert 5 == group.submit(2)
        group.stop()


class TestInterruption:
    def test_before_its_batch_the_job_is_taken_back(self, group, committer, given_up):
        first, killed, last = begin(group, committer, 1, 2, 3)

        killed.kill()
        committer.go.set()
        gevent.joinall([first, last], raise_error=True)

        assert [[1], [3]] == committer.batches
        assert [] == given_up

    @pytest.mark.parametrize("turns", range(6))
    def test_with_nobody_left_nothing_is_committed(self, group, committer, turns):
        committer.go.set()
        killed = gevent.spawn(group.submit, 1)
        for _ in range(turns):
            gevent.sleep(0)

        killed.kill()
        group.submit(2)

        assert [] not in committer.batches
        assert committer.batches in ([[2]], [[1], [2]])

    def test_in_its_batch_the_job_is_committed_and_its_result_given_up(self, group, committer, given_up):
        killed, last = begin(group, committer, 1, 2)

        killed.kill()
        committer.go.set()
        last.get()

        assert [[1], [2]] == committer.batches
        assert [(1, 2)] == given_up

    def test_a_timeout_is_an_interruption_too(self, group, committer, given_up):
        timeout = gevent.Timeout()
        (hurried,) = begin(group, committer, 1)

        hurried.kill(timeout)
        committer.go.set()
        group.submit(2)

        assert timeout is hurried.exception
        assert [(1, 2)] == given_up

    def test_killed_when_its_result_is_on_the_way_the_result_is_still_somebodys(self, group, committer, given_up):
        """The kill is scheduled first, the delivery second, in one turn of the loop."""
        got = []
        greenlets = [gevent.spawn(lambda job=job: got.append(group.submit(job))) for job in range(1, 5)]
        while not committer.begun.is_set():
            gevent.idle()

        committer.go.set()
        for greenlet in greenlets:
            greenlet.kill(block=False)
        group.submit(10)

        gevent.joinall(greenlets)
        assert {2, 4, 6, 8} == {*got, *(result for _, result in given_up)}

    def test_a_failed_job_of_somebody_who_left_is_forgotten(self, group, committer, given_up):
        (killed,) = begin(group, committer, -1)

        killed.kill()
        committer.go.set()
        group.submit(2)

        assert [] == given_up

    def test_an_error_in_abandoned_stops_nobody(self, committer):
        group = GroupCommit(committer, abandoned=lambda _job, _result: 1 / 0)
        (killed,) = begin(group, committer, 1)
        errors = AsyncResult()
        hub = gevent.get_hub()
        hub.handle_error, original = lambda *error: errors.set(error[1]), hub.handle_error

        killed.kill()
        committer.go.set()

        assert 4 == group.submit(2)
        assert ZeroDivisionError is errors.get(timeout=60)
        hub.handle_error = original
        group.stop()


class TestRunBetween:
    def test_it_runs_in_the_commit_thread_and_gives_the_result(self, group, committer):
        committer.go.set()
        group.submit(1)

        assert {group.run_between(threading.get_ident)} == committer.threads


class TestStop:
    def test_what_waits_is_committed_first(self, group, committer):
        waiting = begin(group, committer, *range(9))
        committer.go.set()

        group.stop()

        assert [job * 2 for job in range(9)] == [greenlet.get(timeout=60) for greenlet in waiting]

    def test_afterwards_a_job_is_refused_and_a_second_stop_is_nothing(self, group, committer):
        committer.go.set()
        group.stop()
        group.stop()

        with pytest.raises(RuntimeError, match="stopped"):
            group.submit(1)
