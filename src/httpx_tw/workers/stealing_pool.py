"""A pool whose workers have queues of their own, and steal from each other's."""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING

from httpx_tw.workers.pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.workers.crew import Worker
    from httpx_tw.workers.queues import Queue
    from httpx_tw.workers.tasks import Task

__all__ = ["StealingQueues", "WorkStealingPool"]


class WorkStealingPool(WorkerPool):
    """A WorkerPool for calls that submit calls, and wait for them.

    What a worker submits goes into its own queue, from which it takes the latest first:
    what it needs is still in the cache, and a tree of calls is worked off depth first,
    with a short queue. A worker without work takes from the shared queue, in order, and
    then from another's own: the oldest, which is the root of the largest subtree.

    Worth it without the GIL. With it a WorkerPool does the same as fast, and in order:
    see docs/explanation/worker-pools.md.
    """

    def _make_queue(self) -> Queue:
        return StealingQueues()


class StealingQueues:
    """A queue of each worker's, and one for everybody else's calls. See Queue.

    Each operation on a deque is indivisible. What is not so is to look at several; but
    who looks for a call and finds none parks, and looks again, and whoever puts one in
    anywhere wakes somebody afterwards.
    """

    def __init__(self) -> None:
        self._shared: deque[Task] = deque()
        self._owned: dict[Worker, deque[Task]] = {}
        self.put = self._shared.append

    def put_own(self, worker: Worker, task: Task) -> None:
        """See Queue.put_own."""
        self._owned[worker].append(task)

    def taker(self, worker: Worker) -> Callable[[], Task]:
        """See Queue.taker."""
        owned = self._owned
        own = owned[worker] = deque()
        take_own, take_shared = own.pop, self._shared.popleft

        def take() -> Task:
            try:
                return take_own()
            except IndexError:
                pass
            try:
                return take_shared()
            except IndexError:
                return steal()

        def steal() -> Task:
            for victim in list(owned.values()):
                try:
                    return victim.popleft()
                except IndexError:
                    pass
            raise IndexError("there is no call")

        return take

    def take_oldest(self) -> Task:
        """See Queue.take_oldest. Of the shared queue's, then of the longest own."""
        try:
            return self._shared.popleft()
        except IndexError:
            return max([self._shared, *self._owned.values()], key=len).popleft()

    def remove(self, task: Task) -> None:
        """See Queue.remove."""
        for queue in [self._shared, *self._owned.values()]:
            try:
                queue.remove(task)
            except ValueError:
                continue
            return
        raise ValueError("a worker has it")

    def forget(self, worker: Worker) -> None:
        """See Queue.forget."""
        own = self._owned.pop(worker, None)
        if own:
            self._shared.extend(own)

    def __len__(self) -> int:
        return sum(map(len, chain([self._shared], list(self._owned.values()))))
