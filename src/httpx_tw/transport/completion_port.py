"""A port whose connections a reactor accepts for it, a batch at a time."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Final

from httpx_tw.transport.completion_stream import CompletionServer, WantsCompletions
from httpx_tw.transport.listener import (
    ACCEPT_BATCH,
    EXHAUSTED,
    ITS_OWN_FAULT,
    StreamPort,
)

__all__ = ["CompletionPort"]

_ENDED_BY_US: Final = errno.ECANCELED


class CompletionPort(WantsCompletions, StreamPort):
    """A StreamPort for reactors that have ``completions``.

    The kernel accepts what is there, and is told to stop at the end of a batch. What
    has come by then waits here, as it would in the kernel's backlog: it is served when
    there is room (see AcceptGate), and reset if the port closes first.
    """

    transport = CompletionServer

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: list[int] = []

    # Called by the reactor

    def completed(self, result: int | None) -> None:
        """Take a descriptor, or the errno with which accepting has ended.

        None: it is our turn.

        :raises OSError: when the listening socket is broken.
        """
        if result is None:
            self.take_turn()
            return
        if result >= 0:
            self._waiting.append(result)
            self._settle_later()
            return
        self._going = 0
        self._is_stopping = False
        if not self.connected:
            return
        self._settle_later()
        number = -result
        if number in EXHAUSTED:
            self.gate.exhausted()
        elif number not in ITS_OWN_FAULT and number != _ENDED_BY_US:
            self._is_wanting = False
            raise OSError(number, os.strerror(number))

    def settle(self) -> None:
        """Begin or stop accepting, as is wanted by the end of the batch."""
        self._is_settling = False
        completions = self.reactor.completions
        if not self._is_wanting:
            self._stop_what_goes_on()
            return
        if self._waiting:
            completions.turns.append(self)
        if not self._going:
            self._going = completions.accept(self)

    def take_turn(self) -> None:
        """Serve some of those that wait."""
        for _ in range(ACCEPT_BATCH):
            if not self._waiting or not self._is_wanting:
                return
            self.serve(self._waiting.pop(0))
        self._settle_later()

    def serve(self, fd: int) -> None:
        """Make a connection of an accepted descriptor."""
        # With all three given, Python asks the kernel for none of them.
        connected = socket.socket(self.addressFamily, self.socketType, 0, fileno=fd)
        try:
            peer = connected.getpeername()
        except OSError:
            connected.close()  # reset by its peer meanwhile
            return
        self.accepted(connected, peer)

    # Called by Twisted, and by ourselves

    def startWriting(self) -> None:  # noqa: N802  # FileDescriptor's
        """Nothing: a port does not write."""

    def stopWriting(self) -> None:  # noqa: N802  # FileDescriptor's
        """Nothing."""

    def _closeSocket(self, orderly: bool) -> None:  # noqa: N802  # Twisted calls it
        waiting, self._waiting = self._waiting, []
        for fd in waiting:
            os.close(fd)
        if self._going:
            # At once: whoever wants to listen there next must find it free.
            self.reactor.completions.forget(self._going, at_once=True)
            self._going = 0
        super()._closeSocket(orderly)  # type: ignore[no-untyped-call]  # Twisted's
