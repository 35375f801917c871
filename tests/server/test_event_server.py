"""The event-driven preset: its options, its states, and what storms do to it."""

from __future__ import annotations

import inspect
import socket
import struct
from itertools import pairwise
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw import EventServer, Limits, Request, Response, Server, Timeouts
from httpx_tw.app.app import App
from httpx_tw.transport.listener import ACCEPT_BATCH, StreamPort
from tests.server.live import LiveTestCase, RawClient, reactor

HEAD = "GET / HTTP/1.1\nHost: a\n\n"


class OptionTests(SynchronousTestCase):
    def test_it_starts_from_what_many_connections_need(self) -> None:
        server = EventServer()
        assert server.limits == Limits(max_connections=10_000, backlog=1024)
        assert server.timeouts == Timeouts(keep_alive=30.0)
        assert server._tcp_keepalive

    def test_its_options_go_before_limits_and_timeouts(self) -> None:
        server = EventServer(
            max_connections=5,
            backlog=7,
            idle_timeout_ms=1500,
            tcp_keepalive=False,
            limits=Limits(max_connections=1, backlog=1, max_body=9),
            timeouts=Timeouts(keep_alive=1, head=3),
        )
        assert server.limits == Limits(max_connections=5, backlog=7, max_body=9)
        assert server.timeouts == Timeouts(keep_alive=1.5, head=3)
        assert not server._tcp_keepalive

    def test_nought_is_no_limit(self) -> None:
        server = EventServer(max_connections=0, idle_timeout_ms=0)
        assert server.limits.max_connections == 0
        assert server.timeouts.keep_alive == 0

    def test_it_takes_all_that_a_server_takes(self) -> None:
        ours = inspect.signature(EventServer).parameters
        assert inspect.signature(Server).parameters.keys() <= ours.keys()
        app = App()
        server = EventServer(app, host="::1", port=9, server_name="x")
        assert (server.app, server.host, server.port) == (app, "::1", 9)
        assert server._server_name == "x"

    def test_making_one_opens_nothing(self) -> None:
        with mock.patch("socket.socket", side_effect=AssertionError):
            assert not EventServer().is_running

    def test_it_has_the_routes_and_verbs_of_a_server(self) -> None:
        assert issubclass(EventServer, Server)
        names = "get post put delete patch head options route group use"
        assert all(callable(getattr(EventServer(), name)) for name in names.split())


class LiveTests(LiveTestCase):
    """Over real sockets, on whatever reactor runs."""

    async def start(self, **options: Any) -> EventServer:
        options.setdefault("timeouts", Timeouts(drain=1.0, handler=5.0))
        self.server = server = EventServer(self.app, port=0, **options)
        self.addCleanup(server.stop)
        self.port = await server.start(reactor)
        return server

    async def client(self) -> RawClient:
        return await self.connect(f"tcp:127.0.0.1:{self.port}")

    def queue(self, count: int) -> list[socket.socket]:
        """Connect without letting the reactor turn: the kernel holds them."""
        made = [
            socket.create_connection(("127.0.0.1", self.port)) for _ in range(count)
        ]
        for each in made:
            self.addCleanup(each.close)
        return made

    async def until(self, **figures: Any) -> None:
        """Wait until the statistics have these figures."""
        for _ in range(1000):
            found = self.server.statistics().as_dict()
            if figures.items() <= found.items():
                return
            await deferLater(reactor, 0.002)
        raise AssertionError(f"expected {figures}, got {found}")

    async def test_routes_and_middleware_are_those_of_a_server(self) -> None:
        server = await self.start()

        @server.post("/users/{id:int}")
        async def user(request: Request) -> dict[str, Any]:
            body = await request.read()
            return {"id": request.path_params["id"], "got": body.decode()}

        async def polite(request: Request, call_next: Any) -> Response:
            response: Response = await call_next(request)
            response.headers.set("X-Polite", "please")
            return response

        server.use(polite)
        client = await self.client()
        client.send("POST /users/7 HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi")
        (answer,) = await client.answers(1)
        assert (answer.status, answer.body) == (200, b'{"id":7,"got":"hi"}')
        assert b"X-Polite: please" in client.raw

    async def test_a_connection_goes_through_its_states(self) -> None:
        working: Deferred[str] = Deferred()
        self.app.get("/work", lambda _: working)
        self.app.get("/large", lambda _: bytes(8 << 20))
        await self.start()
        client = await self.client()
        await self.until(connections_open=1, reading_request=1, processing=0)
        client.send("GET /work HTTP/1.1\nHo")
        await self.until(connections_open=1, reading_request=1, processing=0)
        client.send("st: a\n\n")
        await self.until(reading_request=0, processing=1, writing_response=0)
        client.tcp.pauseProducing()
        working.callback("done")
        await self.until(reading_request=1, processing=0, requests=1)
        client.keeps = False
        client.send("GET /large HTTP/1.1\nHost: a\n\n")
        await self.until(reading_request=0, processing=0, writing_response=1)
        client.tcp.resumeProducing()
        await self.until(reading_request=1, writing_response=0, requests=2)
        client.tcp.loseConnection()
        await self.until(
            connections_open=0, connections_closed=1, reading_request=0, closing=0
        )

    async def test_what_queues_up_is_accepted_in_batches(self) -> None:
        await self.start()
        self.queue(200)
        with mock.patch.object(
            StreamPort, "doRead", autospec=True, side_effect=StreamPort.doRead
        ) as accepting:
            await self.until(connections_accepted=200)
        assert accepting.call_count <= 200 // ACCEPT_BATCH + 2

    async def test_timers_go_on_while_connections_storm_in(self) -> None:
        server = await self.start()
        accepted = [0]

        def tick() -> None:
            accepted.append(server.statistics().connections_accepted)
            if accepted[-1] < 500:
                reactor.callLater(0, tick)

        self.queue(500)
        reactor.callLater(0, tick)
        await self.until(connections_accepted=500)
        await deferLater(reactor, 0)
        # A timer that is due waits for one batch at most.
        assert max(after - before for before, after in pairwise(accepted)) <= (
            ACCEPT_BATCH
        )

    async def test_others_are_served_while_connections_storm_in(self) -> None:
        await self.start()
        client = await self.client()
        await self.until(connections_accepted=1)
        self.queue(500)
        client.send(HEAD)
        await client.answers(1)
        assert self.server.statistics().connections_accepted < 500

    async def test_at_its_limit_it_leaves_who_comes_in_the_kernel(self) -> None:
        await self.start(max_connections=5)
        queued = self.queue(8)
        await self.until(connections_open=5, accepting=False)
        for each in queued:
            each.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await self.until(connections_accepted=8, connections_closed=8, accepting=True)
        for each in queued:
            each.settimeout(5)
            assert each.recv(65536).endswith(b"hello")

    async def test_who_is_gone_before_it_is_accepted_harms_nobody(self) -> None:
        await self.start()
        for each in self.queue(20):
            linger = struct.pack("ii", 1, 0)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            each.close()
        client = await self.client()
        client.send(HEAD)
        (answer,) = await client.answers(1)
        assert answer.body == b"hello"
        await self.until(connections_open=1)

    async def test_who_is_idle_for_too_long_is_closed(self) -> None:
        await self.start(idle_timeout_ms=100)
        client = await self.client()
        client.send(HEAD)
        await client.answers(1)
        await client.closed()
        await self.until(connections_open=0)

    async def test_the_kernel_is_told_of_backlog_and_keepalive(self) -> None:
        for tcp_keepalive in (True, False):
            server = await self.start(backlog=77, tcp_keepalive=tcp_keepalive)
            (port,) = server._ports
            assert port.backlog == 77  # type: ignore[attr-defined]
            await self.client()
            await self.until(connections_open=1)
            assert server._factory is not None
            (connection,) = server._factory._connections
            assert connection.transport.getTcpKeepAlive() == tcp_keepalive
            connection.abort()
            await server.stop()
