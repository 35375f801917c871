"""Calls that other threads have made on the reactor's thread, and wait for.

The reactor is woken once for a batch of them (see workers/return_path.py), and whoever
waits is woken once, with what came of it. ``blockingCallFromThread`` does the same in
twice the time: it wakes the reactor for each, and has a condition variable made.
"""

from __future__ import annotations

from queue import SimpleQueue
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from httpx_tw.errors import ClientClosed, LocalProtocolError
from httpx_tw.workers.return_path import ReturnPath

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Errand", "Errands"]

_Message: TypeAlias = "tuple[str, Any]"


class Errands:
    """What other threads want of one reactor's.

    :param reactor: running, on the thread *reactor_thread*.
    """

    def __init__(self, reactor: Any, reactor_thread: int) -> None:
        self.reactor = reactor
        self.reactor_thread = reactor_thread
        """Its identity: see threading.get_ident."""
        self._returns = ReturnPath(self._ring, _no_task)
        self._going_on: set[Errand] = set()
        self.is_over = False
        """The reactor stops: nothing more is done."""
        self._trigger: Any = None

    def watch(self) -> None:
        """End with the reactor. On its thread."""
        self._trigger = self.reactor.addSystemEventTrigger(
            "before", "shutdown", self.end
        )

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Have *function* called; return its result, or that of its Deferred.

        :raises LocalProtocolError: on the reactor's thread, which would wait for
            itself.
        :raises ClientClosed: the reactor stops.
        """
        return Errand(self).run(function, *args, **options)

    # From other threads

    def bring(self, function: Callable[..., object], *args: Any) -> None:
        """Have *function* called soon, and wait for nothing."""
        self._returns.bring((function, args))

    # On the reactor's thread

    def begin(self, errand: Errand) -> None:
        """Do what is wanted, if there is still time."""
        if self.is_over:
            errand.tell("failed", _closed())
            return
        try:
            result = errand.function(*errand.args, **errand.options)
        except Exception as error:  # noqa: BLE001  # it is for the one who waits
            errand.tell("failed", error)
            return
        if isinstance(result, Deferred):
            errand.deferred = result
            self._going_on.add(errand)
            result.addCallbacks(
                self._succeeded, self._failed, (errand,), errbackArgs=(errand,)
            )
        else:
            errand.tell("done", result)

    def abandon(self, errand: Errand) -> None:
        """Cancel what nobody waits for any more."""
        if errand.deferred is not None:
            errand.deferred.cancel()

    def end(self) -> None:
        """Fail what is going on, and what comes from now on."""
        if self.is_over:
            return
        self.is_over = True
        self._returns.take_in()
        for errand in list(self._going_on):
            errand.tell("failed", _closed())
            self.abandon(errand)

    def unwatch(self) -> None:
        """Undo watch."""
        trigger, self._trigger = self._trigger, None
        if trigger is not None:
            self.reactor.removeSystemEventTrigger(trigger)

    def _succeeded(self, result: Any, errand: Errand) -> None:
        self._going_on.discard(errand)
        errand.tell("done", result)

    def _failed(self, failure: Failure, errand: Errand) -> None:
        self._going_on.discard(errand)
        errand.tell("failed", failure.value)

    def _ring(self) -> None:
        try:
            self.reactor.callFromThread(self._returns.answer)
        except OSError:
            # Its waker is closed with it, which Twisted's says on Windows alone.
            if not self.is_over:
                raise


class Errand:
    """One call, and the thread that waits for it."""

    __slots__ = ("_errands", "_inbox", "args", "deferred", "function", "options")

    def __init__(self, errands: Errands) -> None:
        self._errands = errands
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self.function: Callable[..., Any]
        self.args: tuple[Any, ...]
        self.options: dict[str, Any]
        self.deferred: Deferred[Any] | None = None

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """See Errands.call. Once; by the thread that will wait."""
        errands = self._errands
        if get_ident() == errands.reactor_thread:
            raise LocalProtocolError(
                "this blocks: on the reactor's thread use a Client"
            )
        self.function, self.args, self.options = function, args, options
        errands.bring(errands.begin, self)
        if errands.is_over:
            # Nobody may have seen it: the reactor may have been looking for the last
            # time a moment ago.
            self.tell("failed", _closed())
        try:
            kind, outcome = self._inbox.get()
            while kind == "fetch":
                self._fetch(*outcome)
                kind, outcome = self._inbox.get()
        except BaseException:  # KeyboardInterrupt, most likely
            errands.bring(errands.abandon, self)
            raise
        if kind == "failed":
            raise outcome
        return outcome

    def _fetch(self, function: Callable[[], Any], fetched: Deferred[Any]) -> None:
        try:
            result = function()
        except Exception:  # noqa: BLE001  # it is for the one who wanted it
            self._errands.bring(_errback, fetched, Failure())
        else:
            self._errands.bring(_callback, fetched, result)

    # On the reactor's thread

    def tell(self, kind: str, outcome: Any) -> None:
        """Say how it ended. What is said twice is heard once."""
        self._inbox.put((kind, outcome))

    def fetch(self, function: Callable[[], Any]) -> Deferred[Any]:
        """Have the thread that waits call *function*; fires with its result.

        So what blocks blocks only the one who brought it.
        """
        fetched: Deferred[Any] = Deferred()
        self._inbox.put(("fetch", (function, fetched)))
        return fetched


def _callback(deferred: Deferred[Any], result: Any) -> None:
    if not deferred.called:  # it was cancelled
        deferred.callback(result)


def _errback(deferred: Deferred[Any], failure: Failure) -> None:
    if not deferred.called:
        deferred.errback(failure)


def _closed() -> ClientClosed:
    return ClientClosed("the reactor of this client has stopped")


def _no_task(task: object) -> None:
    raise AssertionError(task)  # pragma: no cover  # only functions are brought
