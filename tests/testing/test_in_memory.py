"""The real client against an App in memory: every face of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import treq
from twisted.internet import reactor as installed_reactor  # noqa: TID251  # tests run on it
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from httpx_tw import App, Client, ConnectionPool, PoolConfig, Response, parallel
from httpx_tw.client.agent import Agent
from httpx_tw.client.blocking import BlockingClient
from httpx_tw.errors import ConfigurationError, ConnectFailed, ReadTimeout
from httpx_tw.limits import Limits
from httpx_tw.testing import AppDialer

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

reactor: Any = installed_reactor


def made() -> App:
    """Return an app of a few endpoints."""
    app = App()
    app.get("/", lambda request: {"host": request.host, "scheme": request.scheme})
    app.get("/there", lambda _: Response.redirect("/"))

    async def echo(request: Any) -> bytes:
        body: bytes = await request.read()
        return body

    app.post("/echo", echo)

    async def slow(request: Any) -> str:
        await deferLater(_clock[0], 5)
        return "at last"

    app.get("/slow", slow)
    app.get("/large", lambda _: Response.stream(b"x" * 10_000 for _ in range(300)))
    return app


_clock: list[Any] = [reactor]


class ClockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = _clock[0] = Clock()
        self.client = Client(
            dialer=AppDialer(made()), reactor=self.clock, base_url="http://testserver"
        )

    def tearDown(self) -> None:
        closing = self.client.close()
        self.clock.advance(0)
        self.successResultOf(closing)
        self.clock.advance(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def got(self, deferred: Deferred[Any]) -> Any:
        self.clock.advance(0)
        return self.successResultOf(deferred)

    def test_requests_reach_the_app(self) -> None:
        self.assertEqual(
            self.got(self.client.get("/")).json(),
            {"host": "testserver", "scheme": "http"},
        )
        self.assertEqual(self.got(self.client.get("/there")).status, 200)
        self.assertEqual(self.got(self.client.get("/nowhere")).status, 404)
        body = b"x" * 500_000
        self.assertEqual(self.got(self.client.post("/echo", content=body)).body, body)
        self.assertEqual(self.client.pool.stats().dialed, 1)

    def test_hosts_and_schemes_are_as_they_are_asked_for(self) -> None:
        found = self.got(self.client.get("https://other.example/")).json()
        self.assertEqual(found, {"host": "other.example", "scheme": "https"})

    def test_facts_of_the_connection_are_there(self) -> None:
        facts = self.got(self.client.get("/")).connection
        self.assertEqual(facts.peer, ("192.0.2.2", 80))
        self.assertIsNone(facts.tls)

    def test_time_is_the_clocks(self) -> None:
        deferred = self.client.get("/slow")
        self.clock.advance(0)
        self.assertNoResult(deferred)
        self.clock.advance(5)
        self.assertEqual(self.got(deferred).text(), "at last")
        deferred = self.client.get("/slow", timeout=2, retries=0)
        self.clock.pump([0.5] * 8)
        self.failureResultOf(deferred, ReadTimeout)

    def test_limits_of_the_server_hold(self) -> None:
        dialer = AppDialer(
            made(), limits=Limits(max_connections=1, max_header_bytes=300)
        )
        client = Client(dialer=dialer, reactor=self.clock, retries=0)
        found = self.got(client.get("http://a.example/", headers={"X": "y" * 400}))
        self.assertEqual(found.status, 431)
        self.clock.advance(0)
        self.got(client.get("http://a.example/"))
        deferred = client.get("http://b.example/")
        self.clock.advance(0)
        self.failureResultOf(deferred, ConnectFailed)
        closing = client.close()
        self.clock.advance(0)
        self.successResultOf(closing)

    def test_who_gives_a_pool_gives_its_dialer(self) -> None:
        pool = ConnectionPool(dialer=AppDialer(made()), reactor=self.clock)
        self.assertRaises(
            ConfigurationError, Client, pool=pool, dialer=AppDialer(made())
        )


class ReactorTests(TestCase):
    """The same on a real reactor."""

    def setUp(self) -> None:
        _clock[0] = reactor
        self.dialer = AppDialer(made())

    async def test_large_bodies_stream(self) -> None:
        async with Client(dialer=self.dialer, base_url="http://a.example") as client:
            total = 0
            async with client.stream("GET", "large") as response:
                async for piece in response:
                    total += len(piece)
            self.assertEqual(total, 3_000_000)

    async def test_many_at_once(self) -> None:
        async with Client(
            dialer=self.dialer, pool=PoolConfig(max_per_host=3)
        ) as client:
            found = await parallel.all(client, ["http://a.example/"] * 20)
            self.assertEqual([each.unwrap().status for each in found], [200] * 20)
            self.assertEqual(client.pool.stats().dialed, 3)

    async def test_an_agent_and_treq(self) -> None:
        pool = ConnectionPool(reactor=reactor, dialer=self.dialer)
        client: Any = treq.client.HTTPClient(Agent(reactor, pool=pool))
        found = await client.post("http://a.example/echo", data=b"hello")
        self.assertEqual(await found.content(), b"hello")
        await pool.close()


class BlockingTests(SynchronousTestCase):
    def test_threads_need_no_reactor(self) -> None:
        app = AppDialer(made())
        with BlockingClient(dialer=app, base_url="http://a.example") as client:
            self.assertEqual(client.get("/").json()["host"], "a.example")
            self.assertEqual(client.post("/echo", content=b"x").body, b"x")
