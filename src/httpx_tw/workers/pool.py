"""The pool of worker threads: its ways in, its batches, its end."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, succeed

from httpx_tw.errors import ConfigurationError, PoolStopped, QueueFull
from httpx_tw.workers.crew import Crew
from httpx_tw.workers.desk import Desk
from httpx_tw.workers.forks import empty_in_children
from httpx_tw.workers.log_context import NOBODY, contexts_here, note_context, turn_of
from httpx_tw.workers.queues import SharedQueue
from httpx_tw.workers.stopping import Stop, StopReport
from httpx_tw.workers.tasks import PoolFuture, Task, ThreadTask, apply
from httpx_tw.workers.thread_pool_face import ThreadPoolFace

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

    from httpx_tw.workers.queues import Queue
    from httpx_tw.workers.statistics import WorkerPoolStats
    from httpx_tw.workers.tasks import Call

__all__ = ["WorkerPool", "WorkerPoolConfig", "defer_to_pool"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

_LONGEST_TICK: Final = 1.0  # seconds a deadline may be late
_TICKS_PER_TIMEOUT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPoolConfig:
    """How many workers, how long a queue, and how much patience.

    :raises ConfigurationError: when a value is no whole number, or negative, or 0 where
        that has no meaning.
    """

    num_workers: int = 0
    """Most threads. 0: as many as this process may use cores."""

    max_queue_size: int = 4096
    """Most calls that wait for a worker, beside one for each worker that is idle."""

    idle_timeout_ms: int = 60_000
    """A thread without work for so long ends; the next call starts one. 0: never."""

    request_timeout_ms: int = 30_000
    """From a call's submission to its end; then it fails with DeadlinePassed. 0: no
    limit. Looked at ten times in that time, and at least once a second."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ConfigurationError(
                    f"{field.name} must be a whole number of at least 0, got {value!r}"
                )
        if not self.max_queue_size:
            raise ConfigurationError("max_queue_size must be at least 1")


def usable_cores() -> int:
    """Return how many cores this process may use: taskset and cpusets limit them."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerPool(ThreadPoolFace):
    """Threads that run calls, and bring what comes of them to the reactor thread.

    ::

        pool = WorkerPool(WorkerPoolConfig(num_workers=8))
        pool.start(reactor)
        total = await pool.submit(count_words, path)   # on the reactor thread
        await pool.stop()

    Threads start when there is work for them. A call runs in a copy of the context
    variables, and with Twisted's log context, of its submission. It may wait for calls
    that it submitted itself (see PoolFuture). The pool does not survive a fork: start
    it in the process that uses it, after daemonising; in a child it is stopped.

    :param name: what the threads are called, with a number each.
    """

    def __init__(
        self, config: WorkerPoolConfig | None = None, *, name: str = "workers"
    ) -> None:
        self.config = config or WorkerPoolConfig()
        self.name = name
        self._request_timeout = self.config.request_timeout_ms / 1000
        self._queue = self._make_queue()
        self._room = self.config.max_queue_size
        self._desk = Desk(name, self._queue, self._room, self._ring, self._wake)
        self._clock = self._desk.clock
        self._outstanding = self._desk.outstanding
        self._put = self._queue.put
        self._crew = self._make_crew()
        self._is_running = False
        self._is_open_here = False
        """Running, and with a reactor."""
        self._stop: Stop | None = None
        """The one under way."""

        # From one start to the next
        self._reactor: Any = None
        self._reactor_thread: int | None = None
        self._call_after_batch: Any = None
        self._is_batch_open = False
        self._contexts: list[dict[Any, Any]] = []
        self._pushed: dict[Any, Any] = {}
        self._turn = NOBODY
        self._tick: Any = None
        self._shutdown_trigger: Any = None

    def _make_queue(self) -> Queue:
        return SharedQueue()

    def _make_crew(self) -> Crew:
        return Crew(
            self._desk,
            self.config.num_workers or usable_cores(),
            self.config.idle_timeout_ms / 1000,
            self._worker_left,
        )

    # The life of the pool

    @property
    def is_running(self) -> bool:
        """Whether it takes calls. From any thread."""
        return self._is_running

    @property
    def stats(self) -> WorkerPoolStats:
        """The figures at this moment. From any thread."""
        crew = self._crew
        return self._desk.stats(len(crew.workers), len(crew.parked))

    def start(self, reactor: Any = None) -> None:
        """Take calls from now on. Started already: nothing happens.

        Call it on the thread that runs the reactor; when that is stopped, so is the
        pool. After a stop it may be started again.

        :param reactor: None: there is none, and the pool serves threads alone. Then
            submit returns Futures everywhere; offload and post are refused; passed
            deadlines go unnoticed; stop blocks.
        :raises PoolStopped: while it stops.
        """
        if self._is_running:
            return
        if self._stop is not None:
            raise self._stopped()
        empty_in_children(self)
        self._reactor = reactor
        self._reactor_thread = None
        self._is_batch_open = False
        self._desk.returns.renew()
        if reactor is not None:
            self._reactor_thread = get_ident()
            self._contexts = contexts_here()
            self._call_after_batch = getattr(
                reactor, "call_after_batch", partial(reactor.callLater, 0)
            )
            self._shutdown_trigger = reactor.addSystemEventTrigger(
                "during", "shutdown", self._stop_with_reactor
            )
            self._is_open_here = True
        self._crew.employ()
        self._is_running = True

    def stop(self, timeout: float = 30.0) -> Deferred[StopReport]:
        """Refuse calls from now on, run what is queued, and end the threads.

        Who waits for room gets PoolStopped at once. After *timeout* seconds the rest
        do: calls in the queue, which never run, and calls that run, whose threads end
        when they do. What a call submits meanwhile runs at once, in its own thread.

        On the reactor thread. A second stop may bring the end forward. Stopped already:
        nothing happens. When the reactor is stopped first, the pool stops by itself,
        and the reactor waits for it.

        :returns: fires with what became of the calls, when all the other threads have
            ended. Without a reactor it has, for this blocks.
        """
        if self._stop is None:
            if not self._is_running:
                return succeed(StopReport(finished=0, dropped=(), abandoned=()))
            with self._desk.lock:
                self._is_running = self._is_open_here = False
                self._stop = Stop(self._desk, self._crew, self._reactor, self._ended)
            self._stop.begin()
        stop, stopped = self._stop, self._stop.wait(timeout)
        if self._reactor is None:
            stop.block()
        stop.look()
        return stopped

    def _stop_with_reactor(self) -> None:
        """End before the reactor does: it will not go round again.

        Servers stop in the phase "before" this one, whose Deferreds are waited for, and
        need their workers in it. Those of this phase are not.
        """
        self._shutdown_trigger = None
        self.stop()
        if self._stop is not None:
            self._stop.block()

    def _ended(self) -> None:
        self._stop = None
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        if self._shutdown_trigger is not None:
            self._reactor.removeSystemEventTrigger(self._shutdown_trigger)
            self._shutdown_trigger = None

    def _worker_left(self) -> None:
        stop = self._stop
        if stop is not None:
            self._desk.returns.bring((stop.look, ()))

    def empty(self) -> None:
        """Forget everything: this is a forked child, and nothing of it is here."""
        self._crew.forget()
        WorkerPool.__init__(self, self.config, name=self.name)

    # Submission

    def offload(
        self,
        function: Callable[[Any], Any],
        argument: Any,
        finished: Callable[[Any, Failure | None], object],
    ) -> Task:
        """Call *function* with *argument* in a worker. On the reactor thread.

        The cheapest way in, and the server's.

        :param finished: called once on the reactor thread, later: with the result and
            None, or with None and a Failure. That is what the function raised, or
            DeadlinePassed, or a WorkerPoolError. Not called when the task is cancelled.
        :raises QueueFull: when the queue is.
        :raises PoolStopped: when the pool is not running, or has no reactor.
        """
        if not self._is_open_here:
            raise self._stopped()
        if len(self._queue) >= self._room and not self._crew.can_take_more():
            raise self._desk.full(self._desk.here)
        task = Task(self._desk, function, argument, finished, self._clock())
        # note_context, for 0.05 us in place of 0.2 where many calls are of one batch.
        pushed = self._contexts[-1]
        if pushed is not self._pushed:
            self._pushed, self._turn = pushed, turn_of(pushed)
        task.pushed = pushed
        task.selectable = self._turn.selectable
        self._outstanding[task] = task
        self._put(task)
        if not self._is_batch_open:
            self._open_batch()
        return task

    def submit(self, f: Callable[..., Any], *a: Any, **kw: Any) -> Any:
        """Call *f* in a worker; when the queue is full, wait for room, in turn.

        On the reactor thread it returns a Deferred of the result, which does the
        waiting. To cancel that cancels the task, wherever it is.

        On other threads it blocks until there is room, and returns a PoolFuture. A
        worker of this pool does not block: where there is no room it makes the call
        itself, at once. All the workers may be in this place, and none would make room.

        :raises PoolStopped: when the pool is not running. It stops meanwhile: this
            thread gets it, or the Deferred does.
        :raises DeadlinePassed: when that passed before there was room (the same).
        """
        return self._submit((f, a, kw), may_wait=True)

    def try_submit(self, f: Callable[..., Any], *a: Any, **kw: Any) -> Any:
        """See submit; but this never waits.

        :raises QueueFull: when the queue is.
        :raises PoolStopped: when the pool is not running.
        """
        return self._submit((f, a, kw), may_wait=False)

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call *function* on the reactor thread, soon. From any thread.

        What a thread posts is called in order; and before ``finished`` of the call that
        posts. Cheaper than the reactor's callFromThread: many share one wake-up. What
        *function* raises is logged.

        :raises PoolStopped: when the pool has stopped, or has no reactor.
        """
        if self._reactor is None or not (self._is_running or self._stop is not None):
            raise self._stopped()
        self._desk.returns.bring((function, args))

    def shed_oldest(self) -> bool:
        """Make room: the first call of the queue fails, with QueueFull.

        On the reactor thread.

        :returns: whether there was one.
        """
        return self._desk.drop_oldest(
            QueueFull(f"{self.name}: it made room for a later call")
        )

    def _submit(self, call: Call, *, may_wait: bool) -> Any:
        if get_ident() == self._reactor_thread:
            return self._submit_here(call, may_wait=may_wait)
        future = PoolFuture(self._run_here)
        future.task = task = ThreadTask(
            self._desk, future.run, call, future.settle, self._clock()
        )
        self._enter(task, may_wait=may_wait)
        return future

    def _submit_here(self, call: Call, *, may_wait: bool) -> Deferred[Any]:
        task: Task | None = None  # and None at the end: they would hold each other

        def cancel(_: Deferred[Any]) -> None:
            nonlocal task
            assert task is not None
            task.cancel()
            task = None

        def finished(result: Any, failure: Failure | None) -> None:
            nonlocal task
            task = None
            deferred.callback(result if failure is None else failure)

        deferred: Deferred[Any] = Deferred(cancel)
        has_room = len(self._queue) < self._room or self._crew.can_take_more()
        if has_room or not may_wait or not self._is_running:
            task = self.offload(apply, call, finished)
            return deferred
        task = Task(self._desk, apply, call, finished, self._clock())
        note_context(task, self._contexts)
        self._desk.let_wait(task)
        if not self._is_batch_open:
            self._open_batch()
        return deferred

    def _enter(self, task: ThreadTask, *, may_wait: bool) -> None:
        """Take on *task*, of another thread or told in another."""
        try:
            self._place(task, may_wait=may_wait)
        except KeyboardInterrupt:  # in the main thread, where no reactor is
            self._desk.withdraw(task)
            raise

    def _place(self, task: ThreadTask, *, may_wait: bool) -> None:
        note_context(task, contexts_here())
        worker = self._crew.worker_here()
        desk = self._desk
        with desk.lock:
            if not self._is_running and (self._stop is None or worker is None):
                raise self._stopped()
            has_room = self._is_running and (
                len(self._queue) < self._room or self._crew.can_take_more()
            )
            if self._is_running and not (has_room or may_wait):
                raise desk.full(desk.elsewhere)
            desk.outstanding[task] = task
            if has_room and worker is not None:
                self._queue.put_own(worker, task)
            elif has_room:
                self._put(task)
            elif worker is None:
                task.prepare_to_wait()
                desk.waiting.append(task)
        if has_room:
            self._crew.wake()
        elif worker is not None:
            self._crew.run(worker, task)
            return
        if self._tick is None and self._reactor is not None:
            desk.returns.bring((self._watch_deadlines, ()))
        task.wait_for_room()

    def _run_here(self, task: Task) -> None:
        """Run *task* in this thread, if that is a worker and no worker has it yet."""
        worker = self._crew.worker_here()
        if worker is not None:
            with suppress(ValueError):
                self._queue.remove(task)
                self._crew.run(worker, task)

    def _stopped(self) -> PoolStopped:
        state = "is not running" if self._stop is None else "is being stopped"
        return PoolStopped(f"{self.name} {state}")

    # Batches

    def _open_batch(self) -> None:
        """See that what was submitted on the reactor thread is looked after.

        At the end of its batch; on reactors that know none, at the start of the next.
        To wake a worker for each call at once costs 10 to 20 us a call, for the workers
        then fight for the GIL with the thread that wakes them (tests/bench/pools.py).
        """
        if self._tick is None:
            self._watch_deadlines()
        self._is_batch_open = True
        self._desk.returns.hold()
        self._call_after_batch(self._close_batch)

    def _close_batch(self) -> None:
        try:
            self._desk.returns.release()
        finally:
            # Calls that came while results were told are seen to, too.
            self._is_batch_open = False
        if self._queue:
            # What is done in a moment is told at once, and nobody need ring for it.
            self._desk.returns.hold()
            try:
                self._crew.have_done()
            finally:
                self._desk.returns.release()

    def _ring(self) -> None:
        if self._reactor is not None:
            self._reactor.callFromThread(self._desk.returns.answer)
        elif self._stop is None:  # which looks by itself, and waits for this thread
            self._desk.returns.answer()

    def _wake(self) -> None:
        self._crew.wake()

    # Deadlines

    def _watch_deadlines(self) -> None:
        # One coarse tick for all: a callLater for each call costs more than the call.
        if self._tick is None and self._request_timeout and self._outstanding:
            seconds = min(_LONGEST_TICK, self._request_timeout / _TICKS_PER_TIMEOUT)
            self._tick = self._reactor.callLater(seconds, self._look_at_deadlines)

    def _look_at_deadlines(self) -> None:
        self._tick = None
        self._desk.expire(self._request_timeout)
        self._watch_deadlines()

    # As Twisted's thread pool

    @property
    def _least_and_most(self) -> tuple[int, int]:
        return self._crew.least, self._crew.most

    def _resize(self, least: int, most: int) -> None:
        self._crew.resize(least, most)

    def _call_in_worker(
        self, call: Call, tell: Callable[[Any, BaseException | None], object]
    ) -> None:
        task = ThreadTask(self._desk, apply, call, tell, self._clock())
        self._enter(task, may_wait=get_ident() != self._reactor_thread)


def defer_to_pool(
    pool: WorkerPool, f: Callable[_P, _R], *a: _P.args, **kw: _P.kwargs
) -> Deferred[_R]:
    """Call *f* in a worker of *pool*, as deferToThread does in one of the reactor's.

    See WorkerPool.submit, of which this is the typed form. On the reactor thread.
    """
    deferred: Deferred[_R] = pool.submit(f, *a, **kw)
    return deferred
