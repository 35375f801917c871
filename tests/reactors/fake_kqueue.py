"""The select module's face of kqueue(2), over poll(2): for tests on Linux.

The rules are FreeBSD's, of kern_event.c and the filters of sockets and pipes:

- a filter belongs to a descriptor, not to an open file: closing the descriptor removes
  its filters, and who gets the number next has none;
- a change list is applied in order up to the first that fails; with room in the event
  list the failure is reported there (EV_ERROR), else by OSError, and those behind it
  are not applied;
- EV_DELETE of what is not there fails with ENOENT, everything about a descriptor that
  is not open with EBADF, a filter for the other direction of a pipe with EINVAL;
- each filter is an event of its own; those reported go behind those that wait;
- EV_EOF of the reading filter: the peer sends no more; there may be bytes before that;
  of the writing one: nobody will receive. ``fflags`` is then the socket's error;
- a regular file is readable until its end;
- a kqueue is not inherited by a child process.

One thing differs: the error in ``fflags`` is ECONNRESET whatever it was, since asking
Linux would clear it before the code under test has seen it.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import stat
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

with contextlib.suppress(ImportError):  # Windows, where no test makes a kqueue
    import fcntl
    import termios

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KQ_FILTER_READ = -1
KQ_FILTER_WRITE = -2
KQ_EV_ADD = 0x1
KQ_EV_DELETE = 0x2
KQ_EV_EOF = 0x8000
KQ_EV_ERROR = 0x4000


class kevent:  # noqa: N801  # its name in the select module
    """A change, or an event."""

    def __init__(  # as the select module's
        self,
        ident: int,
        filter: int = KQ_FILTER_READ,  # noqa: A002  # its name there
        flags: int = KQ_EV_ADD,
        fflags: int = 0,
        data: int = 0,
        udata: int = 0,
    ) -> None:
        if ident < 0:
            raise ValueError("file descriptor cannot be a negative integer")
        self.ident = ident
        self.filter = filter
        self.flags = flags
        self.fflags = fflags
        self.data = data
        self.udata = udata


@dataclass
class _File:
    """Which open file a descriptor is: a number is reused, this is not."""

    device: int
    inode: int
    direction: int

    @classmethod
    def behind(cls, fd: int) -> _File:
        status = os.fstat(fd)  # raises EBADF
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        return cls(status.st_dev, status.st_ino, flags & os.O_ACCMODE)


class kqueue:  # noqa: N801  # its name in the select module
    """A queue of events."""

    def __init__(self) -> None:
        # A descriptor of its own, so that a leak of it is seen.
        self._fd = os.open(os.devnull, os.O_RDONLY)
        self._owner = os.getpid()
        self._filters: dict[tuple[int, int], _File] = {}

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()

    def fileno(self) -> int:
        self._check()
        return self._fd

    def _check(self) -> None:
        if self._fd < 0:
            raise ValueError("I/O operation on closed kqueue object")
        if self._owner != os.getpid():
            raise _failure(errno.EBADF)

    def control(
        self,
        changelist: Iterable[kevent] | None,
        max_events: int,
        timeout: float | None = None,
    ) -> list[kevent]:
        self._check()
        if max_events < 0:
            raise ValueError("Length of eventlist must be 0 or positive")
        if timeout is not None and timeout < 0:
            raise ValueError("timeout must be positive or None")
        failures: list[kevent] = []
        for change in changelist or ():
            for kind in (KQ_FILTER_READ, KQ_FILTER_WRITE):
                self._forget_if_closed((change.ident, kind))
            try:
                self._apply(change)
            except OSError as error:
                if len(failures) == max_events:
                    raise
                failures.append(_as_event(change, error))
        if failures or not max_events:
            return failures
        return self._wait(max_events, timeout)

    # Changes

    def _apply(self, change: kevent) -> None:
        key = (change.ident, change.filter)
        file = _File.behind(change.ident)
        if change.flags == KQ_EV_DELETE:
            if key not in self._filters:
                raise _failure(errno.ENOENT)
            del self._filters[key]
        elif change.flags == KQ_EV_ADD:
            if _is_pipe(change.ident) and file.direction == (
                os.O_WRONLY if change.filter == KQ_FILTER_READ else os.O_RDONLY
            ):
                raise _failure(errno.EINVAL)
            self._filters[key] = file
        else:
            raise NotImplementedError(f"flags {change.flags:#x}")

    def _forget_if_closed(self, key: tuple[int, int]) -> None:
        file = self._filters.get(key)
        if file is not None:
            try:
                is_same = _File.behind(key[0]) == file
            except OSError:
                is_same = False
            if not is_same:
                del self._filters[key]

    # Events

    def _wait(self, max_events: int, timeout: float | None) -> list[kevent]:
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            self._check()
            for key in list(self._filters):
                self._forget_if_closed(key)
            events = list(self._ready(max_events, deadline))
            if events or time.monotonic() >= deadline:
                break
        for event in events:
            key = (event.ident, event.filter)
            self._filters[key] = self._filters.pop(key)
        return events

    def _ready(self, max_events: int, deadline: float) -> Iterator[kevent]:
        poll = select.poll()
        wanted: dict[int, int] = {}
        for fd, kind in self._filters:
            if _is_regular(fd):
                if kind == KQ_FILTER_READ and not _bytes_to_read(fd):
                    continue
                deadline = 0.0
            bit = (
                select.POLLIN | select.POLLRDHUP
                if kind == KQ_FILTER_READ
                else select.POLLOUT
            )
            wanted[fd] = wanted.get(fd, 0) | bit
        for fd, bits in wanted.items():
            poll.register(fd, bits)
        true = dict(poll.poll(_milliseconds_until(deadline)))
        for fd, kind in self._filters:
            if fd in true and fd in wanted:
                event = _event_of(fd, kind, true[fd])
                if event is not None:
                    yield event
                    max_events -= 1
                    if not max_events:
                        return


def _milliseconds_until(deadline: float) -> int | None:
    if deadline == math.inf:
        return None
    return max(0, math.ceil((deadline - time.monotonic()) * 1000))


def _event_of(fd: int, kind: int, true: int) -> kevent | None:
    has_failed = bool(true & select.POLLERR)
    fflags = errno.ECONNRESET if has_failed and _is_socket(fd) else 0
    if kind == KQ_FILTER_READ:
        has_ended = bool(true & (select.POLLRDHUP | select.POLLHUP)) or has_failed
        if not has_ended and not true & select.POLLIN:
            return None
        data = _bytes_to_read(fd)
    else:
        has_ended = bool(true & select.POLLHUP) or has_failed
        if not has_ended and not true & select.POLLOUT:
            return None
        data = 0 if has_ended else 4096
    flags = KQ_EV_ADD | (KQ_EV_EOF if has_ended else 0)
    return kevent(fd, kind, flags, fflags if has_ended else 0, data)


def _bytes_to_read(fd: int) -> int:
    if _is_regular(fd):
        return max(0, os.fstat(fd).st_size - os.lseek(fd, 0, os.SEEK_CUR))
    try:
        return int(
            struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0]
        )
    except OSError:
        return 1  # a listening socket: connections to accept


def _is_regular(fd: int) -> bool:
    return stat.S_ISREG(os.fstat(fd).st_mode)


def _is_socket(fd: int) -> bool:
    return stat.S_ISSOCK(os.fstat(fd).st_mode)


def _is_pipe(fd: int) -> bool:
    return stat.S_ISFIFO(os.fstat(fd).st_mode)


def _failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _as_event(change: kevent, error: OSError) -> kevent:
    assert error.errno is not None
    return kevent(change.ident, change.filter, KQ_EV_ERROR, 0, error.errno)
