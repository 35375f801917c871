"""The client's end of a TCP connection, dialled without a connector."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,  # noqa: A004  # Twisted's own
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.transport.stream_client import StreamClient, dial_tcp
from tests.server.live import LiveTestCase, reactor
from tests.transport.test_tls_port import Echo


class Kept(Protocol):
    """Keeps what comes, and why it was over."""

    def __init__(self) -> None:
        self.heard: Deferred[bytes] = Deferred()
        self.over: Deferred[Any] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard.callback(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.over.callback(reason.value)


def take(transport: StreamClient) -> Kept:
    protocol = Kept()
    transport.protocol = protocol
    protocol.makeConnection(transport)
    return protocol


class LiveDials(LiveTestCase):
    """Over real sockets."""

    async def listen(self, interface: str = "127.0.0.1") -> int:
        port = reactor.listenTCP(0, Factory.forProtocol(Echo), interface=interface)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def test_it_talks_and_closes_in_order(self) -> None:
        port = await self.listen()
        transport = await dial_tcp(reactor, "127.0.0.1", port)
        protocol = take(transport)
        transport.write(b"hello")
        self.assertEqual(await protocol.heard, b"hello")
        peer = transport.getPeer()
        self.assertEqual((peer.host, peer.port), ("127.0.0.1", port))
        self.assertEqual(transport.logPrefix(), "Kept,client")
        transport.loseConnection()
        self.assertIsInstance(await protocol.over, ConnectionDone)

    async def test_abort_is_told_as_one(self) -> None:
        transport = await dial_tcp(reactor, "127.0.0.1", await self.listen())
        protocol = take(transport)
        transport.abortConnection()
        self.assertIsInstance(await protocol.over, ConnectionAborted)

    async def test_ip_version_6_is_spoken(self) -> None:
        port = await self.listen("::1")
        transport = await dial_tcp(reactor, "::1", port)
        protocol = take(transport)
        self.assertEqual(transport.getPeer().host, "::1")
        self.assertEqual(transport.getHost().host, "::1")
        transport.abortConnection()
        await protocol.over

    async def test_nobody_listening_is_a_refusal(self) -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            with self.assertRaises(ConnectionRefusedError):
                await dial_tcp(reactor, "127.0.0.1", bound.getsockname()[1])

    async def test_it_leaves_from_where_it_is_told_to(self) -> None:
        port = await self.listen()
        transport = await dial_tcp(reactor, "127.0.0.1", port, ("127.0.0.9", 0))
        protocol = take(transport)
        self.assertEqual(transport.getHost().host, "127.0.0.9")
        transport.abortConnection()
        await protocol.over
        with self.assertRaises(ConnectBindError):
            await dial_tcp(reactor, "127.0.0.1", port, ("192.0.2.77", 0))

    async def test_what_is_no_address_or_port_fails(self) -> None:
        for address, port in (("no:address", 1), ("127.0.0.1", 70_000)):
            with self.assertRaises(ConnectError):
                await dial_tcp(reactor, address, port)

    async def test_cancelled_before_it_is_connected_it_is_closed(self) -> None:
        landing = dial_tcp(reactor, "127.0.0.1", await self.listen())
        landing.cancel()
        with self.assertRaises(CancelledError):
            await landing
        ended: Deferred[None] = Deferred()
        reactor.callLater(0, ended.callback, None)
        await ended  # what was to happen soon finds nothing to be done


class Turns(Clock):
    """A reactor that tells what it is asked to watch for."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: list[Any] = []
        self.readers: list[Any] = []

    def turn(self) -> None:
        self.advance(0)

    def addWriter(self, writer: Any) -> None:
        self.writers.append(writer)

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeWriter(self, writer: Any) -> None:
        if writer in self.writers:
            self.writers.remove(writer)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)


class FakeSocket:
    """A socket that connects as it is told to."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.error = 0
        self.is_open = True

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def fileno(self) -> int:
        return 7

    def connect_ex(self, address: Any) -> int:
        return self.answers.pop(0)

    def getsockopt(self, level: int, name: int) -> int:
        assert name == socket.SO_ERROR
        return self.error

    def close(self) -> None:
        self.is_open = False


class BatchedTurns(Turns):
    """The same, as one of our reactors."""

    def __init__(self) -> None:
        super().__init__()
        self.soon: list[Any] = []

    def call_after_batch(self, function: Any) -> None:
        self.soon.append(function)

    def turn(self) -> None:
        self.soon.pop()()


class Dials(SynchronousTestCase):
    """In memory."""

    def dial(
        self, turns: Turns, address: str, *answers: int
    ) -> tuple[FakeSocket, Deferred[StreamClient]]:
        sock: Any = FakeSocket(*answers)
        landing = StreamClient(sock, (address, 1), turns).dial(None)
        self.assertNoResult(landing)
        turns.turn()
        return sock, landing

    def test_it_is_connected_when_it_is_writable(self) -> None:
        turns = Turns()
        _, landing = self.dial(turns, "192.0.2.1", errno.EINPROGRESS)
        self.assertEqual((len(turns.writers), turns.readers), (1, []))
        turns.writers[0].doWrite()
        transport = self.successResultOf(landing)
        self.assertEqual((turns.writers, turns.readers), ([], [transport]))
        self.assertNotIn("doWrite", vars(transport))

    def test_error_is_asked_for_when_it_is_writable(self) -> None:
        turns = Turns()
        sock, landing = self.dial(turns, "192.0.2.1", errno.EINPROGRESS)
        sock.error = errno.ECONNREFUSED
        turns.writers[0].doWrite()
        self.failureResultOf(landing, ConnectionRefusedError)
        self.assertEqual((turns.writers, sock.is_open), ([], False))

    def test_poller_that_says_it_is_over_is_asked_why(self) -> None:
        for number, kind in (
            (errno.ECONNREFUSED, ConnectionRefusedError),
            (0, ConnectError),
        ):
            turns = Turns()
            sock, landing = self.dial(turns, "192.0.2.1", errno.EINPROGRESS)
            sock.error = number
            transport = turns.writers[0]
            transport.connectionLost(Failure(ConnectionLost()))
            self.failureResultOf(landing, kind)
            transport.connectionLost(Failure(ConnectionLost()))  # changes nothing
            self.assertFalse(sock.is_open)

    def test_failure_at_once_is_told_in_the_next_turn(self) -> None:
        turns = Turns()
        _, landing = self.dial(turns, "192.0.2.1", errno.ENETUNREACH)
        self.failureResultOf(landing, ConnectError)

    def test_this_machine_is_asked_twice_and_has_connected(self) -> None:
        for address in ("127.0.0.1", "::1"):
            turns = BatchedTurns()
            _, landing = self.dial(turns, address, errno.EINPROGRESS, 0)
            self.assertEqual(turns.writers, [])
            self.successResultOf(landing)

    def test_this_machine_may_need_a_while_as_well(self) -> None:
        turns = BatchedTurns()
        answers = errno.EINPROGRESS, errno.EALREADY
        _, landing = self.dial(turns, "127.0.0.1", *answers)
        self.assertEqual((len(turns.writers), turns.soon), (1, []))
        turns.writers[0].doWrite()
        self.successResultOf(landing)

    def test_refusal_of_this_machine_is_not_lost(self) -> None:
        turns = BatchedTurns()
        answers = errno.EINPROGRESS, errno.ECONNREFUSED
        _, landing = self.dial(turns, "127.0.0.1", *answers)
        self.failureResultOf(landing, ConnectionRefusedError)

    def test_cancelled_before_its_turn_it_does_not_begin(self) -> None:
        for turns in (Turns(), BatchedTurns()):
            sock: Any = FakeSocket()
            landing = StreamClient(sock, ("127.0.0.1", 1), turns).dial(None)
            landing.cancel()
            turns.turn()
            self.failureResultOf(landing, CancelledError)
            self.assertEqual((turns.readers, sock.is_open), ([], False))

    def test_connected_at_once_it_lands_at_once(self) -> None:
        _, landing = self.dial(Turns(), "192.0.2.1", 0)
        self.successResultOf(landing)
