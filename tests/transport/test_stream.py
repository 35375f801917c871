"""Write-through: what goes to the socket at once, and what must not."""

from __future__ import annotations

import errno
import socket
from typing import Any

from OpenSSL import SSL
from twisted.internet import tcp
from twisted.internet.interfaces import IPullProducer, ISSLTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementer, providedBy

from httpx_tw.testing.memory import MemoryTransport
from httpx_tw.transport.stream import (
    can_half_close,
    can_write_through,
    hang_up,
    unsent_bytes,
    write_through,
    writer_for,
)
from httpx_tw.transport.stream_server import StreamServer
from httpx_tw.transport.tls_port import TLSServer
from tests.transport.tls_pair import Serves, Trusts


class StillReactor:
    """A reactor in which nothing happens; it notes who wants to write."""

    def __init__(self) -> None:
        self.writers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        pass

    removeReader = addReader  # Twisted's name

    def addWriter(self, writer: Any) -> None:
        self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers = [each for each in self.writers if each is not writer]


class Writes(SynchronousTestCase):
    """Over a pair of connected sockets."""

    def setUp(self) -> None:
        self.ours, self.peer = socket.socketpair()
        self.addCleanup(self.peer.close)
        self.addCleanup(self.ours.close)
        self.peer.setblocking(False)  # a socket's own name
        self.reactor = StillReactor()
        self.transport: Any = StreamServer(
            self.ours, Protocol(), ("192.0.2.1", 1), None, 0, self.reactor
        )
        self.write = writer_for(self.transport)

    def read(self) -> bytes:
        data = b""
        while True:
            try:
                data += self.peer.recv(1 << 20)
            except BlockingIOError:
                return data

    def read_all(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self.read()
            for writer in list(self.reactor.writers):
                writer.doWrite()
        return data

    def test_what_the_kernel_takes_leaves_at_once(self) -> None:
        self.write(self.transport, b"hello")
        self.assertEqual(self.read(), b"hello")
        self.assertEqual(self.reactor.writers, [])
        self.assertEqual(unsent_bytes(self.transport), 0)

    def test_the_rest_is_queued_and_order_kept(self) -> None:
        data = bytes(range(256)) * 40_000  # a pair over TCP takes 4 MB
        self.write(self.transport, data)
        self.write(self.transport, b"after")
        unsent = unsent_bytes(self.transport)
        assert unsent is not None
        self.assertTrue(0 < unsent < len(data))
        self.assertEqual(self.read_all(len(data) + 5), data + b"after")

    def test_a_full_socket_takes_nothing_and_loses_nothing(self) -> None:
        total = 0
        while not unsent_bytes(self.transport):
            self.write(self.transport, b"x" * 10_000)
            total += 10_000
        self.transport.dataBuffer = self.transport.dataBuffer or b""
        self.assertEqual(len(self.read_all(total)), total)
        for _ in range(100):  # over TCP there may be room again, once or twice
            while True:  # now full, with nothing queued
                try:
                    self.ours.send(b"y" * 100_000)
                except BlockingIOError:
                    break
            self.write(self.transport, b"last")
            if unsent_bytes(self.transport):
                break
        self.assertEqual(unsent_bytes(self.transport), 4)

    def test_a_broken_socket_is_left_to_the_reactor(self) -> None:
        self.peer.close()
        self.write(self.transport, b"to nobody")
        self.write(self.transport, b"more")
        (writer,) = set(self.reactor.writers)
        self.assertIsInstance(writer.doWrite(), Exception)

    def test_a_pull_producer_gets_all_its_turns(self) -> None:
        @implementer(IPullProducer)
        class Pieces:
            left = 200

            def resumeProducing(pieces: Any) -> None:  # noqa: N805  # two selves
                pieces.left -= 1
                self.write(self.transport, b"x")
                if not pieces.left:
                    self.transport.unregisterProducer()

            def stopProducing(self) -> None:
                pass

        self.transport.registerProducer(Pieces(), False)
        self.assertEqual(self.read_all(200), b"x" * 200)

    def test_after_start_tls_nothing_goes_round_it(self) -> None:
        written: list[bytes] = []
        self.transport.TLS = True
        self.transport.write = written.append
        self.write(self.transport, b"secret")
        self.assertEqual((written, self.read()), ([b"secret"], b""))

    def test_a_closed_transport_takes_nothing(self) -> None:
        self.transport.connected = 0
        self.write(self.transport, b"late")
        self.assertEqual((self.read(), unsent_bytes(self.transport)), (b"", 0))

    def test_what_is_written_before_the_end_leaves_before_it(self) -> None:
        for end in (self.transport.loseWriteConnection, self.transport.loseConnection):
            end()
            self.write(self.transport, b"bye")
        self.assertEqual(self.read_all(6), b"byebye")

    def test_an_error_is_not_reported_twice(self) -> None:
        class Broken:
            def send(self, _: bytes) -> int:
                raise OSError(errno.EPIPE, "broken")

        self.transport.socket = Broken()
        write_through(self.transport, b"data")
        self.assertEqual(unsent_bytes(self.transport), 4)
        self.transport.socket = self.ours


class Choices(SynchronousTestCase):
    """Which transports are written through."""

    def test_stock_stream_transports_are(self) -> None:
        kinds: list[Any] = [tcp.Server, tcp.Client, StreamServer]
        if hasattr(socket, "AF_UNIX"):
            from twisted.internet import unix

            kinds += [unix.Server, unix.Client]
        for kind in kinds:
            transport: Any = kind.__new__(kind)
            self.assertTrue(can_write_through(transport), kind)
            self.assertIs(writer_for(transport), write_through)

    def test_those_with_a_will_of_their_own_are_not(self) -> None:
        class Counting(tcp.Server):
            def write(self, data: bytes) -> None:
                pass

        secure: Any = tcp.Server.__new__(tcp.Server)
        secure.TLS = True
        other: Any = Counting.__new__(Counting)
        memory: Any = MemoryTransport(Protocol())
        for transport in (secure, other, memory):
            self.assertFalse(can_write_through(transport))
        writer_for(memory)(memory, b"hello")
        self.assertEqual(memory.take(), b"hello")

    def test_who_can_end_its_side_alone(self) -> None:
        plain: Any = tcp.Server.__new__(tcp.Server)
        direct: Any = TLSServer.__new__(TLSServer)
        over: Any = TLSMemoryBIOProtocol.__new__(TLSMemoryBIOProtocol)
        directlyProvides(over, *providedBy(plain), ISSLTransport)
        memory: Any = object()
        found = [can_half_close(each) for each in (plain, direct, over, memory)]
        self.assertEqual(found, [True, True, False, False])
        self.assertIs(writer_for(direct), TLSServer.write)

    def test_what_waits_below_a_wrapper_is_seen(self) -> None:
        class Wrapper:
            def __init__(self, transport: Any) -> None:
                self.transport = transport

        memory = MemoryTransport(Protocol())
        memory.write(b"12345")
        memory.take(2)
        self.assertEqual(unsent_bytes(Wrapper(Wrapper(memory))), 3)
        self.assertIsNone(unsent_bytes(object()))


class Endings(SynchronousTestCase):
    def test_a_plain_transport_ends_when_all_is_sent(self) -> None:
        memory = MemoryTransport(Protocol())
        memory.write(b"hello")
        hang_up(memory)
        self.assertFalse(memory.is_closed)
        self.assertEqual(memory.take(), b"hello")
        self.assertTrue(memory.is_closed)

    def test_twisteds_tls_says_goodbye_and_waits_for_none(self) -> None:
        factory = Factory.forProtocol(Protocol)
        made = TLSMemoryBIOFactory(Serves(), False, factory, clock=Clock())
        ours: Any = made.buildProtocol(None)
        memory = MemoryTransport(ours)
        client = Trusts().clientConnectionForTLS(None)
        client.set_connect_state()
        for _ in range(2):
            self.assertRaises(SSL.WantReadError, client.recv, 1)
            memory.deliver(client.bio_read(65536))
            client.bio_write(memory.take())
        ours.write(b"hello")
        hang_up(ours)
        client.bio_write(memory.take())
        self.assertTrue(memory.is_closed)
        self.assertEqual(client.recv(100), b"hello")
        self.assertRaises(SSL.ZeroReturnError, client.recv, 1)
