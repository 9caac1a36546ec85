"""Group commit: everybody who waits is made durable by one sync.

Jobs that arrive while a commit runs form the next batch; there is no timer. The commit itself runs in a thread of its
own, so the hub never waits for a disk.

Invariant: a job is committed at most once, and its result reaches its caller or, when the caller has left, `abandoned`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

import gevent
from gevent.event import AsyncResult, Event
from gevent.threadpool import ThreadPool

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")
T = TypeVar("T")


class _Entry(Generic[JobT, ResultT]):
    """A job on its way, and whoever waits for it."""

    __slots__ = ("is_abandoned", "job", "result")

    def __init__(self, job: JobT) -> None:
        self.job = job
        self.result: AsyncResult[ResultT] = AsyncResult()
        self.is_abandoned = False


class GroupCommit(Generic[JobT, ResultT]):
    """Collects jobs into batches and commits each batch in one call, in one thread, one batch at a time.

    `commit` gets the jobs of a batch in their order and returns one result for each; an exception among the results is
    raised to that job's caller alone, an exception that `commit` raises is raised to every caller of the batch.

    `abandoned` gets, on the hub, each job that was committed after its caller had been interrupted, with its result:
    the place to give back what nobody will use. It must not block.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[JobT]], Sequence[ResultT | Exception]],
        *,
        max_batch: int = 128,
        abandoned: Callable[[JobT, ResultT], None] = lambda _job, _result: None,
    ) -> None:
        self._commit = commit
        self._max_batch = max_batch
        self._abandoned = abandoned
        self._waiting: list[_Entry[JobT, ResultT]] = []
        self._has_work = Event()
        self._thread = ThreadPool(1)
        self._is_stopping = False
        self._committer = gevent.spawn(self._run)

    def submit(self, job: JobT) -> ResultT:
        """Commit a job with the next batch; returns its result once the batch is through. Blocks this greenlet only.

        Interrupted (GreenletExit, a Timeout) while its batch has not begun, the job is taken back and never committed;
        after that it is committed all the same, and its result goes to `abandoned`.

        Raises:
            RuntimeError: after `stop`.
        """
        if self._is_stopping:
            raise RuntimeError("this group commit has been stopped")
        entry: _Entry[JobT, ResultT] = _Entry(job)
        self._waiting.append(entry)
        self._has_work.set()
        try:
            return cast(ResultT, entry.result.get())
        except BaseException as error:
            if error is not entry.result.exception:
                self._leave(entry)
            raise

    def run_between(self, function: Callable[[], T]) -> T:
        """Run something else in the commit thread, between two batches: opening, closing, housekeeping."""
        return self._thread.apply(function)

    def stop(self) -> None:
        """Commit what waits, then end the thread. Idempotent."""
        self._is_stopping = True
        self._has_work.set()
        self._committer.join()
        self._thread.kill()

    def _run(self) -> None:
        while not self._is_stopping or self._waiting:
            self._has_work.wait()
            self._has_work.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
                self._finish(batch)

    def _finish(self, batch: Sequence[_Entry[JobT, ResultT]]) -> None:
        try:
            results = self._thread.apply(self._commit, ([entry.job for entry in batch],))
            outcomes = list(zip(batch, results, strict=True))
        except Exception as error:  # whatever went wrong belongs to those who wait for it
            for entry in batch:
                entry.result.set_exception(error)
            return
        for entry, result in outcomes:
            if isinstance(result, Exception):
                entry.result.set_exception(result)
            elif entry.is_abandoned:
                self._give_up(entry.job, result)
            else:
                entry.result.set(result)

    def _leave(self, entry: _Entry[JobT, ResultT]) -> None:
        """The caller was interrupted: before its batch, in it, or between its end and the caller's next turn."""
        if entry in self._waiting:
            self._waiting.remove(entry)
        elif entry.result.successful():
            self._give_up(entry.job, cast(ResultT, entry.result.value))
        else:
            entry.is_abandoned = True

    def _give_up(self, job: JobT, result: ResultT) -> None:
        # by the loop: what goes wrong there ends neither the committer nor the greenlet that is being killed
        gevent.get_hub().loop.run_callback(self._abandoned, job, result)
