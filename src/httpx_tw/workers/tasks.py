"""One call on its way through a worker pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

__all__ = ["Owner", "Task"]


class Owner(Protocol):
    """What a task needs of its pool."""

    def cancel(self, task: Task) -> bool:
        """See Task.cancel."""


class Task:
    """A call that a pool has taken on. ``WorkerPool.offload`` returns it."""

    __slots__ = (
        "argument",
        "ended",
        "error",
        "finished",
        "function",
        "owner",
        "result",
        "started",
        "submitted",
    )

    result: Any
    error: BaseException | None
    started: float
    ended: float

    def __init__(
        self,
        owner: Owner,
        function: Callable[[Any], Any],
        argument: Any,
        finished: Callable[[Any, Failure | None], object],
        submitted: float,
    ) -> None:
        self.owner = owner
        self.function = function
        self.argument = argument
        self.finished = finished
        self.submitted = submitted
        """Seconds of the monotonic clock; so are the other two times."""
        self.error = None

    def cancel(self) -> bool:
        """Give the call up: ``finished`` will not be called. On the reactor thread.

        A queued call is taken out and never runs. A running one goes on in its worker,
        for a thread cannot be stopped; what comes of it is dropped.

        :returns: whether there was anything to give up: False when it is over.
        """
        return self.owner.cancel(self)
