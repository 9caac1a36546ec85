"""Group commit: everybody who waits is made durable by one sync.

Jobs that arrive while a commit runs form the next batch; there is no timer. The commit itself runs in a thread of its
own, so the hub never waits for a disk.
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


class GroupCommit(Generic[JobT, ResultT]):
    """Collects jobs into batches and commits each batch in one call, in one thread, one batch at a time.

    `commit` gets the jobs of a batch in their order and returns one result for each; an exception among the results is
    raised to that job's caller alone, an exception that `commit` raises is raised to every caller of the batch.
    """

    def __init__(
        self, commit: Callable[[Sequence[JobT]], Sequence[ResultT | Exception]], *, max_batch: int = 128
    ) -> None:
        self._commit = commit
        self._max_batch = max_batch
        self._waiting: list[tuple[JobT, AsyncResult[ResultT]]] = []
        self._has_work = Event()
        self._thread = ThreadPool(1)
        self._is_stopping = False
        self._committer = gevent.spawn(self._run)

    def submit(self, job: JobT) -> ResultT:
        """Commit a job with the next batch; returns its result once the batch is through. Blocks this greenlet only.

        Interrupted (GreenletExit, a Timeout) while its batch has not begun, the job is taken back and never committed;
        after that it is committed all the same and only the result is lost.
        """
        entry: tuple[JobT, AsyncResult[ResultT]] = (job, AsyncResult())
        self._waiting.append(entry)
        self._has_work.set()
        try:
            return cast(ResultT, entry[1].get())
        except BaseException:
            if not entry[1].ready() and entry in self._waiting:
                self._waiting.remove(entry)
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

    def _finish(self, batch: list[tuple[JobT, AsyncResult[ResultT]]]) -> None:
        try:
            results = self._thread.apply(self._commit, ([job for job, _ in batch],))
        except Exception as error:  # whatever went wrong belongs to those who wait for it
            for _, waiter in batch:
                waiter.set_exception(error)
            return
        for (_, waiter), result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                waiter.set_exception(result)
            else:
                waiter.set(result)
