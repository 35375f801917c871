"""Tests over a reactor on a ring, made for one test: streams, ports and their peers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.transport.listener import AcceptGate, ListeningReactor
from tests.reactors.ring_here import REFUSAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure


class Heard(Protocol):
    """Keeps what it is told, and does nothing."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.reason: Failure | None = None

    @property
    def heard(self) -> bytes:
        return b"".join(self.pieces)

    def dataReceived(self, data: bytes) -> None:
        assert data
        self.pieces.append(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.reason = reason


class UringCase(SynchronousTestCase):
    """Has ``reactor``; a kernel's refusal is said and skips."""

    if REFUSAL:
        skip = REFUSAL

    def setUp(self) -> None:
        from httpx_tw.reactors.io_uring import UringReactor
        from tests.reactors import made as reactors

        self.reactor: Any = reactors.made(self, UringReactor)
        self.protocols: list[Any] = []
        self.gate = AcceptGate(0, lambda: None)

    def spin(self, until: Callable[[], Any]) -> None:
        """Run the reactor until it is true."""
        for _ in range(3000):
            if until():
                return
            self.reactor.iterate(0.003)
        self.fail("it did not happen")

    def rest(self) -> None:
        """Run the reactor until nothing happens any more."""
        for _ in range(5):
            self.reactor.iterate(0.002)

    def listening(self, make: Callable[[], Any] = Heard) -> Any:
        """Return a port of ours; ``self.protocols`` has what it serves."""

        def build() -> Any:
            made = make()
            self.protocols.append(made)
            return made

        listening = ListeningReactor(self.reactor, self.gate, 1024)
        factory = Factory.forProtocol(build)
        port: Any = listening.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.end, port)
        return port

    def end(self, port: Any) -> None:
        """Stop listening, and close all that was accepted."""
        if port.connected:
            done: list[object] = []
            port.stopListening().addBoth(done.append)
            self.spin(lambda: done)
        for protocol in self.protocols:
            if protocol.transport is not None and protocol.transport.connected:
                protocol.transport.abortConnection()
        self.rest()

    def dial(self, port: Any) -> socket.socket:
        """Return a connected client, which blocks for nobody."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.connect(("127.0.0.1", port.getHost().port))
        client.setblocking(False)
        self.addCleanup(client.close)
        return client

    def connected(self, make: Callable[[], Any] = Heard) -> tuple[Any, socket.socket]:
        """Return the protocol of a connection, and the client."""
        client = self.dial(self.listening(make))
        self.spin(lambda: self.protocols and self.protocols[-1].transport)
        self.rest()
        return self.protocols[-1], client

    def read(self, client: socket.socket, size: int) -> bytes:
        """Return *size* bytes, or all until the end."""
        found = bytearray()

        def enough() -> bool:
            try:
                while len(found) < size:
                    piece = client.recv(1 << 20)
                    found.extend(piece)
                    if not piece:
                        return True
            except BlockingIOError:
                return False
            return True

        self.spin(enough)
        return bytes(found)
