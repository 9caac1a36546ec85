"""Group commit: everybody who waits is made durable by one sync.

Jobs that arrive while a commit runs form the next batch. What nobody is in a hurry for waits a moment for company: a
commit for its own sake would keep the next urgent job waiting for a sync. The commit itself runs in a thread of its
own, so the hub never waits for a disk.

Invariant: a job is committed at most once, and its result reaches its caller or, when the caller has left, `abandoned`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar, cast

import gevent
from gevent.event import Event
from gevent.hub import Waiter

from mdacore.runtime.threads import Threads

PATIENCE_S: Final = 0.005
"""How long a job that is not urgent waits at most for one that is."""

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")
T = TypeVar("T")


class _Entry(Generic[JobT]):
    """A job on its way, and the greenlet that waits for it.

    A Waiter costs half of what an AsyncResult does, and is enough: one greenlet waits, and only the hub wakes it.
    """

    __slots__ = ("is_abandoned", "is_over", "job", "waiter")

    def __init__(self, job: JobT) -> None:
        self.job = job
        self.waiter: Waiter[object] = Waiter()
        self.is_over = False
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
        self._waiting: list[_Entry[JobT]] = []
        self._has_work = Event()
        self._patience: Any = None  # a timer watcher of gevent's loop; for one use
        self._thread = Threads(1)
        self._is_stopping = False
        self._committer = gevent.spawn(self._run)

    def submit(self, job: JobT, *, is_urgent: bool = True) -> ResultT:
        """Commit a job with the next batch; returns its result once the batch is through. Blocks this greenlet only.

        One that is not urgent begins no batch by itself for the first `PATIENCE_S`.

        Interrupted (GreenletExit, a Timeout) while its batch has not begun, the job is taken back and never committed;
        after that it is committed all the same, and its result goes to `abandoned`.

        Raises:
            RuntimeError: after `stop`.
        """
        if self._is_stopping:
            raise RuntimeError("this group commit has been stopped")
        entry = _Entry(job)
        self._waiting.append(entry)
        if is_urgent:
            self._has_work.set()
        elif self._patience is None:
            self._patience = gevent.get_hub().loop.timer(PATIENCE_S)
            self._patience.start(self._has_work.set)
        try:
            return cast(ResultT, entry.waiter.get())
        except BaseException:
            if not entry.is_over:
                self._leave(entry)
            raise

    def run_between(self, function: Callable[[], T]) -> T:
        """Run something else in the commit thread, between two batches: opening, closing, housekeeping."""
        return self._thread.call(function)

    def stop(self) -> None:
        """Commit what waits, then end the thread. Idempotent."""
        self._is_stopping = True
        self._has_work.set()
        self._committer.join()
        self._thread.stop()

    def _run(self) -> None:
        while not self._is_stopping or self._waiting:
            if not self._is_stopping:
                self._has_work.wait()
            gevent.sleep(0)  # whoever is ready to go on may still join: fewer, larger batches
            self._has_work.clear()
            self._end_patience()
            batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            if self._waiting:
                self._has_work.set()
            if batch:  # they may also have left
                self._finish(batch)

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.close()
            self._patience = None

    def _finish(self, batch: Sequence[_Entry[JobT]]) -> None:
        results: Sequence[ResultT | Exception]
        try:
            jobs = [entry.job for entry in batch]
            results = self._thread.call(lambda: self._commit(jobs))
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for a batch of {len(batch)} jobs")  # noqa: TRY301 - it shares the way of all failures
        except Exception as error:  # whatever went wrong belongs to those who wait for it
            results = [error] * len(batch)
        run_soon = gevent.get_hub().loop.run_callback  # each by itself: whatever one makes of it, the others get theirs
        for entry, result in zip(batch, results, strict=True):
            run_soon(self._deliver, entry, result)

    def _deliver(self, entry: _Entry[JobT], result: ResultT | Exception) -> None:
        """In the hub: hand the result to whoever waits."""
        entry.is_over = True
        if isinstance(result, Exception):
            entry.waiter.throw(result)
        elif entry.is_abandoned:
            self._abandoned(entry.job, result)
        else:
            entry.waiter.switch(result)

    def _leave(self, entry: _Entry[JobT]) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
        else:
            entry.is_abandoned = True
