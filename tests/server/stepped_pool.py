"""A worker pool that takes each step when the test says so, and connections over it."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from httpx_tw.app.route import ANYWHERE
from httpx_tw.errors import PoolStopped, QueueFull
from httpx_tw.server.threads import Overload, Threads
from tests.server.fakes import ServerTestCase

if TYPE_CHECKING:
    from collections.abc import Callable


class SteppedTask:
    """A call; ``fate`` says what became of it."""

    def __init__(
        self, pool: SteppedPool, function: Any, argument: Any, finished: Any
    ) -> None:
        self.pool = pool
        self.function = function
        self.argument = argument
        self.finished = finished
        self.fate = "queued"
        self.result: Any = None
        self.error: BaseException | None = None

    def _give_up(self, fate: str) -> bool:
        if self.fate not in ("queued", "running", "waiting"):
            return False
        self.fate = f"{fate} while {self.fate}"
        for line in (self.pool.queue, self.pool.waiting):
            with contextlib.suppress(ValueError):
                line.remove(self)
        self.pool.admit()
        return True

    def cancel(self) -> bool:
        """See Task."""
        return self._give_up("cancelled")

    def time_out(self) -> bool:
        """See Task."""
        return self._give_up("timed out")


class SteppedPool:
    """The face of WorkerPool that servers use; the test is worker and reactor."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.queue: deque[SteppedTask] = deque()
        self.waiting: deque[SteppedTask] = deque()
        self.brought: deque[Callable[[], object]] = deque()
        self.is_running = False
        self.is_inside = False
        """Whether what asks is called by a worker."""
        self.starts = 0
        self.stops: list[float] = []

    # As WorkerPool

    def start(self, reactor: object) -> None:
        """See WorkerPool."""
        del reactor
        self.is_running = True
        self.starts += 1

    def stop(self, timeout: float) -> Deferred[None]:
        """See WorkerPool."""
        self.is_running = False
        self.stops.append(timeout)
        return succeed(None)

    def offload(self, function: Any, argument: Any, finished: Any) -> SteppedTask:
        """See WorkerPool."""
        if not self.is_running:
            raise PoolStopped("stopped")
        if len(self.queue) >= self.room:
            raise QueueFull("full")
        task = SteppedTask(self, function, argument, finished)
        self.queue.append(task)
        return task

    def submit(self, function: Any, *arguments: Any) -> Deferred[Any]:
        """See WorkerPool."""
        if not self.is_running:
            raise PoolStopped("stopped")

        def cancel(_: object) -> None:
            task.cancel()

        answer: Deferred[Any] = Deferred(cancel)

        def finished(result: Any, failure: Failure | None) -> None:
            answer.callback(result if failure is None else failure)

        task = SteppedTask(self, lambda a: function(*a), arguments, finished)
        task.fate = "waiting"
        self.waiting.append(task)
        self.admit()
        return answer

    def shed_oldest(self) -> bool:
        """See WorkerPool."""
        if not self.queue:
            return False
        task = self.queue.popleft()
        task.fate = "shed"
        self.brought.append(
            lambda: task.finished(None, Failure(QueueFull("it made room")))
        )
        return True

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """See WorkerPool."""
        if not self.is_running:
            raise PoolStopped("stopped")
        self.brought.append(lambda: function(*arguments))

    # What the test does

    def admit(self) -> None:
        """Queue who waits."""
        while self.waiting and len(self.queue) < self.room:
            task = self.waiting.popleft()
            task.fate = "queued"
            self.queue.append(task)

    def begin(self) -> SteppedTask:
        """Let a worker take the next call, which it has not begun."""
        task = self.queue.popleft()
        task.fate = "running"
        self.admit()
        return task

    def run(self, task: SteppedTask) -> None:
        """Let the worker run it and bring back what comes of it."""
        self.is_inside = True
        try:
            task.result = task.function(task.argument)
        except BaseException as error:  # noqa: BLE001  # as workers do
            task.error = error
        finally:
            self.is_inside = False
        self.brought.append(lambda: self._settle(task))

    def _settle(self, task: SteppedTask) -> None:
        if task.fate == "running":
            task.fate = "over"
            if task.error is None:
                task.finished(task.result, None)
            else:
                task.finished(None, Failure(task.error))

    def fail(self, task: SteppedTask, error: Exception) -> None:
        """Give *task* up for the pool's own reasons."""
        task.fate = "failed"
        task.finished(None, Failure(error))

    def deliver(self) -> None:
        """Let the reactor thread deal with all that was brought."""
        while self.brought:
            self.brought.popleft()()

    def run_next(self) -> SteppedTask:
        """Run the next call, and deliver."""
        task = self.begin()
        self.run(task)
        self.deliver()
        return task

    def run_all(self) -> None:
        """Run all there is, and what comes of it."""
        while self.queue:
            self.run_next()


class WorkerTestCase(ServerTestCase):
    """Plain endpoints run in ``self.pool``, whose steps the test takes."""

    def setUp(self) -> None:
        super().setUp()
        self.pool = SteppedPool()
        self.lend()

    def lend(
        self,
        overload: Overload = Overload.REJECT,
        takes_from: int = ANYWHERE,
        timeout: float = 30,
    ) -> Threads:
        """Have ``self.factory`` use ``self.pool``."""
        pool: Any = self.pool
        threads = Threads(None, pool, overload, takes_from, timeout=timeout)
        threads.start()
        self.factory.use_threads(threads)
        return threads

    def tearDown(self) -> None:
        super().tearDown()
        self.pool.deliver()
        self.assertEqual([*self.pool.queue, *self.pool.waiting], [])
