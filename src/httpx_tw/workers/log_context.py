"""What a call logs in a worker carries the log context of who submitted it.

Twisted's thread pool pushes the submitter's context around every call. Here a worker
has one log context for its life, which looks at the call it is running when something
is logged; a submission only notes what the context was.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

from twisted.python import context
from twisted.python.log import ILogContext  # noqa: TID251  # the key Twisted logs by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from httpx_tw.workers.tasks import Task

__all__ = ["NOBODY", "contexts_here", "log_context_of", "note_context", "turn_of"]


class Turn(Protocol):
    """What our reactors push while they deal with a batch."""

    selectable: Any


class _Nobody:
    selectable = None


NOBODY: Turn = _Nobody()


class _Worker(Protocol):
    task: Task | None


class _LogContext(dict[str, Any]):
    """The log context of whatever its worker is running."""

    __slots__ = ("worker",)

    worker: _Worker

    def copy(self) -> dict[str, Any]:
        """Return the submitter's, as a plain dictionary: Twisted logs by this."""
        task = self.worker.task
        if task is None:
            return dict(self)
        inherited = task.pushed.get(ILogContext, self)
        if task.selectable is None:
            return dict(inherited)
        return {**inherited, "system": _system_of(task.selectable)}

    def __getitem__(self, key: str) -> Any:
        return self.copy()[key]

    def get(self, key: str, default: Any = None) -> Any:
        """See dict.get."""
        return self.copy().get(key, default)


class _Pushed(dict[Any, Any]):
    """What a worker has pushed for its life: that of whatever it is running."""

    __slots__ = ("worker",)

    worker: _Worker

    def __getitem__(self, key: Any) -> Any:
        task = self.worker.task
        if key is ILogContext or task is None:
            return dict.__getitem__(self, key)
        return task.pushed[key]


def note_context(task: Task, contexts: list[dict[Any, Any]]) -> None:
    """Note in *task* the context of who submits it, the last of *contexts*.

    The reactors of ours push one for a batch of events, and its ``selectable`` says
    whose turn it is: that will be another's when the call logs something.
    """
    pushed = contexts[-1]
    if isinstance(pushed, _Pushed):  # a call that submits a call
        parent = pushed.worker.task
        assert parent is not None
        task.pushed, task.selectable = parent.pushed, parent.selectable
    else:
        task.pushed = pushed
        task.selectable = turn_of(pushed).selectable


def turn_of(pushed: dict[Any, Any]) -> Turn:
    """Return *pushed* if it says whose turn it is, else that it is nobody's."""
    return cast("Turn", pushed) if hasattr(pushed, "selectable") else NOBODY


def contexts_here() -> list[dict[Any, Any]]:
    """Return this thread's stack of contexts: the same one for its life."""
    contexts: list[dict[Any, Any]] = context.theContextTracker.currentContext().contexts
    return contexts


@contextmanager
def log_context_of(worker: _Worker) -> Iterator[None]:
    """Let what is logged in this thread, meanwhile, be logged as *worker*'s call's."""
    log_context = _LogContext(context.get(ILogContext) or {})
    pushed = _Pushed({ILogContext: log_context})
    log_context.worker = pushed.worker = worker
    contexts = contexts_here()
    contexts.append(pushed)
    try:
        yield
    finally:
        contexts.pop()


def _system_of(selectable: Any) -> str:
    try:
        return str(selectable.logPrefix())
    except Exception:  # noqa: BLE001  # the log must not fail for it
        return "(buggy logPrefix method)"
