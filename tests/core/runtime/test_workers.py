"""Workers: greenlets that are used again."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit

from mdacore import log
from mdacore.log import bind
from mdacore.runtime import Workers
from mdacore.runtime.workers import IDLE_MAX


@pytest.fixture
def workers():
    workers = Workers()
    yield workers
    workers.kill()
    workers.close()
    assert workers.join(60)


class TestRun:
    def test_each_task_is_done_in_another_greenlet_with_its_arguments(self, workers):
        done = []

        for number in range(3):
            workers.run(lambda n, word: done.append((n, word, gevent.getcurrent())), number, "w")
        assert [] == done
        workers.join(60)

        assert [(0, "w"), (1, "w"), (2, "w")] == [(number, word) for number, word, _ in done]
        assert gevent.getcurrent() not in [greenlet for *_, greenlet in done]

    def test_a_greenlet_that_has_done_its_work_takes_the_next(self, workers):
        greenlets = []

        for _ in range(5):
            workers.run(lambda: greenlets.append(gevent.getcurrent()))
            workers.join(60)

        assert 1 == len(set(greenlets))

    def test_tasks_that_wait_do_not_wait_for_each_other(self, workers):
        go_on, begun = Event(), []

        def task() -> None:
            begun.append(1)
            go_on.wait(60)

        for _ in range(10):
            workers.run(task)
        assert not workers.join(0.01)

        assert 10 == len(begun)
        go_on.set()
        assert workers.join(60)

    def test_nothing_that_one_task_bound_is_in_the_log_of_the_next(self, workers):
        bound = []

        workers.run(lambda: bind(queue_id="first"))
        workers.join(60)
        workers.run(lambda: bound.append(dict(log._bound.get())))
        workers.join(60)

        assert [{}] == bound

    def test_a_task_that_raises_costs_itself_only(self, workers, monkeypatch):
        reported = []
        monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *error: reported.append(error[1]))
        done = []

        def fail() -> None:
            raise ZeroDivisionError

        workers.run(fail)
        assert workers.join(60)
        workers.run(done.append, 1)
        assert workers.join(60)

        assert ([ZeroDivisionError], [1]) == (reported, done)

    @pytest.mark.parametrize("is_given_before", [True, False], ids=["given before it strikes", "given after"])
    def test_a_timer_that_a_task_left_behind_does_not_cost_the_next_one(self, workers, is_given_before):
        """It strikes the greenlet at rest."""
        done = []
        workers.run(lambda: done.append(gevent.getcurrent()))
        workers.join(60)

        gevent.get_hub().loop.run_callback(done.pop().throw, gevent.Timeout(1))
        if not is_given_before:
            gevent.sleep(0)
        workers.run(done.append, 1)
        workers.join(60)
        workers.run(done.append, 2)
        workers.join(60)

        assert [1, 2] == done

    def test_only_so_many_are_kept_at_rest(self, workers):
        for _ in range(IDLE_MAX + 10):
            workers.run(gevent.sleep, 0)
        workers.join(60)

        assert IDLE_MAX == len(workers._idle)


class TestKill:
    def test_what_runs_is_interrupted_and_what_rests_goes_on(self, workers):
        ends = []

        def task() -> None:
            try:
                Event().wait(30)
            except GreenletExit:
                ends.append("interrupted")

        for _ in range(2):
            workers.run(task)
        gevent.sleep(0)
        workers.kill()
        assert workers.join(60)
        workers.run(ends.append, "next")
        assert workers.join(60)

        assert ["interrupted", "interrupted", "next"] == ends

    def test_what_has_not_begun_is_begun(self, workers):
        """Whether in a new greenlet or in one that was at rest: what it did before does not matter."""
        done, seen = [], []
        workers.run(done.append, "before")
        workers.join(60)

        for number in range(2):
            workers.run(done.append, number)
        workers.kill(lambda *given: seen.append(given))
        workers.kill()
        assert workers.join(60)

        assert (["before", 0, 1], []) == (done, seen)


class TestClose:
    def test_no_greenlet_is_left(self, workers):
        greenlets = []

        for _ in range(3):
            workers.run(lambda: greenlets.append(gevent.getcurrent()))
        workers.join(60)
        workers.close()

        gevent.joinall(greenlets, timeout=60)
        assert all(greenlet.dead for greenlet in greenlets)
