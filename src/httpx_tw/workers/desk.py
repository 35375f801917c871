"""Where each call of a pool is, and what becomes of it."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from httpx_tw.errors import DeadlinePassed, NoWorkers, QueueFull
from httpx_tw.workers.return_path import ReturnPath
from httpx_tw.workers.statistics import Tally, WorkerPoolStats, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from httpx_tw.workers.queues import Queue
    from httpx_tw.workers.tasks import Task

__all__ = ["Desk"]

_READINGS: Final = 100  # it is one or two, unless somebody keeps us from running


class Desk:
    """The calls of one pool.

    A call is in ``outstanding`` from its submission until somebody takes it out. Who
    does has decided its fate, counts it, and tells who submitted it; whoever comes
    second finds it gone. Meanwhile it is first among the ``waiting``, if there was no
    room, then in ``queue``, then with a worker. All of these are taken out of by one
    indivisible operation each, so there are no two who have the same call.

    :param room: most calls in the queue.
    :param ring: see ReturnPath.
    :param wake: called when who waited is in the queue.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        queue: Queue,
        room: int,
        ring: Callable[[], object],
        wake: Callable[[], object],
    ) -> None:
        self.name = name
        self.queue = queue
        self.room = room
        self.clock = monotonic
        self.outstanding: dict[Task, Task] = {}
        self.waiting: deque[Task] = deque()
        self._wake = wake
        self.returns = ReturnPath(ring, self._deliver)
        self.lock = Lock()
        """Of the waiting, and of what is counted elsewhere."""
        self.here = Tally()
        """What the reactor thread counts as it goes, without the lock."""
        self.elsewhere = Tally()
        """What any thread counts, with it."""

    # Ways in

    def full(self, tally: Tally) -> QueueFull:
        """Count a refusal, and return what to raise."""
        tally.rejected += 1
        return QueueFull(f"{self.name}: {self.room} calls are queued")

    def let_wait(self, task: Task) -> None:
        """Take on *task* when there is room. On the reactor thread."""
        with self.lock:
            self.outstanding[task] = task
            self.waiting.append(task)
        self.admit()  # the workers may have emptied the queue meanwhile

    def admit(self) -> None:
        """Queue who waits, as far as there is room. From any thread.

        A worker that has a call looks whether somebody waits, and one that found none
        does so under the lock: nobody is left waiting beside an empty queue.
        """
        any_admitted = False
        with self.lock:
            while self.waiting and len(self.queue) < self.room:
                task = self.waiting.popleft()
                self.queue.put(task)
                task.admit()
                any_admitted = True
        if any_admitted:
            self._wake()

    # Ends

    def _deliver(self, task: Task) -> None:
        if self.outstanding.pop(task, None) is None:
            self.here.returned += 1
            return
        self.here.record(task)
        if task.error is None:
            try:  # _tell, without the call
                task.finished(task.result, None)
            except Exception:  # noqa: BLE001  # see _tell
                self._log_failure(task)
        else:
            self._tell(task, task.error)
            task.error = None  # its frames may hold the task

    def settle(self, task: Task) -> None:
        """Decide the fate of a call that ran and is told in its worker: in that."""
        with self.lock:
            if self.outstanding.pop(task, None) is None:
                self.elsewhere.returned += 1
                return
            self.elsewhere.record(task)
        self._tell(task, task.error)

    def has_heard_of(self, task: Task) -> bool:
        """Whether *task* has been passed on."""
        return task in self.returns.brought or task not in self.outstanding

    def cancel(self, task: Task) -> bool:
        """See Task.cancel."""
        return self.withdraw(task) is not None

    def withdraw(self, task: Task, outcome: str = "cancelled") -> bool | None:
        """Give *task* up for its submitter, who need not be told.

        :param outcome: what it is counted as: "cancelled" or "timed_out".
        :returns: whether it never ran; None: it was over already.
        """
        with self.lock:
            never_ran = self._take_out(task, outcome, None)
        if never_ran and self.waiting:
            self.admit()
        return never_ran

    def expire(self, seconds: float) -> None:
        """Give up what was submitted so long ago. On the reactor thread."""
        self.returns.take_in()  # what is here is in time
        latest = self.clock() - seconds
        for task in list(self.outstanding):  # in the order of their submission
            if task.submitted > latest:
                break
            error = DeadlinePassed(f"{self.name}: no result within {seconds:g} s")
            self._give_up(task, "timed_out", error)
        self.admit()

    def drop(self, tasks: Iterable[Task], why: type[Exception]) -> list[Task]:
        """Give up *tasks*, for the pool's own reasons; return those that never ran."""
        message = f"{self.name} was stopped"
        return [task for task in tasks if self._give_up(task, "dropped", why(message))]

    def drop_oldest(self, error: BaseException) -> bool:
        """Give up the first call in the queue. Whether there was one."""
        with self.lock:
            try:
                task = self.queue.take_oldest()
            except IndexError:
                return False
            del self.outstanding[task]
            self.elsewhere.count("dropped", is_abandoned=False)
        # Later: who makes room is in the middle of something.
        self.returns.bring((self._tell, (task, error)))
        return True

    def drop_all(self, cause: BaseException) -> None:
        """Give up everything: there is no worker, and can be none."""
        for task in list(self.outstanding):  # not what is submitted when told
            error = NoWorkers(f"{self.name}: {cause}")
            error.__cause__ = cause
            self._give_up(task, "dropped", error)

    def _give_up(self, task: Task, outcome: str, error: BaseException) -> bool | None:
        with self.lock:
            never_ran = self._take_out(task, outcome, error)
        if never_ran is not None and not task.is_refused:
            self._tell(task, error)
        return never_ran

    def _take_out(
        self, task: Task, outcome: str, refusal: BaseException | None
    ) -> bool | None:
        """Decide the fate of *task*. Under the lock. See withdraw."""
        if self.outstanding.pop(task, None) is None:
            return None
        never_ran = self._take_back(task, refusal)
        self.elsewhere.count(outcome, is_abandoned=not never_ran)
        return never_ran

    def _take_back(self, task: Task, refusal: BaseException | None) -> bool:
        """Take *task* from where it is, if no worker has it."""
        with suppress(ValueError):
            self.waiting.remove(task)
            task.refuse(refusal)
            return True
        with suppress(ValueError):
            self.queue.remove(task)
            return True
        return False

    def _tell(self, task: Task, error: BaseException | None) -> None:
        told: Any = error
        if error is not None and not task.is_told_in_the_worker:
            told = Failure(error)
        try:
            task.finished(None if error is not None else task.result, told)
        except Exception:  # noqa: BLE001  # one caller's error is not the next one's
            self._log_failure(task)

    def _log_failure(self, task: Task) -> None:
        self._log.failure("{finished} failed", finished=task.finished)

    # Figures

    def ended(self) -> int:
        """Return how many calls have returned or raised, in time."""
        return sum(
            tally.completed + tally.errors for tally in (self.here, self.elsewhere)
        )

    def overdue(self) -> int:
        """Return how many calls were given up and are running yet."""
        return self.elsewhere.abandoned - self.elsewhere.returned - self.here.returned

    def stats(self, workers: int, idle: int) -> WorkerPoolStats:
        """Return the figures. From any thread.

        With the lock held only the reactor thread moves them. So on that they hold
        still; elsewhere they are read until two readings agree.
        """
        with self.lock:
            for _ in range(_READINGS):
                before = self._reading()
                waiting, queued = len(self.waiting), len(self.queue)
                record = summed(
                    (self.here, self.elsewhere),
                    (len(self.outstanding), waiting, queued),
                    (workers, idle),
                )
                if self._reading() == before:
                    break
        return record

    def _reading(self) -> tuple[Any, ...]:
        return len(self.outstanding), *self.here.counts()
