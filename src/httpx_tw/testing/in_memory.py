"""Connections of the real client that end in memory, at an App."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from httpx_tw.client.response import ConnectionFacts
from httpx_tw.errors import ConnectFailed
from httpx_tw.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Timeouts
from httpx_tw.server.factory import HTTPFactory
from httpx_tw.testing.link import Link

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol

    from httpx_tw.app.app import App
    from httpx_tw.client.connection import HTTP1Connection
    from httpx_tw.client.dialing import MakeConnection
    from httpx_tw.client.pool_facts import PoolKey

__all__ = ["AppDialer", "join"]


class AppDialer:
    """Connects a client to *app* in memory, whatever host it asks for.

    Give it to a Client, a BlockingClient or a ConnectionPool (and so to an Agent)::

        client = Client(dialer=AppDialer(app), base_url="http://testserver")
        response = await client.get("/users/7")

    The app is behind the whole server but the sockets: its codec, limits and deadlines,
    on the client's reactor or Clock. With ``https`` it is told that the connection is
    encrypted, and nothing is.

    One may serve several clients, on several reactors. It has nothing to be closed.
    """

    def __init__(
        self,
        app: App,
        *,
        limits: Limits = DEFAULT_LIMITS,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        self._app = app
        self._limits = limits
        self._timeouts = timeouts
        self._factories: list[tuple[Any, HTTPFactory]] = []

    async def dial(self, key: PoolKey, make: MakeConnection) -> HTTP1Connection:
        """See MakesConnections."""
        connection = make(None)
        factory = self._factory_on(connection.reactor)
        server = factory.buildProtocol(None)
        if server is None:
            raise ConnectFailed("the app's max_connections are open")
        join(key, connection, server)
        return connection

    def _factory_on(self, reactor: Any) -> HTTPFactory:
        for known, factory in self._factories:
            if known is reactor:
                return factory
        factory = HTTPFactory(
            self._app, reactor, limits=self._limits, timeouts=self._timeouts
        )
        self._factories.append((reactor, factory))
        return factory

    def forget_addresses(self) -> None:
        """See MakesConnections: there are none."""

    def close(self) -> None:
        """See MakesConnections: connections are the pool's to close."""


def join(key: PoolKey, connection: HTTP1Connection, server: IProtocol) -> Link:
    """Connect *connection*, which a dial for *key* has made, to *server*."""
    link = Link(connection.reactor, connection, server, is_secure=key.scheme == "https")
    peer, local = link.client.getPeer(), link.client.getHost()
    connection.facts = ConnectionFacts(
        peer=(peer.host, peer.port), local=(local.host, local.port), tls=None
    )
    return link
