"""The server as a program meets it: endpoints, start, stop and listen."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw import App, Limits, Request, Server, Timeouts
from httpx_tw.errors import ConfigurationError
from httpx_tw.server.server import tcp_endpoint
from httpx_tw.transport.listener import StreamPort
from tests.server.live import LiveTestCase, reactor

HEAD = "GET / HTTP/1.1\nHost: a\n\n"


class Endpoints(SynchronousTestCase):
    """How an address becomes an endpoint string."""

    def test_hosts_of_both_families(self) -> None:
        self.assertEqual(tcp_endpoint("", 80), "tcp:80")
        self.assertEqual(tcp_endpoint("127.0.0.1", 0), "tcp:0:interface=127.0.0.1")
        self.assertEqual(tcp_endpoint("::1", 80), r"tcp6:80:interface=\:\:1")

    def test_a_port_must_be_one(self) -> None:
        for port in (-1, 65536):
            with self.assertRaises(ConfigurationError):
                tcp_endpoint("", port)


class Servers(LiveTestCase):
    """On the reactor that runs the tests."""

    def make(self, **options: Any) -> Server:
        server = Server(self.app, **{"port": 0, **options})
        self.addCleanup(server.stop)
        return server

    async def test_it_starts_answers_and_stops(self) -> None:
        server = self.make()
        self.assertFalse(server.is_running)
        port = await server.start(reactor)
        self.assertTrue(server.is_running)
        self.assertEqual([address.port for address in server.addresses], [port])
        client = await self.connect(f"tcp:127.0.0.1:{port}")
        client.send(HEAD)
        (answer,) = await client.answers(1)
        self.assertEqual(answer.headers["server"], "httpx-tw")
        figures = server.statistics()
        self.assertEqual((figures.requests, figures.connections_open), (1, 1))
        await server.stop()
        await client.closed()
        self.assertFalse(server.is_running)
        self.assertEqual(server.statistics().connections_open, 0)
        await server.stop()

    def test_one_that_was_never_started_has_no_figures(self) -> None:
        with self.assertRaises(ConfigurationError):
            self.make().statistics()

    async def test_it_can_be_started_again_but_not_twice(self) -> None:
        server = self.make()
        for _ in range(2):
            await server.start(reactor)
            with self.assertRaises(ConfigurationError):
                server.start(reactor)
            await server.stop()

    async def test_all_who_stop_it_hear_when_it_is_over(self) -> None:
        begun: Deferred[None] = Deferred()
        answer: Deferred[str] = Deferred()

        def wait(_: Request) -> Deferred[str]:
            begun.callback(None)
            return answer

        self.app.get("/wait", wait)
        server = self.make()
        port = await server.start(reactor)
        client = await self.connect(f"tcp:127.0.0.1:{port}")
        client.send(HEAD.replace("/ ", "/wait "))
        await begun
        first, second, cancelled = (server.stop() for _ in range(3))
        cancelled.addErrback(lambda _: None)
        cancelled.cancel()
        self.assertNoResult(second)
        answer.callback("finished")
        await first
        await second
        await client.closed()

    async def test_a_port_that_cannot_be_stopped_does_not_hold_it_up(self) -> None:
        server = self.make()
        await server.start(reactor)
        port: Any = server._ports[0]
        real = port.stopListening

        def fail() -> None:
            real()
            raise RuntimeError("on purpose")

        port.stopListening = fail
        await server.stop()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_it_serves_on_several_endpoints(self) -> None:
        server = self.make()
        endpoints: list[Any] = [
            "tcp:0:interface=127.0.0.1",
            TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"),
        ]
        await server.start(reactor, endpoints)
        for address in server.addresses:
            client = await self.connect(f"tcp:127.0.0.1:{address.port}")
            client.send(HEAD)
            (answer,) = await client.answers(1)
            self.assertEqual(answer.body, b"hello")
        self.assertIsInstance(server._ports[0], StreamPort)

    async def test_a_unix_socket_has_no_port(self) -> None:
        server = self.make()
        number = await server.start(reactor, [f"unix:{self.mktemp()}"])
        self.assertEqual(number, 0)

    async def test_a_taken_address_leaves_nothing_listening(self) -> None:
        first, second = self.make(), self.make()
        port = await first.start(reactor)
        endpoints = ["tcp:0:interface=127.0.0.1", tcp_endpoint("127.0.0.1", port)]
        await self.assertFailure(
            second.start(reactor, endpoints),
            CannotListenError,
        )
        self.assertFalse(second.is_running)
        self.assertEqual(second.addresses, [])

    def test_an_endpoint_that_makes_no_sense_is_refused(self) -> None:
        for endpoint in ("nonsense:1", "tcp:notaport", "tcp"):
            server = self.make()
            with self.assertRaises(ConfigurationError):
                server.start(reactor, [endpoint])
            self.assertFalse(server.is_running)

    async def test_its_verbs_are_the_apps(self) -> None:
        server = Server(port=0)
        self.addCleanup(server.stop)

        @server.get("/own")
        def own(_: Request) -> str:
            return "own"

        self.assertIsInstance(server.app, App)
        port = await server.start(reactor)
        client = await self.connect(f"tcp:127.0.0.1:{port}")
        client.send(HEAD.replace("/ ", "/own "))
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, b"own")

    async def test_connections_over_the_limit_wait_their_turn(self) -> None:
        server = self.make(limits=Limits(max_connections=2))
        port = await server.start(reactor)
        clients = [await self.connect(f"tcp:127.0.0.1:{port}") for _ in range(5)]
        for client in clients:
            client.send(HEAD.replace("\n\n", "\nConnection: close\n\n"))
        for client in clients:
            (answer,) = await client.answers(1)
            self.assertEqual(answer.body, b"hello")
            await client.closed()

    async def test_stopping_without_patience_aborts(self) -> None:
        begun: Deferred[None] = Deferred()

        def never(_: Request) -> Deferred[None]:
            begun.callback(None)
            return Deferred()

        self.app.get("/never", never)
        server = self.make(timeouts=Timeouts(drain=0))
        port = await server.start(reactor)
        client = await self.connect(f"tcp:127.0.0.1:{port}")
        client.send(HEAD.replace("/ ", "/never "))
        await begun
        await server.stop()
        await client.closed()
        self.assertEqual(client.raw, b"")


PROGRAM = """
import sys
from twisted.internet import reactor, defer, task
from httpx_tw import Server

server = Server(port=0)

@server.get("/slow")
async def slow(request):
    print("asked", flush=True)
    await task.deferLater(reactor, 0.5)
    return "slow"

reactor.callWhenRunning(lambda: print(server.addresses[0].port, flush=True))
server.listen(*eval(sys.argv[1]))
print("ended", flush=True)
"""


class Programs(SynchronousTestCase):
    """``listen``, in a process of its own."""

    def run_program(self, arguments: str = "()") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_a_signal_ends_it_when_the_request_in_flight_is_answered(self) -> None:
        process = self.run_program("(0, '127.0.0.1')")
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(process.stdout.readline(), "asked\n")
            process.send_signal(signal.SIGTERM)
            data = b""
            while piece := client.recv(65536):
                data += piece
        self.assertTrue(data.endswith(b"slow"), data)
        self.assertIn(b"connection: close", data)
        process.wait(10)

    def test_an_address_that_cannot_be_bound_is_an_error_at_once(self) -> None:
        process = self.run_program("(0, '192.0.2.1')")
        _, errors = process.communicate(timeout=20)
        self.assertIn("CannotListenError", errors)
        self.assertEqual(process.returncode, 1)
