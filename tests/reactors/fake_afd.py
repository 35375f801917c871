"""The calls of ``httpx_tw.reactors.afd``, over poll(2): for tests on Linux.

The rules are those of Windows, as far as they matter to who calls:

- an operation begun on what is ready completes at once, and its entry is in the port
  all the same; otherwise it completes when something of what it asks for becomes true;
- that it has completed is not undone by what happens to the socket afterwards;
- entries leave the port in the order in which they came;
- a cancelled operation comes back with a status of its own; one that has completed
  before stays as it is;
- closing a socket completes what is under way on it, with LOCAL_CLOSE; nothing more can
  be begun on it;
- the end of the peer's side, an abort and a failed connect are three events.

What happens to a socket is noticed at the next call, not at that moment: a test that
wants an operation to have completed says ``settle()``.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections import deque
from typing import TYPE_CHECKING

from httpx_tw.reactors.afd import CANCELLED, PENDING, SUCCESS, AfdEvent, Operation

if TYPE_CHECKING:
    from collections.abc import Iterator

STATUS_INVALID_HANDLE = 0xC0000008

_READ = AfdEvent.RECEIVE | AfdEvent.ACCEPT


class FakeAfd:
    """A computer with completion ports and the driver; a port is a pipe."""

    def __init__(self) -> None:
        self.under_way: dict[int, tuple[int, int, Operation]] = {}
        """By address: the device, the inode of the socket, the operation."""
        self.begun = 0
        self.port_of: dict[int, int] = {}
        self._entries: dict[int, deque[int | None]] = {}
        self._bells: dict[int, int] = {}

    # The port

    def open_port(self) -> int:
        port, bell = os.pipe()
        os.set_blocking(port, False)
        self._entries[port] = deque()
        self._bells[port] = bell
        return port

    def post(self, port: int) -> None:
        os.write(self._bells[port], b"x")

    def take(self, port: int, limit: int, milliseconds: int) -> list[int | None]:
        deadline = time.monotonic() + milliseconds / 1000
        while True:
            self.settle()
            self._hear(port)
            entries = self._entries[port]
            left = deadline - time.monotonic()
            if entries or left <= 0:
                return [entries.popleft() for _ in range(min(limit, len(entries)))]
            self._sleep(port, left)

    def _hear(self, port: int) -> None:
        try:
            rung = os.read(port, 4096)
        except BlockingIOError:
            return
        self._entries[port].extend([None] * len(rung))

    def _sleep(self, port: int, seconds: float) -> None:
        wanted: dict[int, int] = {port: select.POLLIN}
        for _, _, operation in self.under_way.values():
            wanted[operation.socket] = wanted.get(operation.socket, 0) | _bits(
                operation.events
            )
        poll = select.poll()
        for fd, bits in wanted.items():
            poll.register(fd, bits)
        poll.poll(int(seconds * 1000) + 1)

    def close(self, handle: int) -> None:
        os.close(handle)
        if handle in self._bells:
            os.close(self._bells.pop(handle))
            del self._entries[handle]
        else:
            assert not [
                key for key, (on, _, _) in self.under_way.items() if on == handle
            ]
            del self.port_of[handle]

    # The driver

    def open_device(self, port: int) -> int:
        device = os.open(os.devnull, os.O_RDONLY)
        self.port_of[device] = port
        return device

    def base_socket(self, fd: int) -> int:
        if fd < 0:
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
        os.fstat(fd)
        return fd

    def begin(self, device: int, operation: Operation) -> int:
        assert operation.address not in self.under_way, "begun twice"
        self.begun += 1
        try:
            inode = os.fstat(operation.socket).st_ino
        except OSError:
            return STATUS_INVALID_HANDLE
        self.under_way[operation.address] = (device, inode, operation)
        if self._settle_one(operation.address):
            return SUCCESS
        return PENDING

    def cancel(self, device: int, operation: Operation) -> None:
        if operation.address in self.under_way:
            assert self.under_way[operation.address][0] == device
            self._complete(operation.address, CANCELLED, 0)

    def settle(self) -> None:
        """Let everything complete that can."""
        for address in list(self.under_way):
            self._settle_one(address)

    def _settle_one(self, address: int) -> bool:
        _, inode, operation = self.under_way[address]
        happened = _events_of(operation.socket, inode) & operation.events
        if happened:
            self._complete(address, SUCCESS, happened)
        return bool(happened)

    def _complete(self, address: int, status: int, happened: int) -> None:
        device, _, operation = self.under_way.pop(address)
        assert operation.status == PENDING
        operation.status = status
        operation.count = int(bool(happened))
        operation.events = happened
        self._entries[self.port_of[device]].append(address)


def _bits(events: int) -> int:
    bits = select.POLLRDHUP if events & AfdEvent.DISCONNECT else 0
    bits |= select.POLLIN if events & _READ else 0
    return bits | (select.POLLOUT if events & AfdEvent.SEND else 0)


def _events_of(fd: int, inode: int) -> int:
    try:
        if os.fstat(fd).st_ino != inode:
            return AfdEvent.LOCAL_CLOSE
    except OSError:
        return AfdEvent.LOCAL_CLOSE
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
    happened = 0
    for _, true in poll.poll(0):
        for event in _events(true):
            happened |= event
    return happened


def _events(true: int) -> Iterator[int]:
    if true & select.POLLERR:
        yield AfdEvent.ABORT
    if true & select.POLLIN:
        yield _READ
    if true & (select.POLLRDHUP | select.POLLHUP):
        yield AfdEvent.DISCONNECT
    if true & select.POLLOUT:
        yield AfdEvent.SEND
