"""One transport of a pool: writing, reading on or not, and the ways to end.

What is said over it is the business of the connection (see connection.py).
"""

from __future__ import annotations

import enum
import select
import socket
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet.interfaces import ISSLTransport

from httpx_tw.client.deadlines import NEVER
from httpx_tw.client.pool_facts import DropReason
from httpx_tw.transport.file_sender import resume_when_writable
from httpx_tw.transport.stream import writer_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

    from httpx_tw.client.body import Decoder
    from httpx_tw.client.deadlines import Tick
    from httpx_tw.client.response import ConnectionFacts
    from httpx_tw.limits import Limits
    from httpx_tw.protocol.events import ResponseHead
    from httpx_tw.protocol.http1_reader import ResponseHeadParser

__all__ = ["Phase", "Wire", "WireOwner"]

CLOSE_TIMEOUT: Final = 2.0
"""Seconds an orderly end may take until it is a disorderly one."""

CLOSING_INTERVAL: Final = 1.0
"""Seconds between two looks at connections that are being closed."""

MAX_INTERIM: Final = 16
"""1xx responses before the final one: more is no server, it is a flood."""

DRAIN_LIMIT: Final = 64 * 1024
"""Bytes of an unwanted body that are read to keep the connection; a new one costs a
round trip or two, and TLS."""

# Ends after which the server may still want to hear a goodbye.
_ORDERLY: Final = {
    DropReason.IDLE_TOO_LONG,
    DropReason.WORN_OUT,
    DropReason.NOT_REUSABLE,
    DropReason.EVICTED,
    DropReason.YIELDED,
    DropReason.POOL_CLOSED,
}


class WireOwner(Protocol):
    """What a pool is to its connections."""

    reactor: Any
    tick: Tick
    parser: ResponseHeadParser
    limits: Limits

    def connection_free(self, connection: Any) -> None:
        """Use *connection* for another request."""

    def connection_spoilt(self, connection: Any, reason: DropReason) -> None:
        """Have *connection* closed."""

    def connection_closed(self, connection: Any, reason: DropReason) -> None:
        """Free the slot of *connection*."""

    def decoder_for(self, response: ResponseHead) -> Decoder | None:
        """Return what decodes a body; None: it is taken as it comes."""


class Phase(enum.IntEnum):
    """What a transport is doing."""

    DIALING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3


class Wire:
    """The transport of one connection. Reactor thread only."""

    __slots__ = (
        "_handshake",
        "_is_read_paused",
        "_owner",
        "_tick",
        "_write",
        "deadline",
        "facts",
        "idle_since",
        "is_dropped",
        "is_lent",
        "phase",
        "place",
        "requests",
        "transport",
    )

    def __init__(
        self,
        owner: WireOwner,
        handshake: Callable[[Failure | None], None] | None = None,
    ) -> None:
        """Begin.

        :param handshake: called when the TLS handshake is over, with why it failed.
        """
        self._owner = owner
        self._tick = owner.tick
        self._handshake = handshake
        self._write: Callable[[Any, bytes], None]
        self._is_read_paused = False
        self.transport: Any = None
        self.phase = Phase.DIALING
        self.facts: ConnectionFacts
        self.deadline = NEVER
        """When ``check`` has something to end, in the reactor's seconds."""
        self.requests = 0
        """How many were sent on it."""
        # The pool's: see slots.Pooled.
        self.place: Any = None
        self.idle_since = 0.0
        self.is_dropped = False
        self.is_lent = False
        """It is in somebody's hands: see ConnectionPool.get_connection."""

    @property
    def reactor(self) -> Any:
        """Where it lives: its pool's."""
        return self._owner.reactor

    # Called by Twisted: IProtocol, IHandshakeListener

    def makeConnection(self, transport: Any) -> None:
        """See IProtocol."""
        self.transport = transport
        self._write = writer_for(transport)
        self.phase = Phase.OPEN

    def connectionMade(self) -> None:
        """See IProtocol."""

    def handshakeCompleted(self) -> None:  # noqa: N802  # Twisted calls it
        """See IHandshakeListener."""
        # TLS may have changed what the transport is.
        self._write = writer_for(self.transport)
        handshake, self._handshake = self._handshake, None
        if handshake is not None:
            handshake(None)

    def dial_has_failed(self, reason: Failure) -> bool:
        """Whether the connection ended before it was one; tell who waits for it."""
        self.phase = Phase.CLOSED
        handshake, self._handshake = self._handshake, None
        if handshake is not None:
            handshake(reason)
        return handshake is not None

    # What the connection has to say to this

    def let_go(self) -> None:
        """Stop what writes to the transport: it is being ended."""
        raise NotImplementedError

    # Reading

    def pause_reading(self) -> None:
        """Leave further bytes in the kernel; paused already is fine."""
        if not self._is_read_paused and self.phase is Phase.OPEN:
            self._is_read_paused = True
            self.transport.pauseProducing()

    def resume_reading(self) -> None:
        """Undo pause_reading; reading already is fine."""
        if self._is_read_paused and self.phase is Phase.OPEN:
            self._is_read_paused = False
            self.transport.resumeProducing()

    # Writing

    def wait_for_room(self) -> None:
        """Have the registered producer resumed when the socket takes more.

        Only where files are sent by the kernel.
        """
        resume_when_writable(self.transport)

    @property
    def may_be_stale(self) -> bool:
        """Whether the server has closed it, and the reactor did not say so yet."""
        ours = getattr(self.transport, "socket", None)
        if ours is None or ISSLTransport.providedBy(self.transport):
            return False
        try:
            if ours.getblocking():
                # Twisted's on IOCP, and to peek would wait. Bytes that nobody asked
                # for go into the read that is under way there; the end can be seen.
                return bool(select.select([ours], [], [], 0)[0])
            ours.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True  # the end, or bytes nobody asked for

    # Ending

    def spoilt(self, reason: DropReason) -> None:
        """Have it closed by the pool; ended or ending already is fine."""
        if self.phase is Phase.OPEN:
            self.let_go()
            self._owner.connection_spoilt(self, reason)

    def close(self, reason: DropReason) -> None:
        """Close it: the pool has decided so, and hears when it is."""
        if self.phase >= Phase.CLOSING:
            return
        self.phase = Phase.CLOSING
        if reason in _ORDERLY:
            self.deadline = self._owner.reactor.seconds() + CLOSE_TIMEOUT
            if self._tick.interval > CLOSING_INTERVAL:  # all were idle
                self._tick.hasten(CLOSING_INTERVAL)
            self.transport.loseConnection()
        else:
            self.deadline = NEVER
            self.transport.abortConnection()

    def check_closing(self, now: float) -> None:
        """Abort what was to be closed, and takes too long."""
        if self.deadline <= now:
            self.deadline = NEVER
            self.transport.abortConnection()
