"""A TCP transport without a network: the test is the kernel and the peer."""

# ruff: noqa: N802  # Twisted calls these, and its FileDescriptor has no types
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    ISSLTransport,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from twisted.internet.address import IPv6Address
    from twisted.internet.interfaces import IProtocol

    Address: TypeAlias = IPv4Address | IPv6Address

__all__ = ["MemoryTransport"]

CLIENT = IPv4Address("TCP", "192.0.2.1", 40000)
SERVER = IPv4Address("TCP", "192.0.2.2", 80)

_NO_LIMIT = 1 << 62

_READ_SIZE = 64 * 1024
"""What Twisted reads at once."""


class _Turns:
    """The reactor as a FileDescriptor needs it, for this one descriptor."""

    def __init__(self) -> None:
        self.is_reading = False
        self.is_writing = False
        self.calls: list[Callable[[], object]] = []

    def addReader(self, _: object) -> None:
        """See IReactorFDSet."""
        self.is_reading = True

    def removeReader(self, _: object) -> None:
        """See IReactorFDSet."""
        self.is_reading = False

    def addWriter(self, _: object) -> None:
        """See IReactorFDSet."""
        self.is_writing = True

    def removeWriter(self, _: object) -> None:
        """See IReactorFDSet."""
        self.is_writing = False

    def callLater(
        self, _: float, call: Callable[..., object], *arguments: object
    ) -> None:
        """See IReactorTime; transports only ever ask for "in the next turn"."""
        self.calls.append(lambda: call(*arguments))


@implementer(ITCPTransport)
class MemoryTransport(FileDescriptor):
    r"""A TCP connection in memory, one step at a time.

    It is Twisted's own FileDescriptor over no descriptor: what is written queues, a
    push producer is paused over 64 KiB and resumed when the last byte is gone, a pull
    producer is asked whenever nothing is queued, and closing waits for what is queued.
    Nothing moves by itself. The test is the network and the peer: it takes what was
    sent (:meth:`take`), it sends (:meth:`deliver`, :meth:`deliver_eof`), it goes away
    (:meth:`lose`); each of these also gives the transport its turn. What happens later
    in a reactor (the end of an aborted connection) happens in the next :meth:`turn`.

        connection = factory.buildProtocol(None)
        transport = MemoryTransport(connection)
        transport.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert transport.take().startswith(b"HTTP/1.1 200 OK")

    :param protocol: connected at once.
    :param is_secure: look like TLS (ISSLTransport), without being it.
    """

    def __init__(
        self,
        protocol: IProtocol,
        *,
        peer: Address = CLIENT,
        host: Address = SERVER,
        is_secure: bool = False,
    ) -> None:
        self._turns = _Turns()
        super().__init__(self._turns)  # type: ignore[arg-type]  # as much of one as it uses
        if is_secure:
            alsoProvides(self, ISSLTransport)
        self._peer = peer
        self._host = host
        self._room = 0
        self._taken: list[bytes] = []
        self._incoming = b""
        self._eof_is_coming = False
        self.is_aborted = False
        """abortConnection was called."""
        self.is_write_closed = False
        """All was sent and the sending side is shut down: the peer sees an end."""
        self.close_reason: Failure | None = None
        """Why the connection ended; None: it has not."""
        self.protocol = protocol
        self.connected = 1
        self.startReading()
        protocol.makeConnection(self)

    # What the test does

    def deliver(self, data: bytes) -> None:
        """Let the peer send *data*; while reading is paused it waits."""
        self._incoming += data
        self.turn()

    def deliver_eof(self) -> None:
        """Let the peer shut down its sending side, behind what it has sent."""
        self._eof_is_coming = True
        self.turn()

    def take(self, limit: int | None = None) -> bytes:
        """Let the network take up to *limit* bytes (None: all there are); return them.

        What a producer writes because of that is taken too, as far as *limit* goes; so
        give one for a producer that never ends.
        """
        self._room = _NO_LIMIT if limit is None else limit
        self.turn()
        while self._turns.is_writing and self.unsent and self._room:
            self.turn()
        self._room = 0
        taken = b"".join(self._taken)
        self._taken.clear()
        return taken

    def lose(self, reason: Exception | None = None) -> None:
        """Let the connection break, by default as a reset by the peer does."""
        self.connectionLost(Failure(reason or ConnectionLost()))

    def turn(self) -> None:
        """Do what a reactor would do in one turn for this connection."""
        calls, self._turns.calls = self._turns.calls, []
        for call in calls:
            call()
        if self._turns.is_writing and not self.is_aborted:
            self._write_on()
        if self.is_reading and not self.is_aborted:
            self._read()

    # What the test sees

    @property
    def unsent(self) -> int:
        """Bytes written that the network has not taken."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    @property
    def is_reading(self) -> bool:
        """Whether bytes are wanted from the peer; False: paused, or closing."""
        return self._turns.is_reading

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended, and the protocol was told."""
        return self.close_reason is not None

    # What the protocol does: ITransport, ITCPTransport

    def abortConnection(self) -> None:
        """See ITCPTransport. The protocol hears of it in the next turn."""
        if self.disconnected or self.is_aborted:
            return
        self.is_aborted = True
        self.stopReading()
        self.stopWriting()
        self._turns.callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    def getPeer(self) -> Address:
        """See ITransport."""
        return self._peer

    def getHost(self) -> Address:
        """See ITransport."""
        return self._host

    def getPeerCertificate(self) -> Any:
        """See ISSLTransport: there is none."""
        return None

    def getTcpNoDelay(self) -> bool:
        """See ITCPTransport."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See ITCPTransport."""

    def getTcpKeepAlive(self) -> bool:
        """See ITCPTransport."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See ITCPTransport."""

    # What FileDescriptor asks

    def writeSomeData(self, data: Any) -> int:
        """See FileDescriptor: take what there is room for."""
        sent = bytes(data[: self._room])
        self._room -= len(sent)
        if sent:
            self._taken.append(sent)
        return len(sent)

    def _closeWriteConnection(self) -> None:
        self.is_write_closed = True
        half_closeable = IHalfCloseableProtocol(self.protocol, None)
        if half_closeable is not None:
            half_closeable.writeConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        """See FileDescriptor, which calls this itself after a half-close."""
        if self.disconnected:
            return
        self._incoming = b""
        self.close_reason = reason
        super().connectionLost(reason)
        self.protocol.connectionLost(reason)

    # Ours

    def _write_on(self) -> None:
        reason: Any = self.doWrite()
        if reason is not None:
            self.connectionLost(Failure(reason))

    def _read(self) -> None:
        while self._incoming and self.is_reading:
            data = self._incoming[:_READ_SIZE]
            self._incoming = self._incoming[_READ_SIZE:]
            self.protocol.dataReceived(data)
        if self._eof_is_coming and not self._incoming and self.is_reading:
            # As sockets do: who reads on finds the end again.
            self.stopReading()
            half_closeable: Any = IHalfCloseableProtocol(self.protocol, None)
            if half_closeable is None:
                self.connectionLost(Failure(ConnectionDone()))
            else:
                half_closeable.readConnectionLost()
