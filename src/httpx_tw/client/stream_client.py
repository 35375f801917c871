"""The client's end of a TCP connection, read with a call less than the stock one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

if TYPE_CHECKING:
    from twisted.internet.interfaces import IConnector
    from twisted.internet.protocol import ClientFactory

__all__ = ["StreamClient", "connect_tcp"]


class StreamClient(tcp.Client):
    """As tcp.Client; writes go through as on any stock transport."""

    def _finishInit(  # noqa: N802  # Twisted calls it
        self,
        whenDone: Any,  # noqa: N803  # Twisted's name
        skt: Any,
        error: Any,
        reactor: Any,
    ) -> None:
        """Close the socket if it could not be bound: Twisted leaves it to chance."""
        super()._finishInit(whenDone, skt, error, reactor)  # type: ignore[no-untyped-call]  # Twisted's
        if whenDone is None and skt is not None:
            skt.close()

    def doRead(self) -> Any:
        """Read once, and hand over what came."""
        try:
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None


class _Connector(tcp.Connector):
    def _makeTransport(self) -> StreamClient:  # noqa: N802  # Twisted calls it
        return StreamClient(  # type: ignore[no-untyped-call]  # Twisted's
            self.host, self.port, self.bindAddress, self, self.reactor
        )


def connect_tcp(
    reactor: Any,
    address: str,
    port: int,
    factory: ClientFactory[Any],
    bind_address: tuple[str, int] | None,
) -> IConnector:
    """Connect to *address*, an IP address, without a timeout of its own."""
    if not IReactorFDSet.providedBy(reactor):  # IOCP
        stock: IConnector = reactor.connectTCP(
            address, port, factory, None, bind_address
        )
        return stock
    no_timeout: Any = None
    connector = _Connector(address, port, factory, no_timeout, bind_address, reactor)
    connector.connect()
    return connector
