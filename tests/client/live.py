"""Real sockets for a client: servers of bytes, and proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import reactor as installed_reactor  # noqa: TID251  # tests run on it
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper

from httpx_tw.client.client import Client
from tests.server.live import LiveTestCase

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

reactor: Any = installed_reactor


class ClientLiveTestCase(LiveTestCase):
    """A client and servers on real sockets; nothing may be left open."""

    def made(self, **options: Any) -> Client:
        """Return a client that is closed behind the test."""
        options.setdefault("retries", 0)
        client = Client(**options)
        self.addCleanup(client.close)
        return client

    async def listen(self, protocol: Callable[[], Protocol]) -> int:
        """Serve a protocol on a free port, and return it."""
        factory = Factory.forProtocol(protocol)
        factory.noisy = False
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)


class Talker(Protocol):
    """A server that answers each request head with the next of its answers."""

    answers: tuple[bytes, ...] = (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",)

    def __init__(self) -> None:
        self.heard = b""
        self.count = 0

    @property
    def tcp(self) -> Any:
        """The transport."""
        return self.transport

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.heard += data
        while b"\r\n\r\n" in self.heard:
            head, _, self.heard = self.heard.partition(b"\r\n\r\n")
            self.asked(head)

    def asked(self, head: bytes) -> None:
        """Answer a request."""
        self.tcp.write(self.answers[self.count % len(self.answers)])
        self.count += 1


class Pipe(Protocol):
    """One end of two connections that are one."""

    def __init__(self, other: Protocol) -> None:
        self.other: Any = other

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.other.transport.loseConnection()


class TunnelProxy(Talker):
    """An HTTP proxy: CONNECT, and requests in absolute-form. It notes what it heard."""

    log: list[bytes]

    def asked(self, head: bytes) -> None:
        """See Talker."""
        self.log.append(head)
        target = head.split(b" ")[1].decode()
        if head.startswith(b"CONNECT"):
            self.tunnel_to(target, b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            body = b"for " + target.encode()
            self.tcp.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )

    def tunnel_to(self, target: str, answer: bytes) -> None:
        """Connect to *target*, say *answer*, and hand bytes on from then on."""
        onwards = Pipe(self)
        host, _, port = target.rpartition(":")
        connecting = connectProtocol(
            clientFromString(reactor, f"tcp:{host}:{port}"), onwards
        )

        def connected(_: object) -> None:
            back: Any = Pipe(onwards)
            back.transport = self.transport
            if isinstance(self.tcp, ProtocolWrapper):  # Twisted's TLS
                self.tcp.wrappedProtocol = back
            else:
                self.tcp.protocol = back
            onwards.other = self
            self.tcp.write(answer)

        connecting.addCallback(connected)
        connecting.addErrback(lambda _: self.tcp.loseConnection())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""


class SocksProxy(TunnelProxy):
    """A SOCKS5 proxy without authentication, for names and IPv4 addresses."""

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.heard += data
        if self.count == 0 and len(self.heard) >= 3:
            self.count = 1
            self.heard = b""
            self.tcp.write(b"\x05\x00")
        elif self.count == 1 and len(self.heard) >= 10:
            self.count = 2
            kind = self.heard[3]
            if kind == 3:
                size = self.heard[4]
                host = self.heard[5 : 5 + size].decode()
            else:
                host = ".".join(map(str, self.heard[4:8]))
            port = int.from_bytes(self.heard[-2:], "big")
            self.log.append(f"{host}:{port}".encode())
            if host == "server.invalid":  # as only this proxy knows it
                host = "127.0.0.1"
            self.tunnel_to(
                f"{host}:{port}", b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00"
            )
