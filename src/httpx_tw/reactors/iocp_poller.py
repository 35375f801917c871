"""A poller over a completion port of Windows.

A completion port reports what was done, and a poller wants to know what could be done.
The driver under Winsock bridges that: its poll (see ``afd.py``) is an operation that
completes when a socket is ready. One is always under way for each socket, and is begun
again after it has been reported, which makes it level-triggered: of a socket that is
ready still, it completes at once.

What the kernel says is true of the moment it was said. An operation that completed
while nobody waited may tell of bytes that have been read since. So each wait begins
such a one again, and reports it if it completes once more. What completes during a wait
is true: the thread that could have changed it is the one that waits.
"""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from httpx_tw.reactors.afd import PENDING, SUCCESS, AfdCalls, AfdEvent, Operation
from httpx_tw.reactors.poller import MAX_EVENTS, EventMask, Poller

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IocpPoller"]

_READABLE: Final = int(EventMask.READABLE)
_WRITABLE: Final = int(EventMask.WRITABLE)
_ERROR: Final = int(EventMask.ERROR)
_HANGUP: Final = int(EventMask.HANGUP)

_ENDED: Final = int(AfdEvent.ABORT | AfdEvent.CONNECT_FAIL)
_CLOSED: Final = int(AfdEvent.LOCAL_CLOSE)
_ALWAYS: Final = _ENDED | _CLOSED
_READ: Final = int(AfdEvent.RECEIVE | AfdEvent.ACCEPT | AfdEvent.DISCONNECT)
_WRITE: Final = int(AfdEvent.SEND)

_SOCKETS_PER_DEVICE: Final = 500
"""Cancelling searches all that is under way on a device: trio measured it to get slow
from 1,000 on, and takes 500."""

_SLICE: Final = 500
"""Milliseconds of one wait in the kernel. Windows does not end it for Ctrl-C, which
Python hears between two of them; Twisted's select reactor there takes the same."""

_WAKE: Final = -1
"""What stands for the wake-up among descriptors: no socket has it."""

_PATIENCE: Final = 100
"""Milliseconds for cancelled operations to come back when a poller is closed. They come
at once; a driver that keeps one must not hang us."""

_never_returned: list[Operation] = []
"""What the kernel may write to still, and so must not be freed."""


class _Device:
    """A handle of the driver, and how many sockets use it."""

    __slots__ = ("handle", "sockets")

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.sockets = 0


class _Watch:
    """A socket that is watched."""

    __slots__ = ("device", "events", "fd", "operation", "socket")

    def __init__(self, fd: int, socket: int, device: _Device, events: int) -> None:
        self.fd = fd
        self.socket = socket
        self.device = device
        self.events = events
        self.operation: Operation | None = None
        """The one under way."""


class _PortWakeUp:
    """A wake-up call through the port. See WakeUp."""

    __slots__ = ("_calls", "_port", "token")

    fd = _WAKE

    def __init__(self, calls: Any, port: int) -> None:
        self._calls = calls
        self._port = port
        self.token = [True]

    def ring(self) -> None:
        """Put an entry into the port. Rung already, or closed: nothing happens."""
        try:
            self.token.pop()
        except IndexError:
            return
        self._calls.post(self._port)

    def answer(self) -> None:
        """Let the next ring be heard, once the entry has been taken."""
        self.token.append(True)

    def close(self) -> None:
        """Ring no more."""
        self.token.clear()


class IocpPoller(Poller):
    """A completion port, Windows. Sockets only.

    :param calls: what has the calls of AfdCalls; None: Windows has.
    :raises OSError: when this is not Windows, or it gives no port.
    """

    def __init__(self, calls: Any = None) -> None:
        self._calls = AfdCalls() if calls is None else calls
        self._port: int = self._calls.open_port()
        self._devices: list[_Device] = []
        self._watches: dict[int, _Watch] = {}
        self._idle: dict[_Watch, None] = {}
        """Those with no operation under way, in the order they came to be so."""
        self._under_way: dict[int, Operation] = {}
        """By address: all that the kernel holds, cancelled ones too."""
        super().__init__()

    def _make_wakeup(self) -> _PortWakeUp:
        return _PortWakeUp(self._calls, self._port)

    # Registration

    def _watch(self, fd: int, events: int) -> None:
        socket = self._calls.base_socket(fd)
        device = self._device_with_room()
        device.sockets += 1
        watch = self._watches[fd] = _Watch(fd, socket, device, events)
        self._idle[watch] = None

    def _device_with_room(self) -> _Device:
        for device in self._devices:
            if device.sockets < _SOCKETS_PER_DEVICE:
                return device
        device = _Device(self._calls.open_device(self._port))
        self._devices.append(device)
        return device

    def _change(self, fd: int, before: int, events: int) -> None:
        if events != before:
            watch = self._watches[fd]
            watch.events = events
            self._abandon(watch)
            self._idle[watch] = None

    def _forget(self, fd: int, before: int) -> None:
        del before
        watch = self._watches.pop(fd)
        watch.device.sockets -= 1
        self._idle.pop(watch, None)
        self._abandon(watch)

    def _abandon(self, watch: _Watch) -> None:
        operation = watch.operation
        if operation is not None:
            watch.operation = operation.watch = None
            self._calls.cancel(watch.device.handle, operation)

    # Waiting

    def _poll(self, timeout: float | None) -> list[tuple[int, int]]:
        is_woken, doubtful = self._take_old_news()
        ready = self._begin(chain(doubtful, self._idle))
        if is_woken:
            ready[_WAKE] = _READABLE
        if ready or timeout == 0:
            self._take(ready, 0)
            return list(ready.items())
        deadline = None if timeout is None else time.monotonic() + timeout
        while not ready:
            left = _SLICE
            if deadline is not None:
                # Rounded up: waking early is a busy loop until the time is there.
                left = -int(-(deadline - time.monotonic()) * 1000 // 1)
                if left <= 0 and deadline <= time.monotonic():
                    break
            self._take(ready, min(max(left, 0), _SLICE))
        return list(ready.items())

    def _take_old_news(self) -> tuple[bool, list[_Watch]]:
        """Take what completed while nobody waited: whether it was rung, and of whom."""
        is_woken = False
        doubtful = []
        while True:
            entries = self._calls.take(self._port, MAX_EVENTS, 0)
            for address in entries:
                if address is None:
                    is_woken = True
                    continue
                watch = self._under_way.pop(address).watch
                if watch is not None:
                    watch.operation = None
                    doubtful.append(watch)
            if len(entries) < MAX_EVENTS:
                return is_woken, doubtful

    def _begin(self, watches: Iterable[_Watch]) -> dict[int, int]:
        """Begin an operation for each, and return what cannot be polled any more."""
        broken: dict[int, int] = {}
        for watch in watches:
            operation = Operation()
            operation.prepare(watch.socket, _ALWAYS | _wanted(watch.events))
            status = self._calls.begin(watch.device.handle, operation)
            if status in (SUCCESS, PENDING):
                operation.watch = watch
                watch.operation = operation
                self._under_way[operation.address] = operation
            else:
                broken[watch.fd] = _ERROR  # closed, and we were not told
        self._idle = {self._watches[fd]: None for fd in broken}
        return broken

    def _take(self, ready: dict[int, int], milliseconds: int) -> None:
        """Take what completes within *milliseconds*, and add it to *ready*."""
        for address in self._calls.take(self._port, MAX_EVENTS, milliseconds):
            if address is None:
                ready[_WAKE] = _READABLE
                continue
            operation = self._under_way.pop(address)
            watch = operation.watch
            if watch is not None:
                watch.operation = None
                self._idle[watch] = None
                ready[watch.fd] = _meaning(operation.happened, watch.events)

    def _close(self) -> None:
        self._wakeup.close()
        for watch in self._watches.values():
            self._abandon(watch)
        while self._under_way:
            entries = self._calls.take(self._port, MAX_EVENTS, _PATIENCE)
            if not entries:
                _never_returned.extend(self._under_way.values())
                break
            for address in entries:
                if address is not None:
                    del self._under_way[address]
        for device in self._devices:
            self._calls.close(device.handle)
        self._calls.close(self._port)


def _wanted(events: int) -> int:
    return (_READ if events & _READABLE else 0) | (_WRITE if events & _WRITABLE else 0)


def _meaning(happened: int, events: int) -> int:
    if happened & _ENDED:
        # As Linux tells it: whoever waits for anything hears of it.
        return events | _ERROR | _HANGUP
    if not happened or happened & _CLOSED:
        return _ERROR
    meaning = _READABLE if happened & _READ else 0
    return meaning | (_WRITABLE if happened & _WRITE else 0)
