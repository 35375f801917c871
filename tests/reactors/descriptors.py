"""Numbers of descriptors: which are open, and who gets one next; on POSIX and Windows.

On Windows a socket's number is a handle, not one of C's descriptors: ``os.fstat`` and
``os.dup2`` know nothing of it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

IS_WINDOWS = os.name == "nt"


def descriptors() -> set[int]:
    """Return the numbers of all open descriptors."""
    gc.collect()  # an exception may hold the frame that holds one
    return {fd for fd in range(2048 if IS_WINDOWS else 256) if is_open(fd)}


def is_open(fd: int) -> bool:
    if IS_WINDOWS:
        windows: Any = ctypes  # typeshed has it on Windows only
        flags = ctypes.c_uint32()
        # The lowest two bits of a handle are ignored; each is looked at once.
        return fd % 4 == 0 and bool(
            windows.windll.kernel32.GetHandleInformation(
                ctypes.c_void_p(fd), ctypes.byref(flags)
            )
        )
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def put_in_place_of(end: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Close *end*, and return a new pair of which the first has its number."""
    if not IS_WINDOWS:
        fresh, peer = socket.socketpair()
        os.dup2(fresh.fileno(), end.fileno())
        fresh.close()
        return end, peer
    fd = end.fileno()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        end.close()
        fresh = _socket_of_number(fd)
        fresh.connect(listening.getsockname())
        peer, _ = listening.accept()
    return fresh, peer


def _socket_of_number(fd: int) -> socket.socket:
    others = []
    try:
        for _ in range(200):
            fresh = socket.socket()
            if fresh.fileno() == fd:
                return fresh
            others.append(fresh)
        raise AssertionError(f"nobody got number {fd}")
    finally:
        for other in others:
            other.close()


def many_readable(count: int, add_cleanup: Callable[..., object]) -> list[int]:
    """Return *count* descriptors that are readable, and stay so."""
    if IS_WINDOWS:
        ours, theirs = socket.socketpair()
        theirs.send(b"x")
        copies = [ours.dup() for _ in range(count)]
        for end in (ours, theirs, *copies):
            add_cleanup(end.close)
        return [copy.fileno() for copy in copies]
    reader, writer = os.pipe()
    os.write(writer, b"x")
    fds = [os.dup(reader) for _ in range(count)]
    for fd in (reader, writer, *fds):
        add_cleanup(os.close, fd)
    return fds


def has_room(end: socket.socket) -> bool:
    """Say whether select(2) finds *end* writable."""
    return bool(select.select([], [end], [], 0)[1])


def wait_until_writable(end: socket.socket) -> None:
    """Wait, where a pair is one over TCP, until what was read has been acknowledged."""
    if IS_WINDOWS:
        assert select.select([], [end], [], 30)[1], "it is full for ever"
