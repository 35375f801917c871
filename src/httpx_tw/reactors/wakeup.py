"""A descriptor that any thread can make readable, to end a wait."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final, Protocol

__all__ = ["SocketWakeUp", "WakeUp", "WakeUpCall"]

# Eight bytes are one count of an eventfd; to a pipe they are eight bytes.
_CALL: Final = (1).to_bytes(8, "little")


class WakeUpCall(Protocol):
    """What a poller asks of whatever ends its wait."""

    fd: int
    """Reported ready when it has been rung."""
    token: list[bool]
    """Empty: it has been rung, and not been answered."""

    def ring(self) -> None:
        """End the wait. Rung already, or closed: nothing happens."""

    def answer(self) -> None:
        """Make it wait for the next ring. Only when it is ready."""

    def close(self) -> None:
        """Give back what it holds."""


class WakeUp:
    """Rung from any thread and from signal handlers; answered by the one that waits.

    A lock cannot be taken by a signal handler that interrupted its holder, and a flag
    is looked at by one thread while another sets it. So there is one token in a list,
    whose pop is indivisible: who gets it writes, and it is put back when what was
    written has been read. Never are there two writes to be read, or none and no token.
    """

    __slots__ = ("_writer", "fd", "token")

    def __init__(self) -> None:
        self.fd, self._writer = _descriptors()
        """``fd`` is readable when it has been rung."""
        self.token = [True]
        """Empty: it has been rung, and not been answered."""

    def ring(self) -> None:
        """Make it readable. Rung already, or closed: nothing happens."""
        try:
            self.token.pop()
        except IndexError:
            return
        os.write(self._writer, _CALL)

    def answer(self) -> None:
        """Make it unreadable. Only when it is readable."""
        os.read(self.fd, 8)
        # Who rings in between finds no token, and need not: whoever answers is awake.
        self.token.append(True)

    def close(self) -> None:
        """Give the descriptors back."""
        # No more rings: the number may be somebody else's in a moment.
        with suppress(IndexError):
            self.token.pop()
        os.close(self.fd)
        if self._writer != self.fd:
            os.close(self._writer)


class SocketWakeUp:
    """See WakeUp: a pair of sockets, since Windows waits for nothing else."""

    __slots__ = ("_reader", "_writer", "fd", "token")

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.fd = self._reader.fileno()
        self.token = [True]

    def ring(self) -> None:
        """See WakeUp."""
        try:
            self.token.pop()
        except IndexError:
            return
        self._writer.send(_CALL)

    def answer(self) -> None:
        """See WakeUp."""
        self._reader.recv(8)
        self.token.append(True)

    def close(self) -> None:
        """See WakeUp."""
        with suppress(IndexError):
            self.token.pop()
        self._reader.close()
        self._writer.close()


def _descriptors() -> tuple[int, int]:
    if hasattr(os, "eventfd"):
        fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return fd, fd
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer
