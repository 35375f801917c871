"""One transport: writing with flow control, reading on or not, and the ways to end.

What is said over it is the business of the connection (see connection.py).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final, cast

from twisted.internet.interfaces import IPushProducer, ISSLTransport
from zope.interface import implementer

from httpx_tw.server.deadlines import NEVER, Pace
from httpx_tw.transport.file_sender import (
    can_send_files,
    resume_when_writable,
    send_file,
)
from httpx_tw.transport.stream import (
    can_half_close,
    hang_up,
    unsent_bytes,
    writer_for,
)
from httpx_tw.transport.undelivered import undelivered_bytes

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from twisted.internet.defer import Deferred

    from httpx_tw.app.files.opened import OpenFile
    from httpx_tw.server.factory import HTTPFactory
    from httpx_tw.server.file_sending import FileTurn

__all__ = ["Phase", "Wire"]


JOINED: Final = 256 * 1024
"""Bytes of a body that go out in one call with their head. More are not copied for it:
of a MiB that is a fifth of the cost (see docs/explanation/copies.md)."""


class Phase(enum.IntEnum):
    """What a connection is doing. From LINGERING on, no request is served any more."""

    IDLE = 0
    HEAD = 1
    COLLECTING = 2
    PROCESSING = 3
    WRITING = 4
    DISCARDING = 5
    LINGERING = 6
    SWITCHED = 7
    CLOSING = 8
    CLOSED = 9


@implementer(IPushProducer)
class Wire:
    """The transport of one connection. Everything happens on the reactor thread."""

    __slots__ = (
        "_outgoing",
        "_read_paused",
        "_unsent",
        "_write",
        "could_send_files",
        "deadline",
        "factory",
        "hosted",
        "is_write_paused",
        "phase",
        "transport",
    )

    def __init__(self, factory: HTTPFactory) -> None:
        self.factory = factory
        self.transport: Any = None
        self.phase = Phase.HEAD
        self.deadline = NEVER
        """When ``check`` has something to end, in the factory's seconds."""
        self.hosted: Any = None
        """What a hosting of foreign applications keeps here between requests."""
        self.could_send_files = False
        """The kernel can send files over it, unless startTLS has ended that."""
        self._read_paused = False
        self.is_write_paused = False
        """The client has not read what was sent before."""
        # While the transport holds more than its high watermark: how fast it goes.
        self._outgoing: Pace | None = None
        self._unsent = 0

    def makeConnection(self, transport: Any) -> None:
        """See IProtocol."""
        self.transport = transport
        self._write = writer_for(transport)
        self.could_send_files = can_send_files(transport)
        transport.registerProducer(self, True)
        self.connectionMade()

    def connectionMade(self) -> None:
        """See IProtocol."""
        raise NotImplementedError

    # What the connection has to say to this

    def drained(self) -> None:
        """Go on: the transport has sent what it held."""
        raise NotImplementedError

    def ending(self) -> None:
        """Let go of what is going on: the connection is being ended."""
        raise NotImplementedError

    @property
    def peer_has_closed(self) -> bool:
        """Whether the client has shut down its side."""
        raise NotImplementedError

    # Called by Twisted: IPushProducer, about our writing

    def pauseProducing(self) -> None:
        """See IPushProducer: the transport holds more than its high watermark."""
        self.is_write_paused = True
        self._watch_outgoing()

    def resumeProducing(self) -> None:
        """See IPushProducer: what the transport held is gone."""
        self.is_write_paused = False
        self._outgoing = None
        self.drained()

    def stopProducing(self) -> None:
        """See IProducer: the connection is lost; connectionLost follows."""

    def _watch_outgoing(self) -> None:
        if self._outgoing is None:
            self._outgoing = Pace(self.factory.seconds())
            self._unsent = undelivered_bytes(self.transport) or 0

    # Writing and reading

    def send(self, data: bytes) -> None:
        """Write *data*, and count it."""
        self.factory.bytes_sent += len(data)
        if self._outgoing is not None:
            self._unsent += len(data)
        self._write(self.transport, data)

    def send_whole(self, head: bytes, body: bytes) -> None:
        """Write a head and all of its body."""
        if len(body) <= JOINED:
            self.send(head + body)
        else:
            self.send(head)
            self.send(body)

    @property
    def sends_files(self) -> bool:
        """Whether the kernel can send files over it: startTLS ends it."""
        return self.could_send_files and not self.transport.TLS

    def send_file(
        self, fd: int, offset: int, count: int, head: bytes = b""
    ) -> int | None:
        """Send from a file, and count it. See transport.file_sender.send_file."""
        sent = send_file(self.transport, fd, offset, count, head)
        self.factory.bytes_sent += len(head) + (sent or 0)
        return sent

    @property
    def file_turn(self) -> FileTurn:
        """See FileLink."""
        return self.factory.file_turn

    @property
    def latest(self) -> float:
        """The time as of this tick: see Tick."""
        return self.factory.tick.latest

    def fetch(self, file: OpenFile, offset: int, count: int) -> Deferred[None]:
        """Fetch a part of a file from its disk: see DiskThreads."""
        return self.factory.disk_reads.fetch(file, offset, count)

    def wait_for_room(self) -> None:
        """Have ``drained`` called when the socket takes more."""
        self.pauseProducing()
        resume_when_writable(self.transport)

    @property
    def is_watched(self) -> bool:
        """Whether the transport holds bytes whose going is watched."""
        return self._outgoing is not None

    def pause_reading(self) -> None:
        """Leave further bytes in the kernel; paused already is fine."""
        if not self._read_paused and self.phase < Phase.CLOSING:
            self._read_paused = True
            self.transport.pauseProducing()

    def resume_reading(self) -> None:
        """Undo pause_reading; reading already is fine."""
        if self._read_paused and self.phase < Phase.CLOSING:
            self._read_paused = False
            self.transport.resumeProducing()

    def set_deadline(self, timeout: float) -> None:
        """Have ``check`` called in *timeout* seconds; 0: never."""
        self.deadline = self.factory.tick.latest + timeout if timeout else NEVER

    def is_read_too_slowly(self, now: float) -> bool:
        """Whether the client takes what is sent too slowly, or not at all."""
        pace = self._outgoing
        if pace is None:
            return False
        waiting = undelivered_bytes(self.transport)
        if waiting is not None and waiting < self._unsent:
            pace.moved(self._unsent - waiting, now)
        self._unsent = waiting or 0
        timeouts = self.factory.timeouts
        return pace.is_too_slow(
            now,
            idle=timeouts.response_idle,
            rate=timeouts.response_min_rate,
            grace=timeouts.rate_grace,
        )

    # Ending

    def linger(self) -> None:
        """Say goodbye, then read on for a while.

        Closing with unread bytes in the socket makes the kernel send a reset, and the
        client may lose the very answer that says why (RFC 9112 section 9.6).
        """
        linger = self.factory.timeouts.linger
        if not linger or self.peer_has_closed:
            self.close()
            return
        if not can_half_close(self.transport):
            # Twisted's TLS, which reads on until it has the client's goodbye.
            self._close(waits=True)
            return
        self._let_go(Phase.LINGERING)
        self._outgoing = None
        self.set_deadline(linger)
        self.transport.loseWriteConnection()
        self.resume_reading()

    def _let_go(self, phase: Phase) -> None:
        self.phase = phase
        # A registered producer that is paused would be resumed in place of the close.
        self.transport.unregisterProducer()
        self.ending()

    def close(self) -> None:
        """Close when everything is written.

        ``check`` aborts it if the client does not read that fast enough.
        """
        self._close(waits=False)

    def _close(self, *, waits: bool) -> None:
        if self.phase >= Phase.CLOSING:
            return
        self._let_go(Phase.CLOSING)
        if unsent_bytes(self.transport):
            self.deadline = NEVER
            self._watch_outgoing()
        else:
            self.set_deadline(self.factory.timeouts.response_idle)
        if waits:
            self.transport.loseConnection()
        else:
            hang_up(self.transport)

    def abort(self) -> None:
        """End the connection at once, whatever is unsent."""
        if self.phase is Phase.CLOSED:
            return
        if self.phase is not Phase.CLOSING:
            self._let_go(Phase.CLOSING)
        self.deadline = NEVER
        self.transport.abortConnection()

    # What a Request asks of its connection (RequestLink, BodyLink)

    @property
    def client_address(self) -> tuple[str, int] | None:
        """Host and port of the peer; None: it has none (a Unix socket)."""
        peer = self.transport.getPeer()
        host = getattr(peer, "host", None)
        return None if host is None else (host, peer.port)

    @property
    def client_host(self) -> str:
        """The peer's host for the log; "unix" without one."""
        client = getattr(self.transport, "client", None)
        if type(client) is tuple:
            return str(client[0])  # a getPeer() costs 1.5 µs
        address = self.client_address
        return "unix" if address is None else address[0]

    @property
    def scheme(self) -> str:
        """The URL scheme: "http" or "https"."""
        return "https" if self.is_secure else "http"

    @property
    def client_certificate(self) -> Certificate | None:
        """The certificate the client has shown; see Request.client_certificate."""
        if not self.is_secure or self.phase is Phase.CLOSED:
            return None
        shown = self.transport.getPeerCertificate()
        return None if shown is None else cast("Certificate", shown.to_cryptography())

    @property
    def is_secure(self) -> bool:
        """The connection is encrypted."""
        return ISSLTransport.providedBy(self.transport)
