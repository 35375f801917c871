"""A conversation with a proxy, over a transport that is somebody else's after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

from httpx_tw.errors import ProxyError

if TYPE_CHECKING:
    from httpx_tw.client.tunnels import Handshake

__all__ = ["negotiate", "take_over"]


def take_over(transport: Any, protocol: Any) -> None:
    """Give *transport* to *protocol*: it has had another before."""
    below = transport.protocol
    if isinstance(below, ProtocolWrapper):  # Twisted's own TLS: the transport is below
        below.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)


def negotiate(transport: Any, handshake: Handshake) -> Deferred[None]:
    """Have *handshake* with whoever is at the other end; fires when it is done.

    Cancelled or failed, the connection is aborted.

    :raises ProxyError: see Handshake.receive; also when the proxy hangs up, or says
        more than it should: a server does not speak first.
    """
    negotiation = _Negotiation(handshake)
    take_over(transport, negotiation)
    return negotiation.done


class _Negotiation(Protocol):
    def __init__(self, handshake: Handshake) -> None:
        self._handshake = handshake
        self._transport: Any = None
        self.done: Deferred[None] = Deferred(lambda _: self._abort())

    def connectionMade(self) -> None:
        """See Protocol."""
        self._transport = self.transport
        self._transport.write(self._handshake.start())

    def dataReceived(self, data: bytes) -> None:
        """See Protocol."""
        handshake = self._handshake
        try:
            answer = handshake.receive(data)
        except ProxyError:
            self._abort()
            self._over(Failure())
            return
        if handshake.is_done and handshake.leftover:
            self._abort()
            self._over(Failure(ProxyError("the proxy sent bytes behind its answer")))
            return
        if answer:
            self._transport.write(answer)
        if handshake.is_done:
            self._over(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See Protocol."""
        error = ProxyError(f"the proxy hung up: {reason.value}")
        error.__cause__ = reason.value
        self._over(Failure(error))

    def _abort(self) -> None:
        self._transport.abortConnection()

    def _over(self, result: Failure | None) -> None:
        if not self.done.called:
            self.done.callback(result)
