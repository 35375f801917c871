"""Dialling a server that speaks TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.protocols.tls import TLSMemoryBIOFactory

from httpx_tw.transport.tls_ending import CLOSE_TIMEOUT
from httpx_tw.transport.tls_port import connection_maker, is_direct
from httpx_tw.transport.tls_stream import HANDSHAKE_TIMEOUT, TLSStream

if TYPE_CHECKING:
    from twisted.internet.interfaces import IConnector
    from twisted.internet.protocol import ClientFactory

__all__ = ["TLSClient", "connect_tls"]


class TLSClient(TLSStream, tcp.Client):
    """The client side of a TLS connection, made by connect_tls or start_tls."""

    def _connectDone(self) -> None:  # noqa: N802  # Twisted calls it
        """Begin TLS, now that the TCP connection is there."""
        connector: Any = self.connector
        factory = connector.tls_factory
        maker = connection_maker(factory)
        assert maker is not None, "connect_tls asked is_direct()"
        self.handshake_timeout = connector.handshake_timeout
        self.close_timeout = connector.close_timeout
        try:
            self.attach(factory, maker, self.socket)
        except Exception as error:  # noqa: BLE001  # the creator's own, whatever it is
            self.failIfNotConnected(error)  # type: ignore[no-untyped-call]  # Twisted's
            return
        super()._connectDone()  # type: ignore[no-untyped-call]  # Twisted's
        if self.connected and not self.disconnecting:
            self.begin(speaks_first=True)


class _Connector(tcp.Connector):
    """A connector whose transport is a TLSClient."""

    tls_factory: TLSMemoryBIOFactory
    handshake_timeout: float
    close_timeout: float

    def _makeTransport(self) -> TLSClient:  # noqa: N802  # Twisted calls it
        return TLSClient(  # type: ignore[no-untyped-call]  # Twisted's
            self.host, self.port, self.bindAddress, self, self.reactor
        )


def connect_tls(  # noqa: PLR0913, PLR0917  # connectSSL has as many, and the deadlines
    reactor: Any,
    host: str,
    port: int,
    creator: Any,
    factory: ClientFactory[Any],
    timeout: float = 30,
    bindAddress: tuple[str, int] | None = None,  # noqa: N803  # connectTCP's name
    *,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
    close_timeout: float = CLOSE_TIMEOUT,
) -> IConnector:
    """Connect with TLS: IReactorSSL.connectSSL, by the direct transport.

    Where that cannot be had (see is_direct) it is Twisted's own, without deadlines.
    The protocol is connected when TCP is; what it writes waits for the handshake.

    :param creator: an IOpenSSLClientConnectionCreator (``optionsForClientTLS``).
    :param timeout: seconds for TCP's part.
    :param handshake_timeout: seconds; 0: no limit. Then the connection is aborted.
    :param close_timeout: seconds that a peer has to answer our goodbye; 0: none.

    Call it on the reactor thread.
    """
    tls_factory = TLSMemoryBIOFactory(creator, True, factory, clock=reactor)
    if not is_direct(tls_factory, reactor):
        stock: IConnector = reactor.connectTCP(
            host, port, tls_factory, timeout, bindAddress
        )
        return stock
    connector = _Connector(host, port, factory, timeout, bindAddress, reactor)
    connector.tls_factory = tls_factory
    connector.handshake_timeout = handshake_timeout
    connector.close_timeout = close_timeout
    connector.connect()
    return connector
