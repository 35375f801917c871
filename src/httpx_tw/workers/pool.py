"""The pool of worker threads: what it takes on, what becomes of it, and its end."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from httpx_tw.errors import PoolStopped, QueueFull
from httpx_tw.workers.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WorkerPool", "WorkerPoolConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPoolConfig:
    """How many workers, how long a queue, how much patience."""

    num_workers: int = 0
    max_queue_size: int = 4096
    idle_timeout_ms: int = 60_000
    request_timeout_ms: int = 30_000


class WorkerPool:
    """See offload, submit and post."""

    _log = Logger()

    def __init__(
        self, config: WorkerPoolConfig | None = None, *, name: str = "workers"
    ) -> None:
        self.config = config or WorkerPoolConfig()
        self.name = name
        self._queue: deque[Task] = deque()
        self._outstanding: dict[Task, Task] = {}
        self._results: deque[Task] = deque()
        self._posts: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._parked: list[Any] = []
        self._is_running = False
        self._rung: dict[int, bool] = {1: True}

    @property
    def is_running(self) -> bool:
        return self._is_running

    def start(self, reactor: Any) -> None:
        import os
        self._reactor = reactor
        self._is_running = True
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{self.name}-{i}", daemon=True)
            for i in range(self.config.num_workers or len(os.sched_getaffinity(0)))
        ]
        for thread in self._threads:
            thread.start()
        self._after_batch = getattr(reactor, "call_after_batch", None)
        self._scheduled = False

    def offload(
        self,
        function: Callable[[Any], Any],
        argument: Any,
        finished: Callable[[Any, Failure | None], object],
    ) -> Task:
        if not self._is_running:
            raise PoolStopped(f"{self.name}: not running")
        if len(self._queue) >= self.config.max_queue_size:
            raise QueueFull(f"{self.name}: queue full")
        task = Task(self, function, argument, finished, time.monotonic())
        self._outstanding[task] = task
        self._queue.append(task)
        if not self._scheduled:
            if self._after_batch is not None:
                self._scheduled = True
                self._after_batch(self._end_batch)
            else:
                self._wake()
        return task

    def cancel(self, task: Task) -> bool:
        if self._outstanding.pop(task, None) is None:
            return False
        try:
            self._queue.remove(task)
        except ValueError:
            pass
        return True

    def post(self, function: Callable[..., object], *args: Any) -> None:
        self._posts.append((function, args))
        self._ring()

    def submit(self, f: Callable[..., Any], *a: Any, **kw: Any) -> Deferred[Any]:
        d: Deferred[Any] = Deferred(lambda _: task.cancel())
        task = self.offload(
            lambda _: f(*a, **kw),
            None,
            lambda result, failure: d.callback(result if failure is None else failure),
        )
        return d

    def stop(self, timeout: float = 30.0) -> Deferred[Any]:
        self._is_running = False
        self._stopping = True
        self._end_batch()
        d: Deferred[Any] = Deferred()
        deadline = time.monotonic() + timeout

        def look() -> None:
            self._end_batch()
            if self._outstanding and time.monotonic() < deadline:
                self._reactor.callLater(0.01, look)
                return
            for task in list(self._outstanding):
                task.cancel()
            for _ in self._threads:
                self._queue.append(None)  # type: ignore[arg-type]
            self._wake()
            for thread in self._threads:
                thread.join(0.1)
            self._end_batch()
            d.callback(None)

        look()
        return d

    def _end_batch(self) -> None:
        self._scheduled = False
        self._drain()
        self._wake()

    def _wake(self) -> None:
        waiting = len(self._queue)
        parked = self._parked
        while waiting:
            try:
                parked.pop().release()
            except IndexError:
                break
            waiting -= 1

    def _ring(self) -> None:
        if self._rung.pop(1, False):
            self._reactor.callFromThread(self._answer)

    def _answer(self) -> None:
        self._rung[1] = True
        self._drain()

    def _drain(self) -> None:
        posts, results = self._posts, self._results
        while posts:
            function, args = posts.popleft()
            try:
                function(*args)
            except Exception:
                self._log.failure("posted call failed")
        while results:
            task = results.popleft()
            if self._outstanding.pop(task, None) is None:
                continue
            try:
                if task.error is None:
                    task.finished(task.result, None)
                else:
                    task.finished(None, Failure(task.error))
            except Exception:
                self._log.failure("finished failed")

    def _work(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        take = self._queue.popleft
        while True:
            try:
                task = take()
            except IndexError:
                self._parked.append(lock)
                try:
                    task = take()
                except IndexError:
                    lock.acquire()
                    continue
                try:
                    self._parked.remove(lock)
                except ValueError:
                    lock.acquire()
            if task is None:
                return
            try:
                task.result = task.function(task.argument)
            except BaseException as error:
                task.error = error
            self._results.append(task)
            self._ring()
