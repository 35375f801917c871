"""Buffers that the kernel takes from a ring of its own, as bytes come in.

A receive that names no buffer takes none while it waits: 10,000 idle connections share
these. The kernel takes them in the order of the ring; what came in one is copied, and
the buffer given back, before anybody else runs. So none is ever lent out, and there is
no lifetime to get wrong.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from typing import Final

from httpx_tw.reactors.ring_calls import ring_register

__all__ = ["GROUP", "ProvidedBuffers"]

GROUP: Final = 1
"""The number of the one group of buffers that a ring has here."""

COUNT: Final = 512
"""What comes in while we look elsewhere. Where they run out the kernel leaves the bytes
in the socket and ends the receive (ENOBUFS), which is begun again: it costs 1 µs."""

SIZE: Final = 8192
"""Bytes: a request with its head fits, and of a body several are joined."""

_REGISTER: Final = 22
_REGISTRATION: Final = struct.Struct("<QIHH24x")
"""struct io_uring_buf_reg: address, number of entries, group, flags."""

_ENTRY: Final = struct.Struct("<QIH")
"""struct io_uring_buf, but for its last two bytes: of the first they are the tail."""
_ENTRY_SIZE: Final = 16
_TAIL_AT: Final = 14


class ProvidedBuffers:
    """*count* buffers (a power of two) of *size* bytes, for the receives of a ring.

    :raises OSError: when the kernel will not have them.
    """

    def __init__(self, ring_fd: int, count: int = COUNT, size: int = SIZE) -> None:
        self._size = size
        self._mask = count - 1
        self._memory = mmap.mmap(-1, count * size)
        self._entries = mmap.mmap(-1, count * _ENTRY_SIZE)
        self._base = _address_of(self._memory)
        self._order = list(range(count))  # which buffer is in which entry
        for number in range(count):
            self._write(number, number)
        self._words = memoryview(self._entries).cast("H")
        self._tail = count
        self.give_back()
        at = _address_of(self._entries)
        registration = ctypes.create_string_buffer(
            _REGISTRATION.pack(at, count, GROUP, 0)
        )
        ring_register(ring_fd, _REGISTER, ctypes.addressof(registration), 1)

    def _write(self, entry: int, number: int) -> None:
        at = self._base + number * self._size
        _ENTRY.pack_into(self._entries, entry * _ENTRY_SIZE, at, self._size, number)

    def take(self, number: int, length: int) -> bytes:
        """Return the *length* bytes in buffer *number*, which is to be given back."""
        entry = self._tail & self._mask
        self._tail += 1
        if self._order[entry] != number:
            # Nearly always they come back in the order they went.
            self._order[entry] = number
            self._write(entry, number)
        at = number * self._size
        return self._memory[at : at + length]

    def give_back(self) -> None:
        """Let the kernel have those that were taken."""
        self._words[_TAIL_AT // 2] = self._tail & 0xFFFF

    def close(self) -> None:
        """Give the memory back, after the ring is closed; closed already is fine."""
        self._words.release()
        self._entries.close()
        self._memory.close()


def _address_of(memory: mmap.mmap) -> int:
    # The export ends with the expression; a mapping does not move.
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
