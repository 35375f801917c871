"""Making a connection: name, address, proxy and TLS, whatever its key asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from typing import Protocol as TypingProtocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, ISSLTransport
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import (
    ClientFactory,
    Factory,
    Protocol,
    connectionDone,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from httpx_tw.client.dns import AddressCache
from httpx_tw.client.happy_eyeballs import first_of, interleaved
from httpx_tw.client.negotiating import negotiate, take_over
from httpx_tw.client.response import ConnectionFacts, TLSFacts
from httpx_tw.client.socks import SocksHandshake
from httpx_tw.client.timing import DialTimes
from httpx_tw.client.tunnels import ConnectHandshake
from httpx_tw.errors import ConnectFailed, HTTPXError
from httpx_tw.transport.stream_client import StreamClient, dial_tcp
from httpx_tw.transport.tls_upgrade import start_tls
from httpx_tw.workers.disk import DiskThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress, IConnector
    from twisted.python.failure import Failure

    from httpx_tw.client.connection import HTTP1Connection
    from httpx_tw.client.pool_facts import PoolKey, Via
    from httpx_tw.client.proxies import Proxy
    from httpx_tw.client.tunnels import Handshake
    from httpx_tw.tls.contexts import ClientContexts

    HandshakeListener: TypeAlias = Callable[[Failure | None], None]
    """Called when a TLS handshake is over, with why it failed."""

    MakeConnection: TypeAlias = Callable[[HandshakeListener | None], HTTP1Connection]

__all__ = ["Dialer", "MakesConnections", "facts_of"]


class MakesConnections(TypingProtocol):
    """What a pool needs of a dialer; it may be another than Dialer."""

    async def dial(self, key: PoolKey, make: MakeConnection) -> HTTP1Connection:
        """See Dialer.dial."""

    def forget_addresses(self) -> None:
        """See Dialer.forget_addresses."""

    def close(self) -> None:
        """See Dialer.close."""


class Dialer:
    """Makes connections, with a cache of addresses and the contexts of TLS.

    Reactor thread only.
    """

    def __init__(self, reactor: Any, contexts: ClientContexts | None = None) -> None:
        self._reactor = reactor
        self._contexts = contexts
        # IOCP is not; nor is one in memory, though it says that it watches descriptors.
        self._is_direct = isinstance(reactor, PosixReactorBase)
        self._disk = DiskThreads(reactor)
        self.addresses = AddressCache(reactor)

    def forget_addresses(self) -> None:
        """Look names up again."""
        self.addresses.clear()

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
        times = DialTimes(self._reactor.seconds())
        transport = await self._connected(key, times)
        if key.tls is None:
            connection = make(None)
            take_over(transport, connection)
        else:
            connection = await self._secured(transport, key, make)
            times.secured = self._reactor.seconds()
        connection.facts = facts_of(connection.transport, self._disk, times)
        return connection

    # The stream

    async def _connected(self, key: PoolKey, times: DialTimes) -> Any:
        via = key.via
        if via is None or key.uds is not None:
            return await self._connected_first(key, times, key.host, key.port)
        proxy = via.proxy
        transport = await self._connected_first(key, times, proxy.host, proxy.port)
        try:
            if proxy.scheme == "https":
                await self._secured_to_proxy(transport, via)
            if via.is_tunnel:
                await negotiate(transport, await self._handshake(key, proxy))
                times.tunneled = self._reactor.seconds()
        except BaseException:
            transport.abortConnection()
            raise
        return transport

    async def _handshake(self, key: PoolKey, proxy: Proxy) -> Handshake:
        if not proxy.is_socks:
            return ConnectHandshake(
                key.host, key.port, authorization=proxy.authorization
            )
        host = key.host
        if not proxy.resolves_names:
            host = (await self.addresses.addresses_of(host))[0]
        credentials = (
            None if proxy.username is None else (proxy.username, proxy.password)
        )
        return SocksHandshake(host, key.port, credentials)

    async def _connected_first(
        self, key: PoolKey, times: DialTimes, host: str, port: int
    ) -> Any:
        if key.uds is not None:
            transport = await self._connected_to_path(key.uds)
        else:
            addresses = self.addresses.at_hand(host)
            if addresses is None:
                addresses = await self.addresses.addresses_of(host)
            times.resolved = self._reactor.seconds()
            transport = await self._connected_to(key, addresses, port)
        times.connected = self._reactor.seconds()
        return transport

    async def _connected_to(self, key: PoolKey, addresses: list[str], port: int) -> Any:
        bind = None if key.local_address is None else (key.local_address, 0)

        def attempt(address: str) -> Deferred[Any]:
            if self._is_direct:
                return dial_tcp(self._reactor, address, port, bind)
            factory = _LandingFactory()
            factory.connector = self._reactor.connectTCP(
                address, port, factory, None, bind
            )
            return factory.landed

        return await first_of(interleaved(addresses), attempt, self._reactor, port)

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
        self, transport: Any, key: PoolKey, make: MakeConnection
    ) -> HTTP1Connection:
        waiting = _HandshakeWait(transport)
        connection = make(waiting.over)
        await self._secure(
            transport, connection, (key.host, key.port, key.tls), waiting.done
        )
        return connection

    async def _secured_to_proxy(self, transport: Any, via: Via) -> None:
        waiting = _HandshakeWait(transport)
        protocol = _Securing(waiting.over)
        proxy = via.proxy
        await self._secure(
            transport, protocol, (proxy.host, proxy.port, via.tls), waiting.done
        )

    async def _secure(
        self,
        transport: Any,
        protocol: Any,
        server: tuple[str, int, Any],
        done: Deferred[None],
    ) -> None:
        """Put TLS with *server* between transport and *protocol*."""
        host, port, policy = server
        try:
            creator = self._creator_for(host, port, policy)
            if ISSLTransport.providedBy(transport):
                _wrap(transport, creator, protocol, self._reactor)
            else:
                take_over(transport, protocol)
                start_tls(transport, creator, is_client=True, handshake_timeout=0)
        except BaseException:
            transport.abortConnection()
            raise
        try:
            await done
        except HTTPXError:
            raise
        except Exception as error:
            raise ConnectFailed(f"TLS with {host}:{port} failed: {error}") from error

    def _creator_for(self, host: str, port: int, policy: Any) -> Any:
        if IPolicyForHTTPS.providedBy(policy):  # Twisted's own, of an Agent
            return policy.creatorForNetloc(host.encode("ascii"), port)
        return self._contexts_made().creator_for(host, port, policy)

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


class _HandshakeWait:
    """Who waits for a TLS handshake."""

    def __init__(self, transport: Any) -> None:
        self.done: Deferred[None] = Deferred(lambda _: transport.abortConnection())

    def over(self, failure: Failure | None) -> None:
        """Fire ``done``, unless it was cancelled."""
        if self.done.called:
            return
        if failure is None:
            self.done.callback(None)
        else:
            self.done.errback(failure)


@implementer(IHandshakeListener)
class _Securing(Protocol):
    """Keeps the place of what is said to a proxy until TLS with it is settled."""

    def __init__(self, over: Callable[[Failure | None], None]) -> None:
        self._over = over

    def handshakeCompleted(self) -> None:  # noqa: N802  # Twisted calls it
        """See IHandshakeListener."""
        self._over(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See Protocol."""
        self._over(reason)


def _wrap(transport: Any, creator: Any, protocol: Any, clock: Any) -> None:
    """Speak TLS inside the TLS that *transport* speaks already."""
    wrapped = TLSMemoryBIOFactory(creator, True, _This(protocol), clock=clock)
    take_over(transport, wrapped.buildProtocol(None))


class _This(Factory[Any]):
    """Makes a protocol that was made before."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: ARG002  # any
        """See IProtocolFactory."""
        return self._protocol


def facts_of(
    transport: Any, disk: DiskThreads, dialing: DialTimes | None = None
) -> ConnectionFacts:
    """Return what can be said of a connection just made."""
    tls = None
    if ISSLTransport.providedBy(transport):
        tls = _tls_facts_of(transport)
    if isinstance(transport, StreamClient) and len(transport.realAddress) == 2:
        # IPv4: the same without two objects of Twisted that check what they are given.
        peer, local = transport.realAddress, transport.socket.getsockname()
        return ConnectionFacts(
            peer=peer, local=local, tls=tls, dialing=dialing, disk=disk
        )
    return ConnectionFacts(
        peer=_address_of(transport.getPeer()),
        local=_pair_of(transport.getHost()),
        tls=tls,
        dialing=dialing,
        disk=disk,
    )


def _tls_facts_of(transport: Any) -> TLSFacts:
    # Imported late: OpenSSL is a third of what importing a client costs.
    from httpx_tw.tls.openssl_sessions import was_resumed

    handle = transport.getHandle()
    # Asked of OpenSSL: a transport after Twisted's startTLS has no negotiatedProtocol.
    alpn = handle.get_alpn_proto_negotiated()
    shown = getattr(handle, "shown_certificate", transport.getPeerCertificate)
    return TLSFacts(
        version=handle.get_protocol_version_name(),
        cipher=handle.get_cipher_name() or "",
        alpn=alpn.decode("ascii") if alpn else None,
        is_resumed=was_resumed(handle),
        shown=shown(),
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
