"""Cancels, resets, timeouts and closes over real sockets, at every place one can wait.

test_storms.py has ten thousand of them in memory, where the dial is one step. Here the
dial is whole: names, addresses, proxies of both kinds, TLS with and without one.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater

from httpx_tw import Client, PoolConfig, Response, Timeout
from httpx_tw.errors import HTTPXError
from httpx_tw.tls.certificates import ServerTLS
from tests.client.live import ClientLiveTestCase, SocksProxy, TunnelProxy
from tests.server.live import reactor
from tests.tls.issuing import authority

if TYPE_CHECKING:
    from twisted.python.failure import Failure

REQUESTS = 400
AT_ONCE = 12


class Weather(Protocol):
    """A hop between two ends: it hands bytes on, holds them, cuts them, or hangs up."""

    chance: random.Random
    target: int
    open: set[Weather]

    def __init__(self) -> None:
        self.onwards: Any = None
        self.left = self.chance.choice([0, 1, 40, 300, 900, 3000, 10**9, 10**9])
        """Bytes until it does something."""
        self.mood = self.chance.choice(["abort", "close", "stall"])

    def connectionMade(self) -> None:
        """See IProtocol."""
        self.open.add(self)
        from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

        self.held: list[bytes] = []
        connecting = connectProtocol(
            TCP4ClientEndpoint(reactor, "127.0.0.1", self.target), _Back(self)
        )
        connecting.addCallback(self._connected).addErrback(lambda _: self.end())

    def _connected(self, back: _Back) -> None:
        self.onwards = back.transport
        if self not in self.open:
            self.onwards.abortConnection()
            return
        for data in self.held:
            self.onwards.write(data)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self.passes(data):
            if self.onwards is None:
                self.held.append(data)
            else:
                self.onwards.write(data)

    def passes(self, data: bytes) -> bool:
        """Whether *data* goes on; it may be the last."""
        self.left -= len(data)
        if self.left >= 0:
            return True
        if self.mood != "stall":
            self.end()
        return False

    def end(self) -> None:
        """Hang up on both."""
        both: tuple[Any, Any] = (self.transport, self.onwards)
        for transport in both:
            if transport is not None:
                if self.mood == "abort":
                    transport.abortConnection()
                else:
                    transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.open.discard(self)
        if self.onwards is not None:
            self.onwards.abortConnection()


class _Back(Protocol):
    def __init__(self, weather: Weather) -> None:
        self.weather: Any = weather

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self.weather.passes(data):
            self.weather.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.weather.transport.loseConnection()


class StormTests(ClientLiveTestCase):
    timeout = 120

    async def weather_before(self, port: int) -> int:
        """Return the port of a hop to *port*."""

        class Here(Weather):
            chance = self.chance
            target = port
            open = self.hops

        return await self.listen(Here)

    async def test_everything_comes_back(self) -> None:  # noqa: PLR0915  # a landscape
        self.chance = random.Random(20260101)
        self.hops: set[Weather] = set()

        async def echo(request: Any) -> bytes:
            return bytes(await request.read())

        self.app.post("/echo", echo)
        self.app.get("/there", lambda _: Response.redirect("/"))
        self.app.get("/busy", lambda _: Response.text("busy", status=503))
        self.app.get("/large", lambda _: b"x" * 200_000)
        ca = authority().write_certificate(Path("ca.pem").absolute())
        pem = authority().issue("localhost").write(Path("server.pem").absolute())
        plain = int((await self.serve(self.app)).rpartition(":")[2])
        url = await self.serve(self.app, tls=ServerTLS(certfile=pem))
        secure = int(url.rpartition(":")[2])

        class Http(TunnelProxy):
            log: list[bytes] = []

        class Socks(SocksProxy):
            log: list[bytes] = []

        http = await self.weather_before(await self.listen(Http))
        socks = await self.weather_before(await self.listen(Socks))
        bases = (
            f"http://localhost:{await self.weather_before(plain)}",
            f"https://localhost:{await self.weather_before(secure)}",
        )
        proxied = (f"http://localhost:{plain}", f"https://localhost:{secure}")
        options: dict[str, Any] = {
            "pool": PoolConfig(max_connections=8, max_per_host=4),
            "retries": 1,
            "verify": ca,
        }
        roads = [
            (Client(**options), bases),
            # Tunnels only: what TunnelProxy does itself takes no bodies.
            (Client(**options, proxy=f"http://127.0.0.1:{http}"), proxied[1:]),
            (Client(**options, proxy=f"socks5h://127.0.0.1:{socks}"), proxied),
        ]
        self.outcomes: dict[str, int] = {}
        await gatherResults(
            [
                Deferred.fromCoroutine(self.ask(roads, REQUESTS // AT_ONCE))
                for _ in range(AT_ONCE)
            ],
            consumeErrors=True,
        )
        if not IReactorFDSet.providedBy(reactor):
            # On IOCP Twisted forgets that a dial was given up, if it has succeeded.
            self.flushLoggedErrors(AttributeError)
        for client, _ in roads:
            while client.pool.stats().dialing:  # for nobody: until it is there, or late
                await deferLater(reactor, 0.01)
            figures = client.pool.stats()
            self.assertEqual(
                (figures.active, figures.waiting, figures.dialing), (0, 0, 0), figures
            )
            await client.close()
            self.assertEqual(client.pool.stats().total, 0)
        for hop in list(self.hops):
            hop.end()
        while self.hops:
            await deferLater(reactor, 0.01)
        # Some of each kind, or it was no storm.
        for kind in ("well", "CancelledError", "ConnectionLost", "ReadTimeout"):
            self.assertGreater(self.outcomes.get(kind, 0), 0, self.outcomes)
        failed_dials = {"ConnectFailed", "HandshakeFailed", "ProxyError"}
        self.assertTrue(failed_dials & set(self.outcomes), self.outcomes)
        self.assertGreater(self.outcomes.get("ConnectTimeout", 0), 0, self.outcomes)

    async def ask(self, roads: list[Any], count: int) -> None:
        """Make *count* requests, one after the other; give up some at any moment."""
        chance = self.chance
        for _ in range(count):
            client, bases = chance.choice(roads)
            asked = Deferred.fromCoroutine(self.one(client, chance.choice(bases)))
            if chance.random() < 0.3:
                moment = chance.choice([0, 0.001, 0.003, 0.01, 0.05])
                giving_up = reactor.callLater(moment, asked.cancel)
            else:
                giving_up = None
            try:
                await asked
            except (HTTPXError, CancelledError) as error:
                name = type(error).__name__
            else:
                name = "well"
            self.outcomes[name] = self.outcomes.get(name, 0) + 1
            if giving_up is not None and giving_up.active():
                giving_up.cancel()

    async def one(self, client: Client, base: str) -> None:
        """Make a request of any kind, and read its response, or some of it."""
        chance = self.chance
        timeout = Timeout(
            connect=0.15, read=chance.choice([0.1, 0.3]), write=0.2, pool=0.3, total=1
        )
        kind = chance.randrange(6)
        if kind == 0:
            await client.post(f"{base}/echo", content=b"x" * 50_000, timeout=timeout)
        elif kind == 1:
            body = (b"y" * 1000 for _ in range(50))
            await client.post(f"{base}/echo", content=body, timeout=timeout)
        elif kind == 2:
            await client.get(f"{base}/there", timeout=timeout)
        elif kind == 3:
            await client.get(f"{base}/busy", timeout=timeout)
        elif kind == 4:
            async with client.stream("GET", f"{base}/large", timeout=timeout) as found:
                async for _ in found:
                    if chance.random() < 0.2:
                        break
        else:
            await client.get(f"{base}/", timeout=timeout)
