"""How a server uses its worker threads: whose they are, and what overload gets."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred, succeed

from httpx_tw.errors import QueueFull
from httpx_tw.server.deadlines import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from twisted.python.failure import Failure

    from httpx_tw.workers.pool import WorkerPool

    Finished: TypeAlias = Callable[[Any, Failure | None], object]

__all__ = ["Call", "Overload", "Threads", "WaitingCall"]


class Overload(enum.Enum):
    """What a request gets when the workers' queue is full."""

    REJECT = "reject"
    """503 with Retry-After, at once."""

    WAIT = "wait"
    """Its turn: its connection is not read meanwhile. It may wait for as long as a
    handler may take, then it gets 503."""

    SHED_OLDEST = "shed-oldest"
    """The place of the call that has waited longest, which gets the 503: whoever sent
    that one has most likely given up."""


class Call(Protocol):
    """What ``offload`` returns."""

    finished: Finished
    """See Task.finished."""

    def cancel(self) -> object:
        """See Task.cancel."""

    def time_out(self) -> object:
        """See Task.time_out."""


class WaitingCall:
    """A call that waits for room in the queue first."""

    __slots__ = ("_answer", "finished")

    def __init__(self, answer: Deferred[Any], finished: Finished) -> None:
        self.finished = finished
        self._answer = answer
        answer.addCallbacks(self._returned, self._failed)

    def _returned(self, result: Any) -> None:
        self.finished(result, None)

    def _failed(self, failure: Failure) -> None:
        self.finished(None, failure)

    def cancel(self) -> None:
        """See Task.cancel."""
        self.finished = _ignored
        self._answer.cancel()

    time_out = cancel


def _ignored(result: Any, failure: Failure | None) -> None:
    """Take the place of who is not interested any more."""


class Threads:
    """The worker threads of one server, while it runs.

    :param pool: running already: it is somebody else's, who also stops it.
    :param takes_from: ANYWHERE or ON_WORKER of :mod:`httpx_tw.app.route`: which
        endpoints are to run here.
    :param timeout: seconds from here to the start of the response, for routes without
        a timeout of their own. 0: no deadline.

    Use it on the reactor thread. Until it is started there are no threads; the first
    call does that, too.
    """

    __slots__ = (
        "_has_started",
        "_is_ours",
        "_overload",
        "_reactor",
        "offload",
        "pool",
        "post",
        "takes_from",
        "timeout",
    )

    def __init__(
        self,
        reactor: Any,
        pool: WorkerPool,
        overload: Overload,
        takes_from: int,
        *,
        timeout: float = 0,
    ) -> None:
        self.pool = pool
        self.takes_from = takes_from
        self.timeout = timeout or NEVER
        """Seconds; NEVER: no deadline."""
        self.post = pool.post
        """Has a function called on the reactor thread; see WorkerPool.post."""
        self._reactor = reactor
        self._overload = overload
        self._is_ours = not pool.is_running
        self._has_started = False
        self.offload: Callable[[Callable[[Any], Any], Any, Finished], Call]
        """Have a worker call a function with an argument; see WorkerPool.offload.

        What happens when the queue is full, the policy says. An attribute, for most
        servers have that of the pool itself here: a call less.

        :raises QueueFull: when the policy is to reject, or there was none to shed.
        :raises PoolStopped: when the pool has been.
        """
        self.offload = self._start_and_offload
        if not self._is_ours:
            self.start()

    def start(self) -> None:
        """Start the pool, if that is ours to do. Once: it is not started again."""
        if self._has_started:
            return
        self._has_started = True
        if self._is_ours:
            self.pool.start(self._reactor)
        match self._overload:
            case Overload.REJECT:
                self.offload = self.pool.offload
            case Overload.WAIT:
                self.offload = self._offload_or_wait
            case Overload.SHED_OLDEST:
                self.offload = self._offload_or_shed

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Have a worker call *function* when there is room, whatever the policy."""
        self.start()
        answer: Deferred[Any] = self.pool.submit(function, *arguments)
        return answer

    def stop(self, timeout: float) -> Deferred[Any]:
        """Stop the pool if it is ours; return a Deferred that fires when that is done.

        What runs or is queued has *timeout* seconds. A second call may shorten that.
        """
        return self.pool.stop(timeout) if self._is_ours else succeed(None)

    # What offload may be

    def _start_and_offload(
        self, function: Callable[[Any], Any], argument: Any, finished: Finished
    ) -> Call:
        self.start()
        return self.offload(function, argument, finished)

    def _offload_or_wait(
        self, function: Callable[[Any], Any], argument: Any, finished: Finished
    ) -> Call:
        try:
            return self.pool.offload(function, argument, finished)
        except QueueFull:
            return WaitingCall(self.pool.submit(function, argument), finished)

    def _offload_or_shed(
        self, function: Callable[[Any], Any], argument: Any, finished: Finished
    ) -> Call:
        try:
            return self.pool.offload(function, argument, finished)
        except QueueFull:
            if not self.pool.shed_oldest():
                raise
            return self.pool.offload(function, argument, finished)
