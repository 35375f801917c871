"""Servers in memory: a dialer that gives connections to whoever the test plays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.client import Client
from httpx_tw.client.dialing import facts_of
from httpx_tw.client.pool import ConnectionPool
from httpx_tw.client.pool_facts import PoolConfig
from httpx_tw.testing.memory import MemoryTransport
from httpx_tw.workers.disk import DiskThreads

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from httpx_tw.client.connection import HTTP1Connection
    from httpx_tw.client.dialing import MakeConnection
    from httpx_tw.client.pool_facts import PoolKey
    from httpx_tw.client.response import ClientResponse

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
URL = "http://a.example/"


def response(status: int = 200, body: bytes = b"", *fields: str) -> bytes:
    """Return a response as it is on the wire."""
    lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Peer:
    """The server's end of one connection."""

    def __init__(
        self, key: PoolKey, connection: HTTP1Connection, **options: Any
    ) -> None:
        self.key = key
        self.connection = connection
        self.transport = MemoryTransport(connection, **options)

    def take(self) -> bytes:
        """Read what the client has sent."""
        return self.transport.take()

    def head(self) -> tuple[str, dict[str, str]]:
        """Read a request; return its first line and its fields."""
        head = self.take().partition(b"\r\n\r\n")[0].decode("latin-1")
        line, *fields = head.split("\r\n")
        return line, {
            name.lower(): value
            for name, _, value in (f.partition(": ") for f in fields)
        }

    def send(self, data: bytes) -> None:
        """Send *data*."""
        self.transport.deliver(data)

    def answer(self, data: bytes = OK) -> bytes:
        """Read what was sent, and answer it; return what was read."""
        request = self.take()
        self.send(data)
        return request

    @property
    def is_closed(self) -> bool:
        """The client has closed it, or aborted it."""
        self.transport.turn()
        self.transport.take()
        return self.transport.is_closed


class FakeDialer:
    """Makes connections to the test, at once or when it says so."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.waiting: list[Deferred[None]] = []
        self.is_slow = False
        self.error: Exception | None = None
        self.dialed: list[PoolKey] = []
        self.is_secure = False
        self.is_closed = False
        self.addresses_forgotten = 0

    async def dial(self, key: PoolKey, make: MakeConnection) -> HTTP1Connection:
        """See Dialer."""
        self.dialed.append(key)
        if self.is_slow:
            waiting: Deferred[None] = Deferred()
            self.waiting.append(waiting)
            await waiting
        if self.error is not None:
            raise self.error
        connection = make(None)
        peer = Peer(key, connection, is_secure=self.is_secure)
        self.peers.append(peer)
        connection.facts = facts_of(_Plain(peer.transport), DiskThreads())
        return connection

    def land(self, index: int = 0) -> None:
        """Let a slow dial succeed."""
        self.waiting.pop(index).callback(None)

    def fail(self, error: Exception, index: int = 0) -> None:
        """Let a slow dial fail."""
        self.waiting.pop(index).errback(Failure(error))

    def forget_addresses(self) -> None:
        """See Dialer."""
        self.addresses_forgotten += 1

    def close(self) -> None:
        """See Dialer."""
        self.is_closed = True


class _Plain:
    """A transport without its TLS, for there is none to ask."""

    def __init__(self, transport: MemoryTransport) -> None:
        self.getPeer = transport.getPeer
        self.getHost = transport.getHost


class ClientTestCase(SynchronousTestCase):
    """A Client over memory with a Clock; nothing may be left at the end."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.dialer = FakeDialer()
        self.pools: list[ConnectionPool] = []
        self.client = self.made()

    def pool(self, **config: int) -> ConnectionPool:
        """Return another pool over the same dialer."""
        pool = ConnectionPool(
            PoolConfig(**config), reactor=self.clock, dialer=self.dialer
        )
        self.pools.append(pool)
        return pool

    def made(self, pool: ConnectionPool | None = None, **options: Any) -> Client:
        """Return a client with *pool* for its own, and by default without retries."""
        options.setdefault("retries", 0)
        client = Client(pool=pool or self.pool(), **options)
        client._owns_pool = True  # as if it had made it
        return client

    @property
    def peer(self) -> Peer:
        """The server's end of the last connection."""
        return self.dialer.peers[-1]

    def get(self, url: str = URL, **options: Any) -> Deferred[ClientResponse]:
        """Begin a GET."""
        return self.client.get(url, **options)

    def result(self, awaitable: Awaitable[Any]) -> Any:
        """Return what is there by now."""
        if isinstance(awaitable, Deferred):
            return self.successResultOf(awaitable)
        return self.successResultOf(Deferred.fromCoroutine(_awaited(awaitable)))

    def error(self, deferred: Deferred[Any], kind: type[Exception]) -> Any:
        """Return why *deferred* failed, which must be *kind*."""
        failure = self.failureResultOf(deferred, kind)
        return failure.value

    def advance(self, seconds: float, step: float = 0.25) -> None:
        """Let *seconds* pass."""
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            seconds -= step
            self.turn()

    def turn(self) -> None:
        """Let the reactor go round, without time passing."""
        self.clock.advance(0)
        for peer in self.dialer.peers:
            if not peer.transport.is_closed:
                peer.transport.turn()

    def tearDown(self) -> None:
        closings = [pool.close() for pool in self.pools]
        for peer in self.dialer.peers:
            if not peer.transport.is_closed:
                peer.transport.take()
                peer.transport.lose()
        for closing in closings:
            self.successResultOf(closing)
        for pool in self.pools:
            figures = pool.stats()
            self.assertEqual((figures.total, figures.waiting), (0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def fired(value: Any) -> Deferred[Any]:
    """Return a Deferred that has fired."""
    return succeed(value)
