"""Making a connection: name, address, proxy and TLS, whatever its key asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.web.iweb import IPolicyForHTTPS

from httpx_tw.client.dns import AddressCache
from httpx_tw.client.happy_eyeballs import first_of, interleaved
from httpx_tw.client.response import ConnectionFacts, TLSFacts
from httpx_tw.client.stream_client import connect_tcp
from httpx_tw.errors import ConnectFailed, HTTPXError
from httpx_tw.transport.tls_upgrade import start_tls

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress, IConnector
    from twisted.python.failure import Failure

    from httpx_tw.client.connection import HTTP1Connection
    from httpx_tw.client.pool_facts import PoolKey
    from httpx_tw.tls.contexts import ClientContexts

    HandshakeListener: TypeAlias = Callable[[Failure | None], None]
    """Called when a TLS handshake is over, with why it failed."""

    MakeConnection: TypeAlias = Callable[[HandshakeListener | None], HTTP1Connection]

__all__ = ["Dialer", "facts_of"]


class Dialer:
    """Makes connections, with a cache of addresses and the contexts of TLS.

    Reactor thread only.
    """

    def __init__(self, reactor: Any, contexts: ClientContexts | None = None) -> None:
        self._reactor = reactor
        self._contexts = contexts
        self.addresses = AddressCache(reactor)

    def close(self) -> None:
        """Have TLS sessions written to their file, if they have one."""
        if self._contexts is not None:
            self._contexts.close()

    async def dial(
        self,
        key: PoolKey,
        make: MakeConnection,
    ) -> HTTP1Connection:
        """Return a connection for *key*, ready for a request.

        Cancelling it leaves nothing behind.

        :raises ConnectFailed: when there is none to be had.
        :raises HandshakeFailed: when TLS cannot be settled on, or the server cannot be
            trusted.
        """
        transport = await self._connected(key)
        if key.tls is None:
            connection = make(None)
            _take_over(transport, connection)
        else:
            connection = await self._secured(transport, key, make)
        connection.facts = facts_of(transport)
        return connection

    # The stream

    async def _connected(self, key: PoolKey) -> Any:
        if key.uds is not None:
            return await self._connected_to_path(key.uds)
        addresses = await self.addresses.addresses_of(key.host)

        def attempt(address: str) -> Deferred[Any]:
            return self._attempt(address, key)

        return await first_of(interleaved(addresses), attempt, self._reactor)

    def _attempt(self, address: str, key: PoolKey) -> Deferred[Any]:
        bind = None if key.local_address is None else (key.local_address, 0)
        factory = _LandingFactory()
        if key.tls is None:
            connector = connect_tcp(self._reactor, address, key.port, factory, bind)
        else:
            # Exactly the stock transport: only that is known to take TLS over.
            connector = self._reactor.connectTCP(address, key.port, factory, None, bind)
        factory.connector = connector
        return factory.landed

    async def _connected_to_path(self, path: str) -> Any:
        factory = _LandingFactory()
        factory.connector = self._reactor.connectUNIX(path, factory, None)
        try:
            return await factory.landed
        except Exception as error:
            raise ConnectFailed(
                f"no connection could be made to {path}: {error}"
            ) from error

    # TLS

    async def _secured(
        self,
        transport: Any,
        key: PoolKey,
        make: MakeConnection,
    ) -> HTTP1Connection:
        done: Deferred[None] = Deferred(lambda _: transport.abortConnection())

        def handshake(failure: Failure | None) -> None:
            if done.called:
                return
            if failure is None:
                done.callback(None)
            else:
                done.errback(failure)

        connection = make(handshake)
        try:
            creator = self._creator_for(key)
            _take_over(transport, connection)
            start_tls(transport, creator, is_client=True, handshake_timeout=0)
        except BaseException:
            transport.abortConnection()
            raise
        try:
            await done
        except HTTPXError:
            raise
        except Exception as error:
            raise ConnectFailed(
                f"TLS with {key.host}:{key.port} failed: {error}"
            ) from error
        return connection

    def _creator_for(self, key: PoolKey) -> Any:
        policy: Any = key.tls
        if IPolicyForHTTPS.providedBy(policy):  # Twisted's own, of an Agent
            return policy.creatorForNetloc(key.host.encode("ascii"), key.port)
        return self._contexts_made().creator_for(key.host, key.port, policy)

    def _contexts_made(self) -> ClientContexts:
        if self._contexts is None:
            # Twenty modules and 30 ms that a client of plain HTTP does not need.
            from httpx_tw.tls.contexts import ClientContexts

            self._contexts = ClientContexts()
        return self._contexts


class _LandingFactory(ClientFactory[Protocol]):
    """Gives the transport of a connection when it is made."""

    noisy = False

    def __init__(self) -> None:
        self.connector: IConnector | None = None
        self.landed: Deferred[Any] = Deferred(self._cancelled)

    def buildProtocol(self, addr: IAddress | None) -> Protocol:  # noqa: ARG002  # any
        """See IProtocolFactory."""
        return _Landing(self)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:  # noqa: N802  # Twisted calls it
        """See ClientFactory."""
        del connector
        if not self.landed.called:
            self.landed.errback(reason)

    def _cancelled(self, _: Deferred[Any]) -> None:
        if self.connector is not None:
            self.connector.disconnect()


class _Landing(Protocol):
    """Keeps the place of the protocol until somebody has the transport."""

    def __init__(self, factory: _LandingFactory) -> None:
        self._factory = factory

    def connectionMade(self) -> None:
        """See Protocol."""
        self._factory.landed.callback(self.transport)


def _take_over(transport: Any, protocol: Any) -> None:
    transport.protocol = protocol
    protocol.makeConnection(transport)


def facts_of(transport: Any) -> ConnectionFacts:
    """Return what can be said of a connection just made."""
    tls = None
    if ISSLTransport.providedBy(transport):
        tls = _tls_facts_of(transport)
    return ConnectionFacts(
        peer=_address_of(transport.getPeer()),
        local=_pair_of(transport.getHost()),
        tls=tls,
    )


def _tls_facts_of(transport: Any) -> TLSFacts:
    handle = transport.getHandle()
    alpn = getattr(transport, "negotiatedProtocol", None)
    return TLSFacts(
        version=handle.get_protocol_version_name(),
        cipher=handle.get_cipher_name() or "",
        alpn=alpn.decode("ascii") if alpn else None,
        is_resumed=getattr(handle, "is_resumed", None),
        certificate=transport.getPeerCertificate(),
    )


def _pair_of(address: Any) -> tuple[str, int] | None:
    host = getattr(address, "host", None)
    return None if host is None else (host, address.port)


def _address_of(address: Any) -> tuple[str, int] | str | None:
    pair = _pair_of(address)
    if pair is not None:
        return pair
    name = getattr(address, "name", None)
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
