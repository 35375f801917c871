"""Reads that would wait for a disk, on threads: a few at a time."""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from httpx_tw.app.files.opened import OpenFile

__all__ = ["AHEAD", "AT_ONCE", "DiskReads"]

AHEAD: Final = 1024 * 1024
"""Bytes that are fetched at once: 10 ms of a slow disk, for 0.1 ms of passing it on."""

AT_ONCE: Final = 4
"""Threads that may wait for a disk. They are the reactor's, which has ten and looks up
names on the others; a disk that hangs must not take them all."""

_PIECE: Final = 128 * 1024


class DiskReads:
    """Fetches parts of files into the kernel's page cache.

    What is sent afterwards comes from there, and the reactor does not wait for a disk.
    Where the reactor has no threads the fetching is done at once.

    Only on the reactor thread.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._has_threads = IReactorThreads.providedBy(reactor)
        self._running = 0
        self._waiting: deque[tuple[Deferred[None], OpenFile, int, int]] = deque()

    def fetch(self, file: OpenFile, offset: int, count: int) -> Deferred[None]:
        """Fetch *count* bytes of *file* from *offset* on; fires when they are there.

        It fails with OSError when they cannot be read. Cancelled, it is forgotten; a
        thread that waits already goes on waiting.
        """
        fetched: Deferred[None] = Deferred()
        self._waiting.append((fetched, file, offset, count))
        self._start()
        return fetched

    def _start(self) -> None:
        while self._waiting and self._running < AT_ONCE:
            fetched, file, offset, count = self._waiting.popleft()
            if fetched.called:
                continue  # cancelled
            self._running += 1
            read = partial(_read_through, file, offset, count)
            reading: Deferred[None] = (
                deferToThreadPool(self._reactor, self._reactor.getThreadPool(), read)
                if self._has_threads
                else maybeDeferred(read)
            )
            reading.addBoth(self._read, fetched)

    def _read(self, result: Failure | None, fetched: Deferred[None]) -> None:
        self._running -= 1
        if not fetched.called:
            fetched.callback(result)
        self._start()


def _read_through(file: OpenFile, offset: int, count: int) -> None:
    """Read it and throw it away. *file* stays open as long as this refers to it."""
    scratch = bytearray(min(_PIECE, count))
    end = offset + count
    while offset < end:
        read = os.preadv(file.fd, [scratch], offset)
        if not read:
            return  # shorter by now: who sends it will see
        offset += read
