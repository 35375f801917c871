"""Calls that would wait for a disk, on the reactor's threads: a few at a time."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AHEAD", "AT_ONCE", "DiskThreads", "HasDescriptor"]

AHEAD: Final = 1024 * 1024
"""Bytes that are fetched at once: 10 ms of a slow disk, for 0.1 ms of passing it on."""

AT_ONCE: Final = 4
"""Threads that may wait for a disk. They are the reactor's, which has ten and looks up
names on the others; a disk that hangs must not take them all."""

_PIECE: Final = 128 * 1024


class HasDescriptor(Protocol):
    """A file that stays open as long as somebody refers to it."""

    @property
    def fd(self) -> int:
        """Its descriptor."""


class DiskThreads:
    """Threads that wait for disks, so that the reactor does not. Reactor thread only.

    :param reactor: whose threads they are. Where it has none, or they are stopped
        already, and where it is None, calls are made at once.
    """

    def __init__(self, reactor: Any = None) -> None:
        self._reactor = reactor
        self._has_threads = IReactorThreads.providedBy(reactor)
        self._running = 0
        self._waiting: deque[tuple[Deferred[Any], Callable[..., Any], Any]] = deque()

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Call *function* on a thread; fires with its result.

        Cancelled before its turn, it is not called; later, it runs to its end and
        nobody hears of it.
        """
        result: Deferred[Any] = Deferred()
        self._waiting.append((result, function, args))
        self._start()
        return result

    def fetch(self, file: HasDescriptor, offset: int, count: int) -> Deferred[None]:
        """Have the kernel read a part of *file* into its page cache.

        What is sent afterwards comes from there. It fails with OSError when it cannot
        be read. Cancelled: see :meth:`call`.
        """
        return self.call(_read_through, file, offset, count)

    def _start(self) -> None:
        while self._waiting and self._running < AT_ONCE:
            result, function, args = self._waiting.popleft()
            if result.called:
                continue  # cancelled
            self._running += 1
            pool = self._reactor.getThreadPool() if self._has_threads else None
            # What is given to a pool that was stopped is never called.
            running: Deferred[Any] = (
                maybeDeferred(function, *args)
                if pool is None or getattr(pool, "joined", False)
                else deferToThreadPool(self._reactor, pool, function, *args)
            )
            running.addBoth(self._over, result)

    def _over(self, outcome: Any, result: Deferred[Any]) -> None:
        self._running -= 1
        if not result.called:
            result.callback(outcome)
        self._start()


def _read_through(file: HasDescriptor, offset: int, count: int) -> None:
    """Read it and throw it away. *file* stays open as long as this refers to it."""
    scratch = bytearray(min(_PIECE, count))
    end = offset + count
    while offset < end:
        read = os.preadv(file.fd, [scratch], offset)
        if not read:
            return  # shorter by now: who sends it will see
        offset += read
