"""Driving a coroutine on the reactor thread, with cancellation.

``Deferred.fromCoroutine`` does this too, for 3 µs more a coroutine. Most handlers
written ``async def`` never wait; here those are over with the first step.
"""

from __future__ import annotations

import sys
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from httpx_tw.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["RunningCoroutine", "start"]

_NEEDS_ASYNCIO: Final = (
    "what is awaitable in asyncio needs Twisted's asyncio reactor: "
    "twistd --reactor=asyncio …, or asyncioreactor.install() in a program"
)


def start(
    coroutine: Coroutine[Any, Any, Any],
    returned: Callable[[Any], None],
    failed: Callable[[Failure], None],
) -> RunningCoroutine | None:
    """Run *coroutine* until it waits; None: it is over, and its callback was called.

    Each coroutine has its own copy of the context variables, as a task of asyncio has.
    *returned* or *failed* is called once, here or later, unless it is cancelled.
    """
    context = copy_context()
    try:
        waiting = context.run(coroutine.send, None)
    except StopIteration as stop:
        returned(stop.value)
        return None
    except BaseException as error:  # noqa: BLE001  # as in _step
        failed(_explained(error))
        return None
    running = RunningCoroutine(coroutine, context, returned, failed)
    running.wait_for(waiting)
    return None if running.is_over else running


class RunningCoroutine:
    """A coroutine that waits for a Deferred (or, on the asyncio reactor, a future)."""

    __slots__ = (
        "_context",
        "_coroutine",
        "_failed",
        "_returned",
        "_waiting",
        "is_over",
    )

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        context: Context,
        returned: Callable[[Any], None],
        failed: Callable[[Failure], None],
    ) -> None:
        self._coroutine = coroutine
        self._context = context
        self._returned = returned
        self._failed = failed
        self._waiting: Deferred[Any] | None = None
        self.is_over = False

    def disown(self) -> None:
        """Let it go on; nobody is told of the outcome any more."""
        self._returned = self._failed = _ignored

    def cancel(self) -> None:
        """Cancel what is waited for; nobody is told of the outcome any more.

        The coroutine sees CancelledError where it waits, so its ``finally`` runs. If it
        goes on waiting all the same, it is driven to its end and its result dropped.
        """
        self.disown()
        if self._waiting is not None:
            self._waiting.cancel()

    def wait_for(self, waiting: Any) -> None:
        """Resume the coroutine when *waiting*, which it has just yielded, has fired."""
        while True:
            if not isinstance(waiting, Deferred):
                deferred = _as_deferred(waiting)
                if deferred is None:
                    waiting = self._step(
                        self._coroutine.throw,
                        TypeError(
                            f"a handler can wait for Deferreds, not for {waiting!r}; "
                            f"{_NEEDS_ASYNCIO}"
                        ),
                    )
                    if self.is_over:
                        return
                    continue
                waiting = deferred
            self._waiting = waiting
            waiting.addBoth(self._resume)
            return

    def _resume(self, result: Any) -> None:
        self._waiting = None
        if isinstance(result, Failure):
            waiting = self._step(result.throwExceptionIntoGenerator, self._coroutine)
        else:
            waiting = self._step(self._coroutine.send, result)
        if not self.is_over:
            self.wait_for(waiting)

    def _step(self, resume: Callable[[Any], Any], argument: Any) -> Any:
        try:
            return self._context.run(resume, argument)
        except StopIteration as stop:
            self.is_over = True
            self._returned(stop.value)
        except BaseException as error:  # noqa: BLE001
            # Handed on, whatever it is: the Deferred that called us would keep it to
            # itself. asyncio's CancelledError, for one, is no Exception.
            self.is_over = True
            self._failed(_explained(error))
        return None


def _explained(error: BaseException) -> Failure:
    """Return *error* as a Failure, and say what to do where asyncio does not."""
    if isinstance(error, RuntimeError) and str(error) == "no running event loop":
        advice = ConfigurationError(f"this handler uses asyncio: {_NEEDS_ASYNCIO}")
        advice.__cause__ = error
        return Failure(advice, ConfigurationError, error.__traceback__)
    return Failure()


def _ignored(result: object) -> None:
    """Take the place of the callbacks of a cancelled coroutine."""


def _as_deferred(waiting: Any) -> Deferred[Any] | None:
    """Return a Deferred for a future of a running asyncio loop, None for all else."""
    if waiting is None:
        return _next_turn()
    if getattr(waiting, "_asyncio_future_blocking", None) is None:
        return None
    if not waiting.get_loop().is_running():
        return None
    waiting._asyncio_future_blocking = False  # noqa: SLF001  # the protocol of PEP 3156's await
    return Deferred.fromFuture(waiting)


def _next_turn() -> Deferred[Any] | None:
    """Return a Deferred of the loop's next turn: a bare yield, as asyncio.sleep(0)."""
    asyncio: Any = sys.modules.get("asyncio")
    try:
        loop = asyncio.get_running_loop()
    except (AttributeError, RuntimeError):
        return None
    future = loop.create_future()
    # It may be cancelled by then.
    loop.call_soon(lambda: future.done() or future.set_result(None))
    return Deferred.fromFuture(future)
