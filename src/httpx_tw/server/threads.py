"""How a server uses its worker threads: whose they are, and what overload gets."""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from httpx_tw.errors import PoolStopped, QueueFull

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from twisted.python.failure import Failure

    from httpx_tw.workers.pool import WorkerPool

    Finished: TypeAlias = Callable[[Any, Failure | None], object]

__all__ = ["Overload", "Threads", "WaitingCall"]


class Overload(enum.Enum):
    """What a request gets when the workers' queue is full."""

    REJECT = "reject"
    """503 with Retry-After, at once."""

    WAIT = "wait"
    """Its turn: its connection is not read meanwhile. It may wait for as long as a
    handler may take, then it gets 503."""

    SHED_OLDEST = "shed-oldest"
    """The place of the request that has waited longest, which gets the 503: whoever
    sent that one has most likely given up."""


class WaitingCall:
    """A call that waits for a place in the queue, and later has one."""

    __slots__ = ("_offload", "_task", "_threads")

    def __init__(self, threads: Threads, offload: Callable[[], Any]) -> None:
        self._threads = threads
        self._offload = offload
        self._task: Any = None

    def cancel(self) -> object:
        """See Task.cancel."""
        return self._threads.forget(self) if self._task is None else self._task.cancel()

    def queue(self) -> None:
        """Give it to the pool.

        :raises QueueFull: see WorkerPool.offload.
        :raises PoolStopped: see WorkerPool.offload.
        """
        self._task = self._offload()


class Threads:
    """The worker threads of one server, while it runs.

    :param pool: started on the first call, unless it runs already; then it is somebody
        else's, who also stops it.
    :param takes_from: ANYWHERE or ON_WORKER of :mod:`httpx_tw.app.route`: which
        endpoints are to run here.

    Use it on the reactor thread.
    """

    def __init__(
        self, reactor: Any, pool: WorkerPool, overload: Overload, takes_from: int
    ) -> None:
        self.pool = pool
        self.takes_from = takes_from
        self._reactor = reactor
        self._overload = overload
        self._is_ours = not pool.is_running
        self._is_stopped = False
        self.waiting: deque[WaitingCall] = deque()
        """Calls that wait for a place in the queue, in order."""
        self.post = pool.post

    def start(self) -> None:
        """Start the pool, if that is ours to do and not done yet."""
        if self._is_ours and not self.pool.is_running:
            self.pool.start(self._reactor)

    def offload(
        self, function: Callable[[Any], Any], argument: Any, finished: Finished
    ) -> Any:
        """Have a worker call *function*; return what has a ``cancel()``.

        *finished* is called later with the result, or with None and the failure.

        :raises QueueFull: when the queue is, and the policy is to reject.
        :raises PoolStopped: when the server is being stopped.
        """
        try:
            return self.pool.offload(function, argument, finished)
        except PoolStopped:
            if self._is_stopped or not self._is_ours:
                raise
            self.start()
            return self.pool.offload(function, argument, finished)
        except QueueFull:
            if self._overload is Overload.REJECT:
                raise
        if self._overload is Overload.SHED_OLDEST:
            if not self.pool.shed_oldest():
                raise QueueFull("every place of the queue was taken meanwhile")
            return self.pool.offload(function, argument, finished)
        call = WaitingCall(
            self, lambda: self.pool.offload(function, argument, finished)
        )
        self.waiting.append(call)
        return call

    def forget(self, call: WaitingCall) -> bool:
        """Take *call* out of those that wait. Whether it did."""
        try:
            self.waiting.remove(call)
        except ValueError:
            return False
        return True

    def refill(self) -> None:
        """Queue what waits, as far as there is room."""
        waiting = self.waiting
        while waiting:
            try:
                waiting[0].queue()
            except (QueueFull, PoolStopped):
                return
            waiting.popleft()

    def stop(self, timeout: float) -> Deferred[Any]:
        """Stop the pool if it is ours; return a Deferred that fires when that is done.

        What is queued has *timeout* seconds.
        """
        self._is_stopped = True
        if not (self._is_ours and self.pool.is_running):
            stopped: Deferred[Any] = Deferred()
            stopped.callback(None)
            return stopped
        return self.pool.stop(timeout)
