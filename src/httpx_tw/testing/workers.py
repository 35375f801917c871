"""A worker pool without threads, whose steps a test takes."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock

from httpx_tw.errors import PoolStopped
from httpx_tw.workers.crew import Crew, Worker
from httpx_tw.workers.log_context import contexts_here, log_context_of
from httpx_tw.workers.pool import WorkerPool

if TYPE_CHECKING:
    from httpx_tw.workers.tasks import Task

__all__ = ["SteppedWorkerPool"]


class SteppedWorkerPool(WorkerPool):
    """A WorkerPool in which nothing happens by itself.

    ::

        pool = SteppedWorkerPool()
        pool.start()
        answer = pool.submit(str, 5)
        pool.run_next()
        assert self.successResultOf(answer) == "5"

    It is the real pool but for the threads and the reactor, whose parts the test plays:
    ``begin`` and ``run`` are what a worker does, ``deliver`` is what the reactor does
    when workers have brought something. While a call runs, what it does is done "in a
    worker": its submissions return Futures, its posts wait for ``deliver``.
    """

    _crew: _NoThreads

    def _make_crew(self) -> Crew:
        return _NoThreads(self._desk, 1, 0, self._worker_left)

    def start(self, reactor: Any = None) -> None:
        """Take calls from now on.

        :param reactor: a ``twisted.internet.task.Clock``, by which deadlines pass, the
            calls' and that of ``stop``. None: they do not pass.
        """
        if self._is_running:
            return
        if self._stop is not None:
            raise PoolStopped(f"{self.name} is being stopped")
        self._reactor = reactor or Clock()
        self._clock = self._desk.clock = self._crew.clock = self._reactor.seconds
        self._reactor_thread = get_ident()
        self._contexts = contexts_here()
        self._is_running = self._is_open_here = True

    # What the test does

    def begin(self) -> Task:
        """Take the next call out of the queue, as a worker does before it runs it.

        :raises IndexError: when there is none.
        """
        task = self._queue.take_oldest()
        self._desk.admit()
        self._crew.begin(task)
        return task

    def run(self, task: Task) -> None:
        """Run *task*, which has been begun, as in a worker, and bring what comes of it.

        Until ``deliver`` it is still being waited for, and can be cancelled.
        """
        here, self._reactor_thread = self._reactor_thread, None
        try:
            self._crew.run_begun(task)
        finally:
            self._reactor_thread = here

    def deliver(self) -> None:
        """Deal with what calls and posts have brought, and what comes of that."""
        returns = self._desk.returns
        while returns.brought:
            returns.answer()
        if self._stop is not None:
            self._stop.look()

    def run_next(self) -> Task:
        """Begin and run the next call, and deliver.

        :raises IndexError: when there is none.
        """
        task = self.begin()
        self.run(task)
        self.deliver()
        return task

    def run_all(self) -> int:
        """Do so until there is none left; return how many there were."""
        count = 0
        while self._queue:
            self.run_next()
            count += 1
        self.deliver()
        return count

    # Where the real one turns to the reactor

    def _open_batch(self) -> None:
        self._watch_deadlines()

    def _ring(self) -> None:
        pass  # there is deliver


class _NoThreads(Crew):
    """As many workers as there are calls that have begun, and none that waits."""

    _inside: Worker | None = None

    def wake(self) -> bool:
        """See Crew.wake: nobody sleeps."""
        return True

    def can_take_more(self) -> bool:
        """See Crew.can_take_more: not before the test has one take something."""
        return False

    def resize(self, least: int, most: int) -> None:
        """See Crew.resize."""
        self.least, self.most = least, most

    def worker_here(self) -> Worker | None:
        """See Crew.worker_here."""
        return self._inside

    def begin(self, task: Task) -> None:
        """Have a worker for *task*."""
        worker = Worker()
        worker.thread = self.make_thread(name=f"{self._desk.name}-stepped")
        worker.task = task
        self.workers[worker] = worker

    def run_begun(self, task: Task) -> None:
        """Run *task* as its worker."""
        worker = next(each for each in self.workers if each.task is task)
        outside, self._inside = self._inside, worker
        try:
            with log_context_of(worker):
                self.run(worker, task)
        finally:
            self._inside = outside
            del self.workers[worker]
