"""A Twisted reactor over any Poller, that spends as little as it can on each event.

Stock reactors build a log context around every event: two dictionaries merged and
copied, 2.3 µs, for a log line that is hardly ever written. Here there is one while the
loop runs, which works out its "system" when somebody logs. A turn of the loop in which
no call is due calls nothing to find that out. A descriptor that is readable and nothing
else, nearly every event of a server, gets its ``doRead`` called directly; everything
else, and every failure, takes the stock way.
"""

from __future__ import annotations

import select
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet import posixbase
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import installReactor
from twisted.logger import Logger
from twisted.python import (
    context,
    log,  # noqa: TID251  # ILogContext and err are what stock reactors log by
)
from zope.interface import implementer

from httpx_tw.errors import ConfigurationError
from httpx_tw.reactors.poller import EventMask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from httpx_tw.reactors.poller import Poller, PollerStatistics

__all__ = ["LeanReactor", "install_over"]

_log = Logger()

_CANCELLATIONS_TO_SWEEP = 50
"""As ReactorBase.runUntilCurrent, which then takes cancelled calls off its heap."""

_READABLE = int(EventMask.READABLE)
_WRITABLE = int(EventMask.WRITABLE)


class _LogContext(dict[str, Any]):
    """The log context of a loop: its "system" is that of the descriptor in turn.

    Twisted copies the context when it logs an event, and reads "system" of it.
    """

    __slots__ = ("selectable",)

    selectable: Any
    """None between two batches: "system" is what it is around the loop."""

    def __init__(self) -> None:
        super().__init__(context.get(log.ILogContext) or {})
        self.selectable = None

    def _system(self) -> str:
        if self.selectable is None:
            return str(dict.get(self, "system", "-"))
        try:
            return str(self.selectable.logPrefix())
        except Exception:  # noqa: BLE001  # as callWithLogger: the log must not fail for it
            return "(buggy logPrefix method)"

    def copy(self) -> dict[str, Any]:
        """Return it as a plain dictionary, filled in."""
        return {**self, "system": self._system()}

    def __getitem__(self, key: str) -> Any:
        return self._system() if key == "system" else dict.__getitem__(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """See dict.get."""
        return self._system() if key == "system" else dict.get(self, key, default)


def _descriptor_of(selectable: Any) -> int:
    """Return its descriptor, -1 when it is closed: some say so by raising."""
    try:
        return int(selectable.fileno())
    except Exception:  # noqa: BLE001  # a file raises ValueError, its wrapper anything
        return -1


@implementer(IReactorFDSet)
class LeanReactor(posixbase.PosixReactorBase, posixbase._PollLikeMixin):  # noqa: SLF001  # what each of Twisted's own is made of
    """A reactor over the poller that ``make_poller`` makes.

    It does all that Twisted's own reactor of the same interface does, and passes the
    same tests.
    """

    make_poller: ClassVar[Callable[[], Poller]]
    """What a subclass says: how to get its poller."""

    _POLL_DISCONNECTED = int(EventMask.ERROR | EventMask.HANGUP)
    _POLL_IN = _READABLE
    _POLL_OUT = _WRITABLE

    def __init__(self) -> None:
        self._poller = type(self).make_poller()
        self._selectables: dict[int, Any] = {}
        self._reads: set[int] = set()
        self._writes: set[int] = set()
        self._after_batch: list[Callable[[], object]] = []
        self._log_context: _LogContext | None = None
        posixbase.PosixReactorBase.__init__(self)

    def statistics(self) -> PollerStatistics:
        """Return the poller's figures."""
        return self._poller.statistics()

    # IReactorFDSet

    def addReader(self, reader: Any) -> None:
        """See IReactorFDSet."""
        self._add(reader, self._reads, self._writes, _READABLE)

    def addWriter(self, writer: Any) -> None:
        """See IReactorFDSet."""
        self._add(writer, self._writes, self._reads, _WRITABLE)

    def _add(
        self, selectable: Any, primary: set[int], other: set[int], bit: int
    ) -> None:
        fd = selectable.fileno()
        watched = self._selectables.get(fd)
        if watched is not None and watched is not selectable:
            self._drop_if_closed(fd, watched)
        if fd in primary:
            return
        # Ours after the kernel's: should it refuse, nothing has changed.
        if fd in other:
            self._poller.modify(fd, _READABLE | _WRITABLE)
        else:
            self._poller.add(fd, bit)
        primary.add(fd)
        self._selectables[fd] = selectable

    def _drop_if_closed(self, fd: int, selectable: Any) -> None:
        """Make room where *selectable* closed *fd* without telling us."""
        if _descriptor_of(selectable) != fd:
            del self._selectables[fd]
            self._reads.discard(fd)
            self._writes.discard(fd)
            self._poller.remove(fd)

    def removeReader(self, reader: Any) -> None:
        """See IReactorFDSet."""
        self._remove(reader, self._reads, self._writes, _WRITABLE)

    def removeWriter(self, writer: Any) -> None:
        """See IReactorFDSet."""
        self._remove(writer, self._writes, self._reads, _READABLE)

    def _remove(
        self, selectable: Any, primary: set[int], other: set[int], rest: int
    ) -> None:
        fd = _descriptor_of(selectable)
        if fd == -1:
            # It was closed without telling us: look for the number it had.
            fd = self._former_descriptor(selectable)
        if fd not in primary:
            return
        primary.remove(fd)
        if fd in other:
            # One that was closed without telling us is not watched any more; what is
            # left of it here goes when it is told that it is lost.
            with suppress(OSError):
                self._poller.modify(fd, rest)
        else:
            del self._selectables[fd]
            self._poller.remove(fd)

    def _former_descriptor(self, selectable: Any) -> int:
        for fd, watched in self._selectables.items():
            if watched is selectable:
                return fd
        return -1

    def removeAll(self) -> list[Any]:
        """See IReactorFDSet."""
        removed: list[Any] = self._removeAll(  # type: ignore[no-untyped-call]  # Twisted's
            self.getReaders(), self.getWriters()
        )
        return removed

    def getReaders(self) -> list[Any]:
        """See IReactorFDSet."""
        return [self._selectables[fd] for fd in self._reads]

    def getWriters(self) -> list[Any]:
        """See IReactorFDSet."""
        return [self._selectables[fd] for fd in self._writes]

    def renew_poller(self) -> None:
        """Take a new poller, and watch with it all that was watched before."""
        self._poller = type(self).make_poller()
        for fd in self._selectables:
            events = _READABLE if fd in self._reads else 0
            self._poller.add(fd, events | (_WRITABLE if fd in self._writes else 0))

    # The loop

    def mainLoop(self) -> None:
        """See ReactorBase. Most turns have nothing due: they cost eight calls less.

        That is a third of what a turn costs, and more where each finds the caches cold.
        """
        with self._logging():
            while self._started:
                try:
                    self._turn_for_ever()
                except BaseException:  # noqa: BLE001  # as stock reactors
                    _log.failure("Unexpected error in main loop.")
        _log.info("Main loop terminated.")

    def _turn_for_ever(self) -> None:
        while self._started:
            due = self._pendingTimedCalls
            if (
                self.threadCallQueue
                or self._newTimedCalls
                or self._justStopped
                or not self.running
                or self._cancellations > _CANCELLATIONS_TO_SWEEP
            ):
                delay = self._deal_with_calls()
            elif due:
                delay = due[0].time - self.seconds()
                if delay <= 0:
                    delay = self._deal_with_calls()
            else:
                delay = None
            self.doIteration(delay)

    def _deal_with_calls(self) -> float | None:
        self.runUntilCurrent()
        delay = self.timeout()
        return delay if self.running else 0.0

    @contextmanager
    def _logging(self) -> Iterator[_LogContext]:
        """Push the context that events are logged in; a loop in a loop keeps it."""
        before = self._log_context
        if before is not None:
            yield before
            return
        stack = context.theContextTracker.currentContext().contexts
        system = self._log_context = _LogContext()
        stack.append({log.ILogContext: system})
        try:
            yield system
        finally:
            stack.pop()
            self._log_context = None

    def doIteration(self, delay: float | None) -> None:
        """Wait up to *delay* seconds (None: for ever), and deal with what is ready."""
        if self._after_batch:
            # A timer asked for it. It may make something due: there is no time to wait.
            self._end_batch()
            delay = 0.0
        ready = self._poller.poll(delay)
        if ready or self._poller.completed:
            system = self._log_context
            if system is None:
                with self._logging() as system:
                    self._dispatch(ready, system)
            else:
                outer = system.selectable
                try:
                    self._dispatch(ready, system)
                finally:
                    system.selectable = outer
            if self._after_batch:
                self._end_batch()

    def call_after_batch(self, function: Callable[[], object]) -> None:
        """Call *function* once, when all that is ready now has been dealt with.

        That is after the descriptors of this batch and before the timers; called by a
        timer, before the next wait. What *function* asks for in turn comes before the
        next wait, too. It must not wait or take long; what it raises is logged. On the
        reactor thread.
        """
        self._after_batch.append(function)

    def _end_batch(self) -> None:
        functions, self._after_batch = self._after_batch, []
        rest = iter(functions)
        for function in rest:
            try:
                function()
            except KeyboardInterrupt:
                self._after_batch[:0] = rest
                raise
            except BaseException:  # noqa: BLE001  # as for an event of a descriptor
                log.err()

    def wakeUp(self) -> None:  # noqa: N802  # Twisted calls it
        """See ReactorBase: callFromThread ends the wait by this.

        The poller does it for 4 us less than the pipe that stock reactors watch.
        """
        self._poller.wake()

    def _dispatch(self, ready: list[tuple[int, int]], system: _LogContext) -> None:
        selectables = self._selectables
        fresh = self._poller.fresh
        for fd, events in ready:
            selectable = selectables.get(fd)
            if selectable is None or (fresh and fd in fresh):
                # An event before it closed it, and perhaps another has its number.
                continue
            system.selectable = selectable
            try:
                if events != _READABLE:
                    self._doReadOrWrite(selectable, fd, events)  # type: ignore[no-untyped-call]  # Twisted's
                    continue
                # The same, for what is nearly always the case, with a call less.
                try:
                    why = (
                        posixbase._NO_FILEDESC  # noqa: SLF001  # as _doReadOrWrite
                        if selectable.fileno() == -1
                        else selectable.doRead()
                    )
                except BaseException as error:  # noqa: BLE001  # as _doReadOrWrite
                    log.err()
                    self._disconnectSelectable(selectable, error, False)  # type: ignore[no-untyped-call]  # Twisted's
                else:
                    if why:
                        self._disconnectSelectable(selectable, why, True)  # type: ignore[no-untyped-call]  # Twisted's
            except KeyboardInterrupt:
                raise
            except BaseException:  # noqa: BLE001  # as callWithLogger
                log.err()


def install_over(interface: str, reactor: type[LeanReactor]) -> None:
    """Make a *reactor* this process's, where the select module has *interface*.

    :raises ReactorAlreadyInstalledError: when there is one.
    :raises ConfigurationError: when the platform has no such interface.
    """
    if not hasattr(select, interface):
        raise ConfigurationError(f"no {interface} on {sys.platform}")
    installReactor(reactor())
