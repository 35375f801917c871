"""Accepting: in batches, up to a limit, and what happens out of descriptors."""

# ruff: noqa: N802  # Twisted calls these

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from typing import Any
from unittest import mock

from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import ConfigurationError
from httpx_tw.transport import listener, openssl
from httpx_tw.transport.listener import (
    ACCEPT_BATCH,
    AcceptGate,
    ListeningReactor,
    StreamPort,
    TLSStreamPort,
)
from httpx_tw.transport.stream_server import StreamServer
from tests.server.live import LiveTestCase, reactor
from tests.transport.tls_pair import Serves


class FakePort:
    """A listening port that can pause."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def startReading(self) -> None:
        self.told.append("start")

    def stopReading(self) -> None:
        self.told.append("stop")


class Gates(SynchronousTestCase):
    """When ports may accept."""

    def make(self, limit: int) -> tuple[AcceptGate, Any]:
        self.shed = 0
        gate = AcceptGate(limit, self.note)
        self.addCleanup(gate.remove_ports)
        port: Any = FakePort()
        gate.add_port(port)
        return gate, port

    def note(self) -> None:
        self.shed += 1

    def test_the_limit_closes_it_and_an_end_opens_it(self) -> None:
        gate, port = self.make(2)
        gate.connection_opened()
        self.assertTrue(gate.is_open)
        gate.connection_opened()
        self.assertEqual((gate.is_open, port.told), (False, ["stop"]))
        gate.retry()
        gate.connection_opened()
        gate.connection_closed()
        self.assertFalse(gate.is_open)
        gate.connection_closed()
        self.assertEqual((gate.is_open, port.told), (True, ["stop", "start"]))

    def test_zero_is_no_limit(self) -> None:
        gate, port = self.make(0)
        for _ in range(5000):
            gate.connection_opened()
        self.assertEqual((gate.is_open, port.told), (True, []))

    def test_a_port_that_comes_late_is_paused_too(self) -> None:
        gate, _ = self.make(1)
        gate.connection_opened()
        late: Any = FakePort()
        gate.add_port(late)
        self.assertEqual(late.told, ["stop"])

    def test_running_out_of_descriptors_closes_it_until_there_is_one(self) -> None:
        gate, port = self.make(0)
        gate.exhausted()
        self.assertEqual((gate.is_open, self.shed), (False, 1))
        gate.exhausted()
        self.assertEqual((gate.times_exhausted, self.shed), (2, 2))

        def fail(*_: object) -> int:
            raise OSError(errno.EMFILE, "none left")

        self.patch(os, "open", fail)
        gate.retry()
        self.assertFalse(gate.is_open)
        self.flushLoggedErrors()
        self.patch(os, "open", lambda *_: os.dup(0))
        gate.retry()
        self.assertEqual((gate.is_open, port.told), (True, ["stop", "start"]))

    def test_without_ports_it_keeps_no_descriptor(self) -> None:
        gate, _ = self.make(0)
        gate.exhausted()
        gate.remove_ports()
        gate.retry()
        self.assertTrue(gate.is_open)
        self.assertEqual(gate._reserve, -1)

    def test_ports_that_cannot_pause_refuse(self) -> None:
        gate = AcceptGate(1, self.note)
        self.addCleanup(gate.remove_ports)
        self.assertFalse(gate.refuses)
        stubborn: Any = object()
        gate.add_port(stubborn)
        gate.connection_opened()
        self.assertTrue(gate.refuses)
        gate.add_port(stubborn)
        gate.connection_closed()
        self.assertFalse(gate.refuses)


class Listening:
    """A listening socket that gives what it is told."""

    def __init__(self, results: list[Any]) -> None:
        self.results = results
        self.calls = 0

    def accept(self) -> Any:
        self.calls += 1
        result = self.results.pop(0) if self.results else BlockingIOError()
        if isinstance(result, Exception):
            raise result
        return result


class FakeSocket:
    """A connected socket that notes its end."""

    def __init__(self) -> None:
        self.is_closed = False

    def setblocking(self, _: object) -> None:
        pass

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self.is_closed = True


class Accepting(SynchronousTestCase):
    """One event of a port."""

    def setUp(self) -> None:
        self.made: list[Any] = []
        self.gate = AcceptGate(0, lambda: None)
        self.addCleanup(self.gate.remove_ports)
        self.aborted: list[Any] = []

        class FakeTransport:
            def __init__(transport: Any, *arguments: Any) -> None:  # noqa: N805  # two selves
                transport.arguments = arguments

            def abortConnection(transport: Any) -> None:  # noqa: N805
                self.aborted.append(transport)

        factory: Any = self
        port: Any = StreamPort(0, factory, reactor=object())
        self.port = port
        self.port.gate = self.gate
        self.port.addressFamily = socket.AF_INET
        self.port._addressType = IPv4Address
        self.port.transport = FakeTransport
        self.refuse = False
        self.problem: Exception | None = None
        self.fail_later: Exception | None = None

    def buildProtocol(self, address: Any) -> Any:
        if self.problem is not None:
            raise self.problem
        if self.refuse:
            return None
        self.made.append(address)
        return self

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        if self.fail_later is not None:
            raise self.fail_later

    def accept(self, *results: Any) -> Listening:
        self.port.socket = Listening(list(results))
        self.port.doRead()
        return self.port.socket  # type: ignore[no-any-return]  # Any above

    def test_all_that_wait_are_taken_up_to_a_batch(self) -> None:
        peers = [(FakeSocket(), ("192.0.2.1", n)) for n in range(100)]
        listening = self.accept(*peers)
        self.assertEqual(listening.calls, ACCEPT_BATCH)
        self.port.doRead()
        self.assertEqual(len(self.made), 100)
        self.assertEqual(self.made[99], IPv4Address("TCP", "192.0.2.1", 99))

    def test_a_closed_gate_ends_the_batch(self) -> None:
        self.gate._limit = 1
        self.gate.connections = 1
        self.gate.is_open = False
        self.accept(*[(FakeSocket(), ("192.0.2.1", n)) for n in range(3)])
        self.assertEqual(len(self.made), 1)

    def test_running_out_of_descriptors_is_told_once_and_not_tried_again(self) -> None:
        for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            listening = self.accept(OSError(number, ""), OSError(number, ""))
            self.assertEqual(listening.calls, 1)
        self.assertEqual(self.gate.times_exhausted, 4)

    def test_an_error_of_one_connection_is_not_the_ports(self) -> None:
        peer = (FakeSocket(), ("192.0.2.1", 1))
        faults = (errno.ECONNABORTED, errno.EPERM, errno.ECONNRESET, errno.ENOTCONN)
        self.accept(*[OSError(fault, "") for fault in faults], peer)
        self.assertEqual(len(self.made), 1)

    def test_another_error_is_the_reactors_to_report(self) -> None:
        with self.assertRaises(OSError):
            self.accept(OSError(errno.EBADF, ""))

    def test_who_is_refused_is_closed(self) -> None:
        self.refuse = True
        connected = FakeSocket()
        self.accept((connected, ("192.0.2.1", 1)))
        self.assertTrue(connected.is_closed)

    def test_a_factory_that_fails_closes_the_one_and_serves_the_next(self) -> None:
        self.problem = RuntimeError("on purpose")
        connected = FakeSocket()
        self.accept((connected, ("192.0.2.1", 1)))
        self.assertTrue(connected.is_closed)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.problem = None
        self.accept((FakeSocket(), ("192.0.2.1", 1)))
        self.assertEqual(len(self.made), 1)

    def test_a_protocol_that_fails_is_aborted_through_the_reactor(self) -> None:
        self.fail_later = RuntimeError("on purpose")
        connected = FakeSocket()
        self.accept((connected, ("192.0.2.1", 1)))
        self.assertFalse(connected.is_closed)
        self.assertEqual(len(self.aborted), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_an_address_with_a_scope_has_its_name(self) -> None:
        self.port._addressType = IPv6Address
        self.port.addressFamily = socket.AF_INET6
        number, name = socket.if_nameindex()[0]
        self.accept((FakeSocket(), ("fe80::1", 5, 0, number)))
        self.assertEqual(self.made[0].host, f"fe80::1%{name}")
        self.accept((FakeSocket(), ("::1", 5, 0, 0)))
        self.assertEqual(self.made[1].host, "::1")


class Transports(SynchronousTestCase):
    """The transport that needs less memory."""

    def make(self, client: tuple[Any, ...]) -> Any:
        class Reactor:
            def addReader(self, _: object) -> None:
                pass

        connected: Any = FakeSocket()
        return StreamServer(connected, Protocol(), client, None, 7, Reactor())

    def test_it_says_what_a_stock_one_says(self) -> None:
        server = self.make(("192.0.2.1", 5))
        self.assertEqual(server.hostname, "192.0.2.1")
        self.assertEqual(server.logPrefix(), "Protocol,7,192.0.2.1")
        self.assertEqual(repr(server), "<Protocol #7 from 192.0.2.1>")
        self.assertEqual(server.getPeer(), IPv4Address("TCP", "192.0.2.1", 5))

    def test_its_peer_may_have_an_ipv6_address(self) -> None:
        server = self.make(("::1", 5, 0, 0))
        self.assertEqual(server.getPeer(), IPv6Address("TCP", "::1", 5))

    def test_reading_gives_what_stock_reading_gives(self) -> None:
        class Received(Protocol):
            data = b""

            def dataReceived(self, data: bytes) -> None:
                self.data += data

        server = self.make(("192.0.2.1", 5))
        server.protocol = Received()
        ours, peer = socket.socketpair()
        self.addCleanup(ours.close)
        ours.setblocking(False)  # a socket's own name
        server.socket = ours
        self.assertIsNone(server.doRead())
        peer.send(b"abc")
        self.assertIsNone(server.doRead())
        self.assertEqual(server.protocol.data, b"abc")
        peer.close()
        self.assertEqual(server.doRead().__class__.__name__, "ConnectionDone")
        server.socket = socket.socket()
        self.addCleanup(server.socket.close)
        self.assertEqual(server.doRead().__class__.__name__, "ConnectionLost")


class Noting:
    """A reactor that has no readable descriptors, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def listenTCP(self, *arguments: Any) -> str:
        self.asked.append(arguments)
        return "port"

    def adoptStreamPort(self, *arguments: Any) -> str:
        self.asked.append(arguments)
        return "adopted"


class Reactors(LiveTestCase):
    """A reactor whose ports are ours."""

    def setUp(self) -> None:
        super().setUp()
        self.gate = AcceptGate(0, lambda: None)
        self.listening = ListeningReactor(reactor, self.gate, 77)
        self.factory = Factory.forProtocol(Protocol)

    async def test_its_tcp_ports_are_ours_with_our_backlog(self) -> None:
        for backlog, expected in ((50, 77), (5, 5)):
            port: Any = self.listening.listenTCP(0, self.factory, backlog, "127.0.0.1")
            self.assertIsInstance(port, StreamPort)
            self.assertIs(port.gate, self.gate)
            self.assertEqual(port.backlog, expected)
            await port.stopListening()

    async def test_adopted_ports_are_ours_too_but_not_unix_ones(self) -> None:
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        port: Any = self.listening.adoptStreamPort(
            bound.fileno(), socket.AF_INET, self.factory
        )
        bound.close()
        self.assertIsInstance(port, StreamPort)
        await port.stopListening()
        noting = Noting()
        other = ListeningReactor(noting, self.gate, 77)
        unix = getattr(socket, "AF_UNIX", socket.AF_UNSPEC)  # Windows has none
        adopted: Any = other.adoptStreamPort(3, unix, self.factory)
        self.assertEqual(adopted, "adopted")

    async def test_what_endpoints_wrap_in_tls_is_done_directly(self) -> None:
        wrapped = TLSMemoryBIOFactory(Serves(), False, self.factory, clock=reactor)
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        for port in (
            self.listening.listenTCP(0, wrapped, 50, "127.0.0.1"),
            self.listening.listenSSL(0, self.factory, Serves(), 50, "127.0.0.1"),
            self.listening.adoptStreamPort(bound.fileno(), socket.AF_INET, wrapped),
        ):
            made: Any = port
            self.assertIs(type(made), TLSStreamPort)
            self.assertIs(made.gate, self.gate)
            self.assertIs(made.factory, self.factory)
            self.assertEqual(made.close_timeout, 0)
            await made.stopListening()
        bound.close()

    async def test_or_by_twisted_where_it_cannot_be(self) -> None:
        self.patch(openssl, "_CAN_ATTACH", False)
        port: Any = self.listening.listenSSL(0, self.factory, Serves())
        self.assertIsInstance(port, StreamPort)
        self.assertNotIsInstance(port, TLSStreamPort)
        self.assertIs(type(port.factory), TLSMemoryBIOFactory)
        await port.stopListening()

    def test_a_reactor_without_descriptors_makes_its_own(self) -> None:
        noting = Noting()
        other = ListeningReactor(noting, self.gate, 77)
        port: Any = other.listenTCP(0, self.factory)
        self.assertEqual(port, "port")
        self.assertEqual(noting.asked, [(0, self.factory, 77, "")])

    def test_the_rest_is_the_reactors(self) -> None:
        self.assertEqual(self.listening.seconds, reactor.seconds)

    async def test_what_is_accepted_does_not_delay_small_writes(self) -> None:
        accepted: list[Any] = []

        class Made(Protocol):
            def connectionMade(self) -> None:
                accepted.append(self.transport)

        port: Any = self.listening.listenTCP(0, Factory.forProtocol(Made))
        client = await self.connect(f"tcp:127.0.0.1:{port.getHost().port}")
        while not accepted:
            await _turn()
        self.assertIsInstance(accepted[0], tcp.Server)
        self.assertTrue(accepted[0].getTcpNoDelay())
        accepted[0].loseConnection()
        await client.closed()
        await port.stopListening()


async def _turn() -> None:
    await deferLater(reactor, 0.001)


EXHAUST = """
import resource, time
from twisted.internet.defer import Deferred
from twisted.internet import reactor, task
from httpx_tw import Server, Limits
from httpx_tw.transport.listener import StreamPort

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
accepts = 0
real = StreamPort.doRead
def counted(self):
    global accepts
    accepts += 1
    return real(self)
StreamPort.doRead = counted

server = Server(port=0, limits=Limits(max_connections=0))
server.get("/", lambda request: "hello")

async def main():
    global accepts
    port = await server.start(reactor)
    print(port, flush=True)
    while not server.statistics().times_out_of_descriptors:
        await task.deferLater(reactor, 0.01)
    accepts, cpu = 0, time.process_time()
    await task.deferLater(reactor, 1.5)
    figures = server.statistics()
    spent = time.process_time() - cpu
    print("spun", accepts, spent, figures.connections_open, flush=True)
    while server.statistics().requests < 100:
        await task.deferLater(reactor, 0.01)
    print("recovered", flush=True)
    await server.stop()
    reactor.stop()

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.callLater(20, reactor.stop)
reactor.run()
"""


class Endpoints(SynchronousTestCase):
    """Endpoints that somebody has made on the reactor beneath."""

    def test_twisteds_own_for_tls_is_as_if_made_on_ours(self) -> None:
        beneath: Any = object()
        listening = ListeningReactor(beneath, AcceptGate(0, lambda: None), 77)
        given = SSL4ServerEndpoint(beneath, 443, Serves(), backlog=9)
        taken: Any = listening.taken_over(given)
        self.assertEqual(vars(taken), {**vars(given), "_reactor": listening})
        self.assertIs(given._reactor, beneath)

    def test_any_other_is_left_as_it_is(self) -> None:
        class Theirs(SSL4ServerEndpoint):
            pass

        beneath: Any = object()
        listening = ListeningReactor(beneath, AcceptGate(0, lambda: None), 77)
        for other in (
            Theirs(beneath, 443, Serves()),
            SSL4ServerEndpoint(object(), 443, Serves()),
            TCP4ServerEndpoint(beneath, 443),
        ):
            self.assertIs(listening.taken_over(other), other)


class Exhaustion(SynchronousTestCase):
    """A server in a process of its own, with 64 descriptors and 100 clients."""

    def test_running_out_does_not_spin_and_is_recovered_from(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", EXHAUST],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        clients = [
            socket.create_connection(("127.0.0.1", port), timeout=10)
            for _ in range(100)
        ]
        word, accepts, cpu, connections = process.stdout.readline().split()
        self.assertEqual(word, "spun")
        # Once a tick, and when one ends; not once an event.
        self.assertLess(int(accepts), 20)
        self.assertLess(float(cpu), 0.5)
        self.assertGreater(int(connections), 30)
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answered = 0
        for client in clients:
            with client:
                answered += client.makefile("rb").read().endswith(b"hello")
        self.assertEqual(answered, 100)
        self.assertEqual(process.stdout.readline(), "recovered\n")


class EndpointKinds(SynchronousTestCase):
    """What a platform or a reactor cannot serve is refused by name."""

    def test_unix_sockets_where_there_are_none(self) -> None:
        listener.check_endpoint_kind(object(), "tcp:8080")
        with (
            mock.patch.object(listener, "socket", mock.Mock(spec=[])),
            self.assertRaises(ConfigurationError) as caught,
        ):
            listener.check_endpoint_kind(object(), "unix:/run/a.sock")
        assert "no Unix sockets on" in str(caught.exception)

    def test_inherited_sockets_on_a_reactor_that_takes_none(self) -> None:
        for description in ("fd:3", "systemd:domain=INET:index=0"):
            listener.check_endpoint_kind(mock.Mock(), description)
            with self.assertRaises(ConfigurationError) as caught:
                listener.check_endpoint_kind(object(), description)
            assert "object cannot take over a socket" in str(caught.exception)
