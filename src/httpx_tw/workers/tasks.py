"""One call on its way through a pool, and who hears what becomes of it."""

from __future__ import annotations

import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from twisted.python.failure import Failure

    Call: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

__all__ = ["PoolFuture", "Task", "ThreadTask", "apply", "name_of"]


class _Desk(Protocol):
    def cancel(self, task: Task) -> bool: ...

    def withdraw(self, task: Task, outcome: str = ...) -> bool | None: ...


class Task:
    """A call that a pool has taken on; ``WorkerPool.offload`` returns it.

    Its fate is decided once, by who takes it out of the pool's table of outstanding
    calls: the reactor thread when its result arrives, a deadline, a cancellation, the
    pool's end. So there is no state in here to agree upon, and nothing to lock.
    """

    __slots__ = (
        "argument",
        "context",
        "desk",
        "ended",
        "error",
        "finished",
        "function",
        "pushed",
        "result",
        "selectable",
        "started",
        "submitted",
    )

    is_told_in_the_worker: ClassVar = False
    is_refused = False
    result: Any
    started: float
    ended: float
    pushed: dict[Any, Any]
    selectable: Any
    """See note_context: what Twisted's log shall say of what the call logs."""

    def __init__(
        self,
        desk: _Desk,
        function: Callable[[Any], Any],
        argument: Any,
        finished: Callable[[Any, Failure | None], object],
        submitted: float,
    ) -> None:
        self.desk = desk
        self.function = function
        self.argument = argument
        self.finished = finished
        """May be replaced on the reactor thread, until it is called."""
        self.submitted = submitted
        # Always a copy (0.05 us), even of an empty one: what a call sets, the next one
        # in its thread must not see.
        self.context = copy_context()
        self.error: BaseException | None = None

    def cancel(self) -> bool:
        """Give the call up: ``finished`` will not be called. On the reactor thread.

        A queued call is taken out and never runs. A running one goes on in its worker,
        for a thread cannot be stopped; what comes of it is dropped.

        :returns: whether there was anything to give up: False when it is over.
        """
        return self.desk.cancel(self)

    def time_out(self) -> bool:
        """See cancel; but it is counted as timed out. For who keeps the time itself."""
        return self.desk.withdraw(self, "timed_out") is not None

    def admit(self) -> None:
        """Hear that the wait for room is over."""

    def refuse(self, error: BaseException | None) -> None:
        """Hear that it is given up while it waits for room. None: by its submitter."""


class ThreadTask(Task):
    """A call whose submitter is told in the worker, and may be a waiting thread."""

    __slots__ = ("_refusal", "_room")

    is_told_in_the_worker = True

    def __init__(
        self,
        desk: _Desk,
        function: Callable[[Any], Any],
        argument: Any,
        tell: Callable[[Any, BaseException | None], object],
        submitted: float,
    ) -> None:
        super().__init__(desk, function, argument, tell, submitted)
        self._refusal: BaseException | None = None
        self._room: threading.Lock | None = None

    def prepare_to_wait(self) -> None:
        """Make ``wait_for_room`` wait for ``admit``."""
        self._room = threading.Lock()
        self._room.acquire()

    def wait_for_room(self) -> None:
        """Block until it is in the queue, or is refused; nothing if it need not wait.

        :raises PoolStopped: it is refused for that.
        :raises DeadlinePassed: or for this.
        """
        if self._room is not None:
            self._room.acquire()
        if self._refusal is not None:
            raise self._refusal

    def admit(self) -> None:
        """See Task.admit."""
        if self._room is not None:
            self._room.release()

    @property
    def is_refused(self) -> bool:  # type: ignore[override]  # a constant, of the others
        """Whether its submitter, who waited, hears of it by an exception."""
        return self._refusal is not None

    def refuse(self, error: BaseException | None) -> None:
        """See Task.refuse."""
        self._refusal = error
        self.admit()


class PoolFuture(Future[Any]):
    """The result of a call that another thread than the reactor's submitted.

    As any Future; but a worker of the same pool that asks for the result of a call that
    no worker has taken yet runs it itself. So calls may wait for calls they submitted,
    nested as deep as the stack, and never for a worker that waits for them in turn.
    (``concurrent.futures.wait`` and ``as_completed`` do not ask.)
    """

    task: ThreadTask | None
    """None: it is over."""

    def __init__(self, run_here: Callable[[Task], object]) -> None:
        super().__init__()
        self._run_here = run_here

    def cancel(self) -> bool:
        """See Future.cancel: a queued call never runs, a running one goes on."""
        task = self.task
        was_cancelled = super().cancel()
        if was_cancelled and task is not None:
            if task.desk.withdraw(task):
                self.set_running_or_notify_cancel()  # for who is in futures.wait
            self.task = None
        return was_cancelled

    def result(self, timeout: float | None = None) -> Any:
        """See Future.result."""
        self._run_if_no_worker_does()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """See Future.exception."""
        self._run_if_no_worker_does()
        return super().exception(timeout)

    def _run_if_no_worker_does(self) -> None:
        task = self.task
        if task is not None and not self.done():
            self._run_here(task)

    def run(self, call: Call) -> Any:
        """Make *call*, in a worker, unless it was cancelled on the way there."""
        if self.set_running_or_notify_cancel():
            return apply(call)
        task = self.task
        if task is not None:
            # Who cancels it has not got so far. Else it would count as completed.
            task.desk.withdraw(task)
        return None

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Hear how the call ended."""
        self.task = None  # they would hold each other
        with suppress(InvalidStateError):  # it was cancelled in this very moment
            if error is None:
                self.set_result(result)
            else:
                self.set_exception(error)


def apply(call: Call) -> Any:
    """Make *call*: a function, its arguments and its named arguments."""
    function, arguments, named = call
    return function(*arguments, **named)


def name_of(task: Task) -> str:
    """Return the name of the function it calls, for reports and logs."""
    function: Any = task.function
    if function is apply or isinstance(getattr(function, "__self__", None), Future):
        function = task.argument[0]
    return str(getattr(function, "__qualname__", None) or repr(function))
