"""The server side of a plain connection, lean: what StreamPort makes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import address, tcp
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

if TYPE_CHECKING:
    import socket

__all__ = ["StreamServer"]


class StreamServer(tcp.Server):
    """The server side of an accepted connection, in less memory than the stock one.

    The strings for logs are made when somebody wants them: 0.25 KiB a connection.
    """

    logstr = ""

    def __init__(
        self,
        sock: socket.socket,
        protocol: Any,
        client: tuple[Any, ...],
        server: Any,
        sessionno: int,
        reactor: Any,
    ) -> None:
        tcp.Connection.__init__(self, sock, protocol, reactor)
        if len(client) != 2:
            self._addressType = address.IPv6Address
        self.server = server
        self.client = client
        self.sessionno = sessionno
        self.startReading()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self.connected = 1

    def doRead(self) -> Any:
        """Read once, and hand over what came: stock doRead with one call less."""
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

    @property
    def hostname(self) -> str:  # type: ignore[override]  # the stock class sets it
        """The peer's host."""
        return str(self.client[0])

    def logPrefix(self) -> str:
        """Return what stock servers keep ready as ``logstr``."""
        if not self.logstr:
            # Kept, for stock reactors ask at each event.
            prefix = self._getLogPrefix(self.protocol)
            self.logstr = f"{prefix},{self.sessionno},{self.hostname}"
        return self.logstr

    @property
    def repstr(self) -> str:  # type: ignore[override]  # the stock class sets it
        """What stock servers keep ready for ``repr``."""
        return (
            f"<{type(self.protocol).__name__} #{self.sessionno} from {self.hostname}>"
        )

    def startTLS(self, ctx: Any, normal: bool = True) -> None:  # noqa: N802  # ITLSTransport's
        """Speak TLS from now on, as a server unless not *normal*. See start_tls."""
        # Imported here, since what it becomes is derived from this class.
        from httpx_tw.transport.tls_upgrade import try_start_tls

        if not try_start_tls(self, ctx, is_client=not normal):
            super().startTLS(ctx, normal)  # type: ignore[no-untyped-call]  # Twisted's
