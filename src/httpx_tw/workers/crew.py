"""The threads of a pool: they take calls, park when there are none, retire, and end.

A worker that finds no call parks: it puts itself on the list of the parked, looks for a
call once more, and waits for its own bell. Who submits puts the call in the queue, and
then takes a worker off the list. Whoever is later sees the other; and as both looks
take something out, they cannot be reordered, not even without the GIL. Busy workers are
not woken: they look before they park.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from httpx_tw.workers.bells import SILENT, LockBell, a_bell
from httpx_tw.workers.log_context import log_context_of
from httpx_tw.workers.tasks import name_of

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from httpx_tw.workers.bells import Bell
    from httpx_tw.workers.desk import Desk
    from httpx_tw.workers.tasks import Task

__all__ = ["Crew", "Worker"]

_MOMENT: Final = 0.0005  # seconds that a reactor may spend on it

_LONGEST_WAIT: Final = 2_000_000.0
"""Seconds, 23 days: epoll_wait(2) takes no more than 2^31 milliseconds."""


class Worker:
    """A thread, and what it is at."""

    __slots__ = ("bell", "own", "task", "thread")

    def __init__(self) -> None:
        self.bell: Bell = SILENT
        """Rung by who takes it off the list of the parked."""
        self.task: Task | None = None
        """The call it is running."""
        self.thread: threading.Thread
        self.own: deque[Task]
        """Calls of its own, where workers have such."""


class Crew:
    """The workers of one pool.

    The threads are daemons: the interpreter waits for every other thread before it
    exits, and one that hangs in a call would hold it for ever. To wait for calls is
    what stopping the pool is for.

    :param most: so many threads at most.
    :param idle_timeout: seconds without work after which a thread ends, which after 23
        days it does in any case. 0: never.
    :param left: called, in the thread, when one is about to end.
    """

    _log = Logger()

    def __init__(
        self, desk: Desk, most: int, idle_timeout: float, left: Callable[[], object]
    ) -> None:
        self.least = 0
        self.most = most
        self.make_thread = threading.Thread
        self.workers: dict[Worker, Worker] = {}
        self.parked: list[Worker] = []
        """Whoever parked last is woken first; so the others come to retire."""
        self._desk = desk
        self._queue = desk.queue
        self._brought = desk.returns.brought
        self._tell_of_results = desk.returns.tell
        self.clock = desk.clock
        # -1: as Lock.acquire says never
        self._idle_timeout = min(idle_timeout, _LONGEST_WAIT) or -1
        self._left = left
        self.is_one_coming = False
        """One was woken, and has not looked for a call since: nobody else need be."""
        self.is_watched = False
        """The reactor thread sees to it that somebody is coming: see have_done."""
        self._is_leaving = True
        self._is_wanting = False
        """There is no worker and can be none, which is about to have consequences."""
        self._lock = threading.Lock()  # who is a worker
        self._here = threading.local()
        self._departed: list[threading.Thread] = []
        self._number = 0

    # From any thread

    def wake(self) -> bool:
        """See to it that somebody looks for a call: there is one.

        One worker, who wakes the next if there is more, before it begins: it may be
        about to block. To wake as many as there are calls costs twice as much: those
        who wait for the GIL find nothing when they get it, for short calls are over by
        then.
        """
        if self.is_one_coming:
            return True
        try:
            worker = self.parked.pop()
        except IndexError:
            if len(self.workers) >= self.most or self._is_wanting:
                return False
            return self._grow(1)
        self.is_one_coming = True
        worker.bell.ring()
        if worker not in self.workers:
            # An exception from outside has hit it since: it may not come, and whoever
            # waits for it would wait for ever.
            self._arrive()
            return not self._queue or self.wake()
        return True

    def have_done(self) -> None:
        """Wake workers for what is queued, and watch them, as long as it is a moment.

        To ring lets go of the GIL. A worker may take it, and run calls until one waits
        for something, or none is left. So this sees for itself whether another one has
        to be woken, and those that it woke need not do so in case their calls block.
        """
        queue = self._queue
        until = self.clock() + _MOMENT
        self.is_watched = True
        try:
            while queue and not self.is_one_coming and self.wake():
                if self.clock() > until:
                    break
        finally:  # a KeyboardInterrupt may come where the GIL was let go of
            self.is_watched = False
        # One that came just before that has woken nobody.
        if queue and not self.is_one_coming:
            self.wake()

    def can_take_more(self) -> bool:
        """Whether there are idle workers, or could be, for all that is queued and more.

        Calls of one batch are queued before anybody is woken for the first: a burst
        would be refused beside idle threads, if these were not asked.
        """
        idle = self.most - len(self.workers) + len(self.parked) + self.is_one_coming
        return len(self._queue) < self._desk.room + idle

    def employ(self) -> None:
        """Let workers stay when they find no call, and hire those who always do."""
        self._is_leaving = False
        self._grow(self.least - len(self.workers))

    def dismiss(self) -> None:
        """Let each worker leave when it finds no call."""
        self._is_leaving = True
        with suppress(IndexError):
            while True:
                self.parked.pop().bell.ring()

    def join(self) -> None:
        """Wait for the threads of those who left: they are about to end."""
        while self._departed:
            self._departed.pop().join()

    def forget(self) -> None:
        """Give back what the threads hold: this is a forked child, without them.

        Their frames are here for good, and so what these refer to.
        """
        for worker in self.workers:
            bell, worker.bell = worker.bell, LockBell()
            bell.close()

    def describe(self) -> list[str]:
        """Return which thread is running what."""
        return [
            f"{worker.thread.name}: {name_of(task)}"
            for worker in list(self.workers)
            if (task := worker.task) is not None
        ]

    def resize(self, least: int, most: int) -> None:
        """Keep *least* threads while employed, and have no more than *most*."""
        self.least, self.most = least, most
        while self._surplus() > 0:
            try:
                self.parked.pop().bell.ring()
            except IndexError:
                break
        if not self._is_leaving:
            self._grow(least - len(self.workers))

    def _surplus(self) -> int:
        return len(self.workers) - self.most

    def worker_here(self) -> Worker | None:
        """Return the worker whose thread this is; None: not one of this crew."""
        worker: Worker | None = getattr(self._here, "worker", None)
        return worker

    def run(self, worker: Worker, task: Task) -> None:
        """Run *task* in this thread, *worker*'s, and pass on how it ended."""
        before = worker.task
        worker.task = task
        task.started = self.clock()
        try:
            task.result = task.context.run(task.function, task.argument)
        except BaseException as error:  # noqa: BLE001  # SystemExit, too, is an answer
            task.error = _without_this_frame(error)
        task.ended = self.clock()
        self._pass_on(task)
        worker.task = before
        # The frames of a traceback hold this one, and so would the error itself.
        del task

    def _pass_on(self, task: Task) -> None:
        if task.is_told_in_the_worker:
            self._desk.settle(task)
        else:
            self._brought.append(task)
            if not self.is_one_coming:
                self._tell_of_results()

    # The threads

    def _grow(self, count: int) -> bool:
        """Hire so many, but not more than there may be; whether it could be done."""
        for _ in range(count):
            with self._lock:
                if len(self.workers) >= self.most:
                    return False
                worker = self._new_worker()
            self.is_one_coming = True
            try:
                worker.thread.start()
            except RuntimeError as error:
                self._arrive()  # in its place: results may wait for that
                self._go_on_without(worker, error)
                return False
        return True

    def _new_worker(self) -> Worker:
        self._number += 1
        worker = Worker()
        worker.thread = self.make_thread(
            name=f"{self._desk.name}-{self._number}",
            target=self._live,
            args=(worker,),
            daemon=True,
        )
        self.workers[worker] = worker
        return worker

    def _go_on_without(self, worker: Worker, error: RuntimeError) -> None:
        with self._lock:
            del self.workers[worker]
            left = len(self.workers)
        self._log.warn(
            "{name}: {error}; {left} workers go on",
            name=self._desk.name,
            error=error,
            left=left,
        )
        if not left and not self._is_wanting:
            self._is_wanting = True
            self._desk.returns.bring((self._drop_all, (error,)))

    def _drop_all(self, error: RuntimeError) -> None:
        if not self.workers:
            self._desk.drop_all(error)
        self._is_wanting = False
        if self._queue:
            self.wake()

    def _live(self, worker: Worker) -> None:
        """What a thread does, from its first moment to its last."""
        self._here.worker = worker
        try:
            worker.bell = a_bell()
            with log_context_of(worker):
                self._work(worker)
        except BaseException as error:  # noqa: BLE001  # an asynchronous exception
            self._die(worker, error)
        # Nobody closes it, for somebody may be about to ring, and by then another may
        # have the descriptor. Who rings holds it; it goes with the last who does.
        worker.bell = SILENT
        self._left()

    def _work(self, worker: Worker) -> None:
        take = self._queue.taker(worker)
        self._arrive()
        queue, waiting = self._queue, self._desk.waiting
        workers, parked = self.workers, self.parked
        task: Task | None
        while True:
            try:
                task = take()
            except IndexError:
                task = self._park(worker, take)
                if task is None:
                    return
            if waiting:
                self._desk.admit()
            if (
                not (self.is_watched or self.is_one_coming)
                and queue
                and (parked or len(workers) < self.most)
            ):
                self.wake()
            self.run(worker, task)
            del task  # who parks keeps nothing alive

    def _park(self, worker: Worker, take: Callable[[], Task]) -> Task | None:
        """Wait for a call, and take it. None: the worker has left."""
        self._tell_of_results()
        self._desk.admit()
        while True:
            self.parked.append(worker)
            try:
                task = take()
            except IndexError:
                pass
            else:
                self._unpark(worker)
                return task
            if self._is_leaving or self._surplus() > 0:
                self._unpark(worker)
                if self._leaves(worker, 0 if self._is_leaving else self.most):
                    return None
            elif not worker.bell.wait(self._idle_timeout):
                self._unpark(worker)
                if self._leaves(worker, self.least):
                    return None
            else:
                self._arrive()
            with suppress(IndexError):
                return take()

    def _unpark(self, worker: Worker) -> None:
        try:
            self.parked.remove(worker)
        except ValueError:
            worker.bell.wait(-1)  # somebody woke it: that has come, or is about to
            self._arrive()

    def _arrive(self) -> None:
        """Note, before looking for a call, that whoever was woken is here."""
        self.is_one_coming = False
        self._tell_of_results()

    def _leaves(self, worker: Worker, down_to: int) -> bool:
        """Leave, unless there is a call and nobody else to look for it.

        Nor do workers leave who are no more than *down_to*.

        Who submits looks for a parked worker, and then whether there may be one more.
        So this makes room for one, and then looks whether it was too late for that.
        """
        with self._lock:
            if len(self.workers) <= down_to:
                return False
            self._departed.append(worker.thread)
            del self.workers[worker]
        if not self._queue:
            self._queue.forget(worker)
            return True
        with self._lock:
            if len(self.workers) >= self.most:
                self._queue.forget(worker)
                return True  # somebody was hired for it
            self.workers[worker] = worker
            self._departed.remove(worker.thread)
        return False

    def _die(self, worker: Worker, error: BaseException) -> None:
        """Leave in the midst of it, to others what it would have done."""
        task, worker.task = worker.task, None
        self._queue.forget(worker)
        with self._lock:
            self._departed.append(worker.thread)
            self.workers.pop(worker, None)
        with suppress(ValueError):
            self.parked.remove(worker)
        self._arrive()
        self._log.failure(
            "{name} died, and is replaced", Failure(error), name=worker.thread.name
        )
        if task is not None and not self._desk.has_heard_of(task):
            task.error = error
            task.ended = self.clock()
            self._pass_on(task)
        if self._queue:
            self.wake()


def _without_this_frame(error: BaseException) -> BaseException:
    """Take ours off its traceback: it is no news, and would keep its locals alive."""
    traceback = error.__traceback__
    return error.with_traceback(traceback and traceback.tb_next)
