"""What a ring is asked for by streams and ports, and who is told what came of it.

The order of a batch: all that is wanted is submitted, with all that is to be sent, by
the one call that waits. What has completed is then taken off the ring, copied out of
the buffers, and queued; only after that does any code but ours run. So there is no
moment at which somebody could free, cancel or reuse what the kernel works with.

A send is tried once and never waits in the kernel (MSG_DONTWAIT): when the call returns
it is over, its memory is free, and it has a completion only if it fell short.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
from collections import deque
from typing import Any, Final

from httpx_tw.reactors.provided_buffers import GROUP, ProvidedBuffers
from httpx_tw.reactors.ring import (
    BUFFER_SELECT,
    HAS_BUFFER,
    HAS_MORE,
    POLL_ADD,
    RECV,
    RECV_MULTISHOT,
    SEND,
    SKIP_SUCCESS,
    Ring,
)
from httpx_tw.reactors.ring_calls import RingRefused

__all__ = ["Completions"]

# What a completion is about: user_data is a count with one of these.
_SEND: Final = 1 << 62
_ACCEPT: Final = 1 << 61
_READINESS: Final = 1 << 60
_NUMBER: Final = _READINESS - 1

_POLLIN: Final = 0x01

# MSG_WAITALL: to send less than all is a failure, and so has a completion. With
# MSG_DONTWAIT it is one at once.
_SEND_FLAGS: Final = (
    (socket.MSG_DONTWAIT | socket.MSG_WAITALL | socket.MSG_NOSIGNAL)
    if hasattr(socket, "MSG_NOSIGNAL")
    else 0
)

_ARENA: Final = 512 * 1024
"""Bytes of all small writes of a batch; more of them are sent in between."""


class Completions:
    """See httpx_tw.transport.completion_stream.Completions: this is what it describes.

    The owner of the loop calls ``flush``, enters the ring, and calls ``collect``; then
    it tells each in ``completed``.

    :raises RingRefused: when the kernel has no buffers for a ring.
    """

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.completed: deque[tuple[Any, Any]] = deque()
        self.wanting: set[Any] = set()
        self.senders: list[Any] = []
        self.unsettled: list[Any] = []
        self.turns: list[Any] = []
        self._owners: dict[int, Any] = {}
        self._latest = 0
        self._sent: list[tuple[Any, bytes]] = []
        self._arena = mmap.mmap(-1, _ARENA)
        self._arena_at = ctypes.addressof(ctypes.c_char.from_buffer(self._arena))
        self._used = 0
        try:
            self._buffers = ProvidedBuffers(ring.fd)
        except OSError as error:
            ring.close()
            raise RingRefused(error.errno or 0) from error

    # For streams and ports

    def receive(self, stream: Any) -> int:
        """See the protocol."""
        number = self._latest = self._latest + 1
        self._owners[number] = stream
        fd = stream.fileno()
        self.ring.push(
            RECV, BUFFER_SELECT, RECV_MULTISHOT, fd, 0, 0, 0, 0, number, GROUP
        )  # fmt: skip
        return number

    def accept(self, port: Any) -> int:
        """See the protocol."""
        number = self._latest = self._latest + 1
        number |= _ACCEPT
        self._owners[number] = port
        self.ring.submit_accept(port.fileno(), number, multishot=True)
        return number

    def stop(self, number: int) -> None:
        """See the protocol."""
        self.ring.cancel(number)

    def forget(self, number: int, *, at_once: bool) -> None:
        """See the protocol."""
        self._owners.pop(number, None)
        self.ring.cancel(number)
        if at_once:
            self.ring.submit()

    # For the loop

    def watch(self, fd: int) -> None:
        """Have the next ``collect`` say when *fd* is readable."""
        self.ring.push(POLL_ADD, 0, 0, fd, 0, 0, 0, _POLLIN, _READINESS)

    def flush(self) -> bool:
        """Queue all that is wanted and to be sent; whether somebody must not wait."""
        unsettled = self.unsettled
        if unsettled:
            self.unsettled = []
            for each in unsettled:
                each.settle()
        senders = self.senders
        if senders:
            self.senders = []
            self._send(senders)
        turns = self.turns
        if turns:
            self.turns = []
            self.completed.extend((each, None) for each in turns)
        return bool(turns)

    def _send(self, senders: list[Any]) -> None:
        ring = self.ring
        push, arena, at, used = ring.push, self._arena, self._arena_at, self._used
        sent = self._sent
        for sender in senders:
            if not sender._is_sender:  # noqa: SLF001  # its own flag, and there are many
                continue
            data = sender.take_outgoing()
            if data is None:
                self.turns.append(sender)
                continue
            size = len(data)
            if not size:
                continue  # it was asked for, and there is nothing
            if used + size > _ARENA:
                ring.submit()
                used = 0
            arena[used : used + size] = data
            # fmt: off
            push(
                SEND, SKIP_SUCCESS, 0, sender.fileno(), 0, at + used, size, _SEND_FLAGS,
                _SEND | len(sent),
            )
            # fmt: on
            used += size
            sent.append((sender, data))
        self._used = used

    def collect(self) -> bool:
        """Queue what has completed; whether what is watched is readable."""
        found = self.ring.reap()
        is_ready = False
        if found:
            events, is_ready = self._sorted_out(found)
            self._buffers.give_back()
            self.completed.extend(events)
        if self._sent and not self.ring.unsubmitted:
            self._sent.clear()
            self._used = 0
        return is_ready

    def _sorted_out(  # noqa: C901  # a branch a kind of completion
        self, found: list[tuple[int, int, int]]
    ) -> tuple[list[tuple[Any, Any]], bool]:
        """Return who is to be told what; several receives of a stream are one."""
        events: list[tuple[Any, Any]] = []
        owners, take = self._owners, self._buffers.take
        is_ready = has_joins = False
        previous = 0
        for number, result, flags in found:
            if flags & HAS_BUFFER:
                data = take(flags >> 16, result)
                if result > 0:
                    if number == previous:
                        has_joins = True
                        _join(events, data)
                    elif number in owners:
                        events.append((owners[number], data))
                        previous = number
                    if flags & HAS_MORE:
                        continue
                    result = -errno.ECANCELED  # it ends, but not the stream
            if number == _READINESS:
                is_ready = True
            elif number & _SEND:
                self._fell_short(number & _NUMBER, result)
            elif number:
                self._queue_result(events, number, result, flags)
                previous = 0  # what comes next does not follow its bytes any more
        if has_joins:
            events = [
                (owner, b"".join(result) if type(result) is list else result)
                for owner, result in events
            ]
        return events, is_ready

    def _queue_result(
        self, events: list[tuple[Any, Any]], number: int, result: int, flags: int
    ) -> None:
        owner = self._owners.get(number)
        if not flags & HAS_MORE:
            self._owners.pop(number, None)
        if owner is not None:
            events.append((owner, result))
            if result >= 0 and number & _ACCEPT and not flags & HAS_MORE:
                events.append((owner, -errno.ECANCELED))
        elif number & _ACCEPT and result >= 0:
            os.close(result)  # its port was closed meanwhile

    def _fell_short(self, index: int, result: int) -> None:
        sender, data = self._sent[index]
        sender.put_back(data[result:] if result > 0 else data)

    def close(self) -> None:
        """End all of it, and give everything back; closed already is fine."""
        self.ring.close()
        self._buffers.close()
        self._arena.close()
        self._owners.clear()


def _join(events: list[tuple[Any, Any]], data: bytes) -> None:
    owner, before = events[-1]
    if type(before) is list:
        before.append(data)
    else:
        events[-1] = (owner, [before, data])
