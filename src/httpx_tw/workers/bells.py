"""What a parked worker waits for, and how it is woken.

A Lock would do, and does where there is nothing better: who releases it goes on holding
the GIL, so the worker wakes up to wait for that, which is three more changes of threads
and as many system calls. A write to a descriptor lets go of the GIL meanwhile: on a
busy core the worker has run its calls before the write returns.
"""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress
from typing import Final, Protocol

__all__ = ["SILENT", "Bell", "EventBell", "LockBell", "a_bell"]


class Bell(Protocol):
    """One thread waits; others ring, once for each time that it will wait."""

    def ring(self) -> None:
        """Have ``wait`` return, now or when it is called. From any thread."""

    def wait(self, timeout: float) -> bool:
        """Wait up to *timeout* seconds, -1: for ever. Whether it was rung."""

    def close(self) -> None:
        """Give back what it holds: nobody rings or waits any more."""


class _SilentBell:
    """That of nobody."""

    def ring(self) -> None:
        """See Bell: nobody hears it."""

    def wait(self, timeout: float) -> bool:
        """See Bell: it has been rung."""
        del timeout
        return True

    def close(self) -> None:
        """See Bell."""


SILENT: Final = _SilentBell()


class LockBell:
    """A Lock, for any platform."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """See Bell."""
        self._lock.release()

    def wait(self, timeout: float) -> bool:
        """See Bell."""
        return self._lock.acquire(timeout=timeout)

    def close(self) -> None:
        """See Bell."""


class EventBell:
    """An eventfd, watched by an epoll of its own: Linux.

    The count in the eventfd is never read. Each write to it is an edge, and epoll
    (edge-triggered, epoll(7)) reports each once; so to wait is one system call, with a
    timeout. At a write a second the count would overflow in 10^11 years.

    :raises OSError: when the process has too many descriptors.
    """

    __slots__ = ("_epoll", "_event", "_wait")

    def __init__(self) -> None:
        self._event = -1
        self._epoll = select.epoll()
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._event, select.EPOLLIN | select.EPOLLET)
        self._wait = self._epoll.poll

    def ring(self) -> None:
        """See Bell."""
        os.eventfd_write(self._event, 1)

    def wait(self, timeout: float) -> bool:
        """See Bell."""
        return bool(self._wait(timeout, 1))

    def close(self) -> None:
        """See Bell. Without this it is done when nobody holds it any more."""
        event, self._event = self._event, -1
        if event >= 0:
            os.close(event)
            self._epoll.close()

    __del__ = close


def a_bell() -> Bell:
    """Return the best one that this platform has, and the process has room for."""
    if hasattr(os, "eventfd"):
        with suppress(OSError):
            return EventBell()
    return LockBell()
