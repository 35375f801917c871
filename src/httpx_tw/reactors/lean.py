"""A Twisted reactor over any Poller, that spends as little as it can on each event.

Stock reactors build a log context around every event: two dictionaries merged and
copied, 2.3 µs, for a log line that is hardly ever written. Here something is pushed
once a batch, and makes the log context when somebody logs. A turn of the loop in which
no call is due calls nothing to find that out. A descriptor that is readable and nothing
else, nearly every event of a server, gets its ``doRead`` called directly; everything
else, and every failure, takes the stock way.
"""

from __future__ import annotations

import select
import sys
from contextlib import suppress
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
    from collections.abc import Callable

    from httpx_tw.reactors.poller import Poller, PollerStatistics

__all__ = ["LeanReactor", "install_over"]

_log = Logger()

_CANCELLATIONS_TO_SWEEP = 50
"""As ReactorBase.runUntilCurrent, which then takes cancelled calls off its heap."""

_READABLE = int(EventMask.READABLE)
_WRITABLE = int(EventMask.WRITABLE)


class _Turn:
    """What is pushed on the context while a batch is dealt with: who is logged for.

    The log context is made when somebody logs. Each batch has a turn of its own, for
    Twisted's thread pools push it again around what they were given meanwhile: that is
    to be logged as of who gave it, whoever is in turn by then.
    """

    # No __init__: a call is half of what all this costs a batch.
    __slots__ = ("around", "selectable")

    around: dict[str, Any]
    """The log context around the loop."""
    selectable: Any

    def __getitem__(self, key: Any) -> dict[str, Any]:
        if key is not log.ILogContext:
            raise KeyError(key)
        try:
            system = str(self.selectable.logPrefix())
        except Exception:  # noqa: BLE001  # as callWithLogger: the log must not fail for it
            system = "(buggy logPrefix method)"
        return {**self.around, "system": system}

    def get(self, key: Any, default: Any = None) -> Any:
        """See dict.get."""
        return self[key] if key is log.ILogContext else default


def _surroundings() -> tuple[list[Any], dict[str, Any]]:
    """Return this thread's stack of contexts, and the log context that is in force."""
    contexts = context.theContextTracker.currentContext().contexts
    return contexts, context.get(log.ILogContext) or {}


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
        self._surroundings: tuple[list[Any], dict[str, Any]] | None = None
        """The stack of contexts and the log context around the loop, while it runs."""
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
        self._surroundings = _surroundings()
        try:
            while self._started:
                try:
                    self._turn_for_ever()
                except BaseException:  # noqa: BLE001  # as stock reactors
                    _log.failure("Unexpected error in main loop.")
        finally:
            self._surroundings = None
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

    def doIteration(self, delay: float | None) -> None:
        """Wait up to *delay* seconds (None: for ever), and deal with what is ready."""
        if self._after_batch:
            # A timer asked for it. It may make something due: there is no time to wait.
            self._end_batch()
            delay = 0.0
        ready = self._poller.poll(delay)
        if ready or self._poller.completed:
            contexts, around = self._surroundings or _surroundings()
            turn = _Turn()
            turn.around = around
            contexts.append(turn)
            try:
                self._dispatch(ready, turn)
            finally:
                contexts.pop()
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

    def _dispatch(self, ready: list[tuple[int, int]], turn: _Turn) -> None:
        selectables = self._selectables
        fresh = self._poller.fresh
        for fd, events in ready:
            selectable = selectables.get(fd)
            if selectable is None or (fresh and fd in fresh):
                # An event before it closed it, and perhaps another has its number.
                continue
            turn.selectable = selectable
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
