"""How a TLS connection ends: goodbyes (close_notify), and what the protocol hears.

HANDSHAKE → OPEN → CLOSING (our goodbye is said, the peer's awaited) → CLOSED

As in Twisted, TLS has no half: whoever says goodbye ends the connection, both ways.
"""

# ruff: noqa: N802  # Twisted calls these

from __future__ import annotations

import enum
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from OpenSSL.SSL import Error, WantReadError, WantWriteError, ZeroReturnError
from twisted.internet import tcp
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure

from httpx_tw.transport.openssl import Records, is_truncation

if TYPE_CHECKING:
    from collections.abc import Callable

    from OpenSSL.SSL import Connection
    from twisted.internet.interfaces import IDelayedCall

__all__ = ["CLOSE_TIMEOUT", "READ_BATCH", "Stage", "TLSEnding"]

CLOSE_TIMEOUT: Final = 15.0
"""Seconds that the peer has to answer our goodbye: Twisted's ``abortTimeout``."""

READ_BATCH: Final = 4
"""Full records read in one event: 64 KiB, what a stock transport reads in one."""


class Stage(enum.IntEnum):
    """How far a TLS connection is."""

    HANDSHAKE = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3


_OPEN: Final = Stage.OPEN

_DONE: Final = Failure(CONNECTION_DONE)  # one for all, as Twisted has it


class TLSEnding(tcp.Connection):
    """The part of TLSStream that ends it. See there for what is public."""

    reactor: Any  # Twisted's type knows descriptors, and no time
    close_timeout = CLOSE_TIMEOUT
    """Seconds to wait for the peer's goodbye after ours; 0: do not wait."""

    peer_ends_first = False
    """Its goodbye has come, most likely, when we say ours: look at once. Else that is
    a system call for nothing."""

    _stage = Stage.HANDSHAKE
    _connection: Connection | None = None
    _records: Records
    _reason: Failure | None = None  # of the end, when we know better than the socket
    _deadline: IDelayedCall | None = None

    if TYPE_CHECKING:
        # Twisted's, which have no types, or fewer than they need.
        def startReading(self) -> None: ...  # noqa: D102
        def stopReading(self) -> None: ...  # noqa: D102
        def startWriting(self) -> None: ...  # noqa: D102
        def stopWriting(self) -> None: ...  # noqa: D102
        def doRead(self) -> Any: ...  # noqa: D102

    def _when_readable(self, call: Callable[[], object] | None) -> None:
        """Have the reactor call *call* for doRead; None: doRead itself again."""
        if call is None:
            vars(self).pop("doRead", None)
        else:
            vars(self)["doRead"] = call

    def _when_writable(self, call: Callable[[], object] | None) -> None:
        """Have the reactor call *call* for doWrite; None: doWrite itself again."""
        if call is None:
            vars(self).pop("doWrite", None)
        else:
            vars(self)["doWrite"] = call

    @property
    def _is_anything_queued(self) -> bool:
        return bool(self._tempDataLen or self.dataBuffer)

    # Ending, by us

    def loseConnection(self) -> None:
        """Send what is queued, say goodbye, await the peer's, and close.

        In the middle of the handshake with nothing to send, as in Twisted: abort. With
        a producer, it is when that unregisters that the goodbye is said.
        """
        if not self.connected or self.disconnecting:
            return
        if self._stage is Stage.HANDSHAKE:
            self.disconnecting = 1
            if not self._is_anything_queued:
                self.abortConnection()
            return
        self.disconnecting = 1
        if self._writeDisconnected:
            self._end_soon(CONNECTION_DONE)
            return
        if self._is_anything_queued or self.producer is not None:
            self.stopReading()
            return
        why = self._say_goodbye()
        if why is not None:
            self._end_soon(why)

    def _postLoseConnection(self) -> Exception | None:
        """Called by doWrite when we are disconnecting and all is sent."""
        return None if self.producer is not None else self._say_goodbye()

    def _say_goodbye(self) -> Exception | None:
        """Send close_notify; doWrite until it is sent."""
        self._stage = Stage.CLOSING
        try:
            peer_has_ended = self._records.shutdown()
        except WantWriteError:
            self._when_writable(self._say_goodbye)
            self.stopReading()
            self.startWriting()
            self._set_close_deadline()
            return None
        except Error:
            return CONNECTION_LOST
        if peer_has_ended or not self.close_timeout:
            return CONNECTION_DONE
        if self.peer_ends_first:
            why = self._await_goodbye()
            if why is not None:
                return why
        self._end_output()
        self._when_readable(self._await_goodbye)
        self.startReading()
        self._set_close_deadline()
        return None

    def _end_output(self) -> None:
        """End our side of TCP: some peers look for that and not for close_notify."""
        # Who registers or unregisters a producer now wakes us for nothing.
        self._when_writable(self.stopWriting)
        self.stopWriting()
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _await_goodbye(self) -> Exception | None:
        """Read and drop what the peer still has to say: doRead while CLOSING."""
        try:
            for _ in range(READ_BATCH):
                self._records.read()
        except (WantReadError, WantWriteError):
            pass
        except ZeroReturnError:
            return CONNECTION_DONE
        except Error as error:
            return self._failed(error)
        return None

    def _set_close_deadline(self) -> None:
        if self._deadline is None and self.close_timeout:
            # In order and not by abort: what the kernel has taken is still delivered,
            # as after a close of plain TCP.
            self._deadline = self.reactor.callLater(
                self.close_timeout, self.connectionLost, Failure(CONNECTION_LOST)
            )

    def _end_soon(self, why: Exception) -> None:
        """Have connectionLost called, but not while the protocol is calling us."""
        self._stage = Stage.CLOSED
        self.stopReading()
        self.stopWriting()
        self._cancel_deadline()
        reason = _DONE if why is CONNECTION_DONE else Failure(why)
        # By our reactors at the end of this event: a timer costs four times as much. If
        # the connection is lost before, it is not lost again.
        call_soon = getattr(self.reactor, "call_after_batch", None)
        if call_soon is None:
            self._deadline = self.reactor.callLater(0, self.connectionLost, reason)
        else:
            call_soon(partial(self.connectionLost, reason))

    def _closeWriteConnection(self) -> Any:
        """Say goodbye and read on: called by doWrite after ``loseWriteConnection``."""
        try:
            self._records.shutdown()
        except WantWriteError:
            self._when_writable(self._closeWriteConnection)
            self.startWriting()
            return None
        except Error:
            return CONNECTION_LOST
        self._end_output()
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.writeConnectionLost()
        return None

    def abortConnection(self) -> None:
        """End at once: nothing is sent or delivered any more. See ITransport."""
        self._stage = Stage.CLOSED
        self.disconnecting = 1
        super().abortConnection()  # type: ignore[no-untyped-call]  # Twisted's

    def failVerification(self, reason: Failure) -> None:
        """End for *reason*, which ``connectionLost`` gets.

        Twisted's connection creators, which know this object as their protocol, call it
        when a peer is not who it should be.
        """
        self._reason = reason
        self.abortConnection()

    # Ending, by the peer or the reactor

    def _peer_has_said_goodbye(self) -> Exception | None:
        """End as well, when what is queued is sent; what comes later is dropped."""
        if self._writeDisconnected:
            return CONNECTION_DONE
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        if self._stage is not _OPEN:  # the producer has ended it
            return None
        self.disconnecting = 1
        self.stopReading()
        if not self._is_anything_queued:
            return self._say_goodbye()
        self._set_close_deadline()
        return None

    def _failed(self, error: Error) -> Exception | None:
        """Say to the reactor why the connection is over."""
        if self._stage is Stage.CLOSED:
            return None  # aborted: the reactor knows
        return CONNECTION_LOST if is_truncation(error) else error

    def readConnectionLost(self, reason: Failure) -> None:
        """The reactor saw the end: of both sides, whatever the protocol can do."""
        ended = self._stage is not Stage.HANDSHAKE and self._records.peer_has_ended()
        self.connectionLost(reason if ended else Failure(CONNECTION_LOST))

    def connectionLost(self, reason: Failure) -> None:
        """Close the socket, and tell the protocol."""
        connection = self._connection
        if self.disconnected or connection is None:
            super().connectionLost(reason)  # not connected yet, or lost already
            return
        self._stage = Stage.CLOSED
        self._cancel_deadline()
        # Before the socket is closed, and its number given to another connection.
        self._records.detach()
        try:
            super().connectionLost(self._reason or reason)
        finally:
            # Cycles, which would keep all this until the collector comes by.
            connection.set_app_data(None)
            self._connection = None
            self._when_readable(None)
            self._when_writable(None)

    def _cancel_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()
