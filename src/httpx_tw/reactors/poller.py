"""Waiting for descriptors: one face over epoll, kqueue, poll and select.

    with EpollPoller() as poller:
        poller.add(sock.fileno(), EventMask.READABLE, data=connection)
        for event in poller.wait(1.0):
            event.data.ready(event.events)

Level-triggered everywhere: a descriptor is reported again for as long as it is ready.
A descriptor is reported once a wait, with all that is true of it. What was removed, or
removed and added again, since a wait began is not reported from that wait: a descriptor
number is reused at once, and news of the old one must not reach the new.
"""

from __future__ import annotations

import errno
import os
import select
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Any, Final, Self

from httpx_tw.reactors.wakeup import SocketWakeUp, WakeUp

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from httpx_tw.reactors.wakeup import WakeUpCall

__all__ = [
    "EpollPoller",
    "Event",
    "EventMask",
    "PollPoller",
    "Poller",
    "PollerStatistics",
    "SelectPoller",
    "best_poller",
]

MAX_EVENTS: Final = 512
"""Most events of one wait. One per descriptor, as is common, makes Python allocate 12
bytes for each at each wait: 228 KiB at 19,000 connections."""

LONGEST_WAIT: Final = 2_147_483.0
"""Seconds (24 days) that epoll and poll can count to, in milliseconds."""


class EventMask(IntFlag):
    """What a descriptor is watched for (the first two), and what is true of it.

    The values are epoll's and poll's own, so those two need no translation.
    """

    READABLE = 0x01
    WRITABLE = 0x04
    ERROR = 0x08
    """An error is pending on it, or it is not open at all."""
    HANGUP = 0x10
    """Both directions are closed. There may be bytes to read all the same."""


_READABLE: Final = int(EventMask.READABLE)
_WRITABLE: Final = int(EventMask.WRITABLE)
_ERROR: Final = int(EventMask.ERROR)
_HANGUP: Final = int(EventMask.HANGUP)
_INVALID: Final = 0x20  # POLLNVAL


@dataclass(slots=True)
class Event:
    """A descriptor that is ready."""

    fd: int
    data: Any
    """What it was added with."""
    events: EventMask


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerStatistics:
    """A poller's figures; counts are since it was made."""

    registered: int
    """Descriptors watched now."""
    waits: int
    events: int
    """Descriptors found ready, those too that were removed before their turn."""
    largest_batch: int
    """Most descriptors found ready by one wait."""


class Poller(ABC):
    """Watches descriptors. One thread uses it; ``wake`` may be called from any."""

    _is_closed = True  # until it is made

    @property
    def completed(self) -> Collection[tuple[Any, Any]]:
        """What is over, besides; of a poller that completes operations: UringPoller."""
        return ()

    def __init__(self) -> None:
        self._masks: dict[int, int] = {}
        self._data: dict[int, Any] = {}
        self.fresh: set[int] = set()
        """Descriptors added since the latest poll began: what that poll says of them is
        about a namesake."""
        self._waits = 0
        self._events = 0
        self._largest_batch = 0
        self._wakeup = self._make_wakeup()
        self._wake_token = self._wakeup.token
        self._is_closed = False
        if self._wakeup.fd >= 0:  # else it has its own way
            self._watch(self._wakeup.fd, _READABLE)

    def _make_wakeup(self) -> WakeUpCall:
        return WakeUp() if os.name == "posix" else SocketWakeUp()

    # Registration

    def add(self, fd: int, events: int, data: Any = None) -> None:
        """Watch *fd* for *events*, READABLE or WRITABLE or both.

        :raises ValueError: when it is watched already, or *events* is neither.
        :raises OSError: when the kernel will not (EBADF: it is not open).
        """
        if fd in self._masks:
            raise ValueError(f"descriptor {fd} is watched already: modify it")
        self._watch(fd, _checked(events))
        self._masks[fd] = int(events)
        self._data[fd] = data
        self.fresh.add(fd)

    def modify(self, fd: int, events: int) -> None:
        """Watch *fd* for *events* in place of what it is watched for.

        :raises ValueError: when it is not watched, or *events* is neither of the two.
        :raises OSError: when the kernel will not.
        """
        before = self._masks.get(fd)
        if before is None:
            raise ValueError(f"descriptor {fd} is not watched: add it")
        self._change(fd, before, _checked(events))
        self._masks[fd] = int(events)

    def remove(self, fd: int) -> None:
        """Watch *fd* no longer. One that was closed meanwhile is fine.

        :raises ValueError: when it is not watched.
        """
        before = self._masks.pop(fd, None)
        if before is None:
            raise ValueError(f"descriptor {fd} is not watched")
        del self._data[fd]
        try:
            self._forget(fd, before)
        except OSError as error:
            # Closing a descriptor takes it out of epoll and kqueue by itself.
            if error.errno not in (errno.EBADF, errno.ENOENT, errno.EPERM):
                raise

    # Waiting

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait up to *timeout* seconds (None: for ever) and return (fd, events) pairs.

        The raw face, for loops that count nanoseconds: the pairs are plain ints, and it
        is for the caller to pass over what it removed meanwhile, and what is ``fresh``.
        A negative *timeout* is none, as is left of a deadline that has passed. Returns
        early, perhaps with nothing, after ``wake`` and after 24 days.
        """
        self.fresh.clear()
        if timeout is not None and not 0 <= timeout <= LONGEST_WAIT:
            timeout = min(max(timeout, 0.0), LONGEST_WAIT)
        ready = self._poll(timeout)
        if not self._wake_token:
            ready = self._without_wakeup(ready)
        self._waits += 1
        if ready:
            self._events += len(ready)
            self._largest_batch = max(self._largest_batch, len(ready))
        return ready

    def wait(self, timeout: float | None = None) -> Iterator[Event]:
        """Wait as ``poll`` does, and return an iterator over what is ready.

        What is removed while iterating is not reported any more, nor what it is no
        longer watched for; the next wait ends the iteration.
        """
        return self._deliver(self.poll(timeout), self._waits)

    def _deliver(self, ready: list[tuple[int, int]], wait: int) -> Iterator[Event]:
        for fd, events in ready:
            if self._waits != wait:
                return
            wanted = self._masks.get(fd)
            if wanted is None or fd in self.fresh:
                continue
            events &= wanted | _ERROR | _HANGUP
            if events:
                yield Event(fd, self._data[fd], EventMask(events))

    def wake(self) -> None:
        """End the wait that is going on, or the next one.

        From any thread, and from a signal handler; calls in between count as one. After
        ``close`` nothing happens.
        """
        self._wakeup.ring()

    def _without_wakeup(self, ready: list[tuple[int, int]]) -> list[tuple[int, int]]:
        others = [pair for pair in ready if pair[0] != self._wakeup.fd]
        if len(others) < len(ready):  # else it is to come, and ends the next wait
            self._wakeup.answer()
        return others

    # The rest

    def statistics(self) -> PollerStatistics:
        """Return the figures of this moment."""
        return PollerStatistics(
            registered=len(self._masks),
            waits=self._waits,
            events=self._events,
            largest_batch=self._largest_batch,
        )

    def close(self) -> None:
        """Give the kernel's object back; closed already is fine.

        The descriptors it watched stay open. Nothing but ``wake`` and ``close`` may be
        called afterwards.
        """
        if not self._is_closed:
            self._is_closed = True
            self._masks.clear()
            self._data.clear()
            self._close()
            self._wakeup.close()

    def __del__(self) -> None:
        # A reactor has no moment at which it would close it.
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What each interface of the kernel does its own way

    @abstractmethod
    def _watch(self, fd: int, events: int) -> None: ...

    @abstractmethod
    def _change(self, fd: int, before: int, events: int) -> None: ...

    @abstractmethod
    def _forget(self, fd: int, before: int) -> None: ...

    @abstractmethod
    def _poll(self, timeout: float | None) -> list[tuple[int, int]]: ...

    def _close(self) -> None:
        self.fresh.clear()  # of the kernel's, poll and select hold nothing


def _checked(events: int) -> int:
    if not events or events & ~(_READABLE | _WRITABLE):
        raise ValueError(f"watch for READABLE or WRITABLE or both, not {events!r}")
    return int(events)


class EpollPoller(Poller):
    """epoll(7), Linux.

    epoll refuses regular files, which are always ready: they are reported by each wait,
    as poll(2) does, and no wait blocks meanwhile.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._always_ready: dict[int, int] = {}
        super().__init__()

    def fileno(self) -> int:
        """Return epoll's own descriptor, which can itself be watched."""
        return self._epoll.fileno()

    def _watch(self, fd: int, events: int) -> None:
        try:
            self._epoll.register(fd, events)
        except PermissionError:
            self._always_ready[fd] = events

    def _change(self, fd: int, before: int, events: int) -> None:
        del before
        if fd in self._always_ready:
            self._always_ready[fd] = events
        else:
            self._epoll.modify(fd, events)

    def _forget(self, fd: int, before: int) -> None:
        del before
        if self._always_ready.pop(fd, None) is None:
            self._epoll.unregister(fd)

    def _poll(self, timeout: float | None) -> list[tuple[int, int]]:
        if self._always_ready:
            ready = self._epoll.poll(0, MAX_EVENTS)
            return [*ready, *self._always_ready.items()]
        return self._epoll.poll(-1 if timeout is None else timeout, MAX_EVENTS)

    def _close(self) -> None:
        self._epoll.close()


class PollPoller(Poller):
    """poll(2), where there is nothing better."""

    def __init__(self) -> None:
        self._poller = select.poll()
        super().__init__()

    def _watch(self, fd: int, events: int) -> None:
        # poll(2) takes any number, and reports it at each wait; the others refuse one
        # that is not open.
        os.fstat(fd)
        self._poller.register(fd, events)

    def _change(self, fd: int, before: int, events: int) -> None:
        del before
        self._poller.modify(fd, events)

    def _forget(self, fd: int, before: int) -> None:
        del before
        self._poller.unregister(fd)

    def _poll(self, timeout: float | None) -> list[tuple[int, int]]:
        # Milliseconds, rounded up: waking early is a busy loop until the time is there.
        milliseconds = None if timeout is None else -int(-timeout * 1000 // 1)
        return [
            (fd, _ERROR if events & _INVALID else events)
            for fd, events in self._poller.poll(milliseconds)
        ]


class SelectPoller(Poller):
    """select(2), everywhere: numbers below 1,024 on POSIX, sockets on Windows."""

    def __init__(self) -> None:
        self._readers: set[int] = set()
        self._writers: set[int] = set()
        super().__init__()

    def _watch(self, fd: int, events: int) -> None:
        if not _is_open(fd):
            raise OSError(errno.EBADF, "not open")
        self._change(fd, 0, events)

    def _change(self, fd: int, before: int, events: int) -> None:
        del before
        for bit, watched in ((_READABLE, self._readers), (_WRITABLE, self._writers)):
            if events & bit:
                watched.add(fd)
            else:
                watched.discard(fd)

    def _forget(self, fd: int, before: int) -> None:
        self._change(fd, before, 0)

    def _poll(self, timeout: float | None) -> list[tuple[int, int]]:
        both = self._readers, self._writers
        try:
            readable, writable, _ = select.select(*both, [], timeout)
        except (OSError, ValueError):
            # One of them was closed behind our back, and select does not say which.
            broken = [fd for fd in self._masks if not _is_open(fd)]
            if not broken:
                raise
            return [(fd, _ERROR) for fd in broken]
        ready = dict.fromkeys(readable, _READABLE)
        for fd in writable:
            ready[fd] = ready.get(fd, 0) | _WRITABLE
        return list(ready.items())


def _is_open(fd: int) -> bool:
    try:
        select.select([fd], [], [], 0)
    except OSError:
        return False
    return True


def best_poller() -> Poller:
    """Return a new poller of the best kind this platform has."""
    # Both are made of this module.
    from httpx_tw.reactors.iocp_poller import IocpPoller
    from httpx_tw.reactors.kqueue_poller import KqueuePoller

    if hasattr(select, "epoll"):
        return EpollPoller()
    if hasattr(select, "kqueue"):
        return KqueuePoller()
    if hasattr(select, "poll"):
        return PollPoller()
    with suppress(OSError):
        return IocpPoller()
    return SelectPoller()
