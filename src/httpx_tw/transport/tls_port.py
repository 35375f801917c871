"""Listening ports whose connections speak TLS themselves.

What is to be spoken is told as to Twisted: by an object that makes OpenSSL connections
(``CertificateOptions``, any IOpenSSLServerConnectionCreator), or by what endpoints wrap
around a factory to say "with TLS", a TLSMemoryBIOFactory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.internet.interfaces import IReactorFDSet
from twisted.protocols.tls import (
    BufferingTLSTransport,
    TLSMemoryBIOFactory,
    TLSMemoryBIOProtocol,
)

from httpx_tw.transport.openssl import can_attach
from httpx_tw.transport.stream_server import StreamServer
from httpx_tw.transport.tls_ending import CLOSE_TIMEOUT
from httpx_tw.transport.tls_stream import HANDSHAKE_TIMEOUT, TLSStream

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from OpenSSL.SSL import Connection
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory

__all__ = [
    "TLSListening",
    "TLSPort",
    "TLSServer",
    "connection_maker",
    "is_direct",
    "listen_tls",
]


def connection_maker(
    factory: TLSMemoryBIOFactory,
) -> Callable[[Any], Connection] | None:
    """Return what makes the OpenSSL connections of *factory*; None: not to be had.

    It takes the object that OpenSSL's callbacks will find as the connection's app data.
    """
    # Its name since Twisted 26.10, and the one it had before; both are private, but
    # all the ways to say what TLS should be end there, the old and the odd included.
    maker: Callable[[Any], Connection] | None = getattr(
        factory, "_creatorCallable", getattr(factory, "_createConnection", None)
    )
    return maker


def is_direct(factory: IProtocolFactory, reactor: Any) -> bool:
    """Whether *factory* means TLS, and this machine can do it on the socket itself.

    It needs a reactor with readable descriptors (IReactorFDSet), and a pyOpenSSL and a
    Twisted that have what they have today. A subclass is left alone: it wants to see
    what TLSMemoryBIOFactory sees.
    """
    return (
        type(factory) is TLSMemoryBIOFactory
        and factory.protocol in {BufferingTLSTransport, TLSMemoryBIOProtocol}
        and IReactorFDSet.providedBy(reactor)
        and can_attach()
        and connection_maker(factory) is not None
    )


class TLSServer(TLSStream, StreamServer):
    """The server side of a TLS connection that a TLSListening port has accepted."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: Any,
        client: tuple[Any, ...],
        server: Any,
        sessionno: int,
        reactor: Any,
    ) -> None:
        try:
            # Before the reactor knows of the socket: this may raise.
            server.prepare_tls(self, sock)
        except BaseException:
            sock.close()
            raise
        super().__init__(sock, protocol, client, server, sessionno, reactor)
        self.begin(speaks_first=False)


class TLSListening:
    """What a tcp.Port needs besides, for connections that are TLSServer.

    Its factory is the application's; *tls_factory* says how TLS is done, and must be
    set before it listens.
    """

    transport = TLSServer
    _type = "TLS"  # for the log, as listenSSL does it
    tls_factory: TLSMemoryBIOFactory
    handshake_timeout = HANDSHAKE_TIMEOUT
    """See TLSStream."""
    close_timeout = CLOSE_TIMEOUT
    """See TLSStream."""

    def prepare_tls(self, transport: TLSStream, sock: socket.socket) -> None:
        """Give *transport*, which is being made, its side of TLS on *sock*."""
        if self.handshake_timeout != HANDSHAKE_TIMEOUT:
            transport.handshake_timeout = self.handshake_timeout
        if self.close_timeout != CLOSE_TIMEOUT:
            transport.close_timeout = self.close_timeout
        maker = connection_maker(self.tls_factory)
        assert maker is not None, "is_direct() said that there is one"
        transport.attach(self.tls_factory, maker, sock)

    def _getLogPrefix(self, applicationObject: object) -> str:  # noqa: N802, N803  # Twisted's
        prefix = super()._getLogPrefix(applicationObject)  # type: ignore[misc]  # that of the port we are mixed into
        return f"{prefix} (TLS)"


class TLSPort(TLSListening, tcp.Port):
    """A TCP port as Twisted's, whose connections speak TLS. See listen_tls."""


def listen_tls(  # noqa: PLR0913  # listenSSL has as many, and the deadlines
    reactor: Any,
    port: int,
    factory: IProtocolFactory,
    creator: Any,
    backlog: int = 50,
    interface: str = "",
    *,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
    close_timeout: float = CLOSE_TIMEOUT,
) -> IListeningPort:
    """Listen for TLS connections: IReactorSSL.listenSSL, by the direct transport.

    Where that cannot be had (see is_direct) it is Twisted's own, without deadlines.

    :param creator: an IOpenSSLServerConnectionCreator, or CertificateOptions.
    :param port: 0: any free port.
    :param interface: the address to bind; "": all of IPv4.
    :param handshake_timeout: seconds; 0: no limit. Then the connection is aborted.
    :param close_timeout: seconds that a peer has to answer our goodbye; 0: none.

    Call it on the reactor thread.

    :raises CannotListenError: when the address cannot be bound.
    """
    tls_factory = TLSMemoryBIOFactory(creator, False, factory, clock=reactor)
    if not is_direct(tls_factory, reactor):
        listening: IListeningPort = reactor.listenTCP(
            port, tls_factory, backlog, interface
        )
        return listening
    listens = TLSPort(port, factory, backlog, interface, reactor)
    listens.tls_factory = tls_factory
    listens.handshake_timeout = handshake_timeout
    listens.close_timeout = close_timeout
    listens.startListening()
    return listens
