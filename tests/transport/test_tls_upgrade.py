"""TLS on a plain connection that exists already."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from OpenSSL import SSL
from twisted.internet import tcp
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import ConfigurationError
from httpx_tw.transport import openssl
from httpx_tw.transport.listener import AcceptGate, ListeningReactor
from httpx_tw.transport.stream_server import StreamServer
from httpx_tw.transport.tls_client import TLSClient
from httpx_tw.transport.tls_port import TLSServer
from httpx_tw.transport.tls_upgrade import start_tls
from tests.server.live import LiveTestCase, reactor
from tests.transport.tls_pair import HandReactor, Notes, Peer, Serves, Trusts
from tests.transport.tls_pair import client_context as context


class Upgrades(SynchronousTestCase):
    """Over a pair of sockets, the peer moved by hand."""

    def make(self, kind: Any = StreamServer) -> None:
        ours, theirs = socket.socketpair()
        self.reactor = HandReactor()
        self.protocol = Notes()
        self.transport: Any = kind(
            ours, self.protocol, ("192.0.2.1", 1), None, 0, self.reactor
        )
        self.transport.connected = 1
        self.transport.startReading()
        self.protocol.makeConnection(self.transport)
        self.peer = Peer(theirs, context())
        self.addCleanup(self.end)

    def end(self) -> None:
        self.peer.socket.close()
        if self.transport.connected:
            self.transport.abortConnection()
        self.reactor.advance(0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers + self.reactor.writers, [])

    def run_to_the_end(self) -> None:
        while self.reactor.turn() | self.peer.step():
            pass

    def shake_hands(self) -> None:
        try:
            self.peer.tls.do_handshake()
        except SSL.WantReadError:
            self.peer.flush()
        self.run_to_the_end()

    def test_the_same_object_speaks_tls(self) -> None:
        for kind in (StreamServer, tcp.Server):
            self.make(kind)
            before = self.transport
            start_tls(before, Serves())
            self.assertIs(self.reactor.readers[0], before)
            self.assertIs(type(before), TLSServer)
            self.assertTrue(ISSLTransport.providedBy(before))
            self.shake_hands()
            self.assertEqual(self.protocol.handshakes, 1)
            self.transport.write(b"secret")
            self.peer.send(b"too")
            self.run_to_the_end()
            self.assertEqual(self.peer.received, b"secret")
            self.assertEqual(self.protocol.received, b"too")
            self.assertIn("Notes", before.logPrefix())
            self.end()

    def test_what_was_written_before_goes_first_and_in_the_clear(self) -> None:
        self.make()
        goes = b"220 go ahead\r\n" + b"x" * 400_000
        self.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.transport.write(goes[:14])
        self.transport.doWrite()
        self.transport.write(goes[14:])
        self.transport.dataBuffer, self.transport.offset = b"..", 2
        self.transport.startTLS(Serves())
        self.transport.write(b"secret")
        came = b""
        while len(came) < len(goes):
            self.reactor.turn()
            try:
                came += self.peer.socket.recv(1 << 20)
            except BlockingIOError:
                continue
        self.assertEqual(came, goes)
        self.shake_hands()
        self.assertEqual(self.peer.received, b"secret")

    def test_it_waits_for_a_socket_that_is_full(self) -> None:
        self.make()
        sent = 0
        while True:
            try:
                sent += self.transport.socket.send(b"x" * 10_000)
            except BlockingIOError:
                break
        self.transport.write(b"y" * 10)
        start_tls(self.transport, Serves())
        self.transport.doWrite()
        self.assertEqual(self.transport._clear_text, b"y" * 10)
        came = b""
        while len(came) < sent + 10:
            self.reactor.turn()
            with contextlib.suppress(BlockingIOError):
                came += self.peer.socket.recv(1 << 20)
        self.assertEqual(came[-10:], b"y" * 10)

    def test_a_peer_that_is_gone_meanwhile_is_lost(self) -> None:
        self.make()
        self.transport.write(b"x")
        start_tls(self.transport, Serves())
        self.peer.socket.close()
        for _ in range(3):
            self.reactor.turn()
        self.assertEqual(len(self.protocol.reasons), 1)

    def test_one_that_is_gone_before_is_lost_but_not_within_the_call(self) -> None:
        self.make()
        self.transport.write(b"x")
        self.peer.socket.close()
        start_tls(self.transport, Serves())
        self.assertEqual(self.protocol.reasons, [])
        self.reactor.turn()
        self.assertEqual(len(self.protocol.reasons), 1)
        self.assertIsInstance(self.protocol.reason, ConnectionLost)

    def test_a_creator_that_fails_changes_nothing(self) -> None:
        class Broken(Serves):
            def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803  # Twisted's
                raise RuntimeError("no certificate")

        self.make()
        with self.assertRaises(RuntimeError):
            start_tls(self.transport, Broken())
        self.assertIs(type(self.transport), StreamServer)
        self.transport.write(b"still plain")
        self.reactor.turn()
        self.assertEqual(self.peer.socket.recv(100), b"still plain")

    def test_its_timeouts_are_the_argument_s(self) -> None:
        self.make()
        start_tls(self.transport, Serves(), handshake_timeout=2, close_timeout=1)
        self.assertEqual(self.transport.close_timeout, 1)
        self.reactor.advance(2)
        self.reactor.advance(0)
        self.assertEqual(len(self.protocol.reasons), 1)

    def test_twice_is_refused(self) -> None:
        self.make()
        start_tls(self.transport, Serves())
        with self.assertRaises(ConfigurationError):
            start_tls(self.transport, Serves())

    def test_any_other_transport_gets_twisted_s_own(self) -> None:
        class Other(StreamServer):
            pass

        self.make(Other)
        start_tls(self.transport, Serves())
        self.assertIs(type(self.transport), Other)
        self.assertIsInstance(self.transport.protocol, TLSMemoryBIOProtocol)
        self.flushWarnings()

    def test_so_does_every_one_without_the_private_names(self) -> None:
        self.patch(openssl, "_CAN_ATTACH", False)
        self.make()
        self.transport.startTLS(Serves())
        self.assertIs(type(self.transport), StreamServer)
        self.assertIsInstance(self.transport.protocol, TLSMemoryBIOProtocol)
        self.shake_hands()
        data = b"x" * 70_000  # less would wait for the reactor that runs the tests
        self.transport.write(data)
        self.run_to_the_end()
        self.assertEqual(self.peer.received, data)


class Plain(Protocol):
    """Starts TLS when it hears that it should."""

    def dataReceived(self, data: bytes) -> None:
        tls: Any = self.transport
        if data == b"STARTTLS\n":
            tls.write(b"go ahead\n")
            tls.startTLS(Serves())
        else:
            tls.write(data.upper())


class LiveUpgrades(LiveTestCase):
    """Over real sockets, with an accepted and a dialled connection of Twisted's."""

    async def test_a_dialled_connection_can_be_handed_over(self) -> None:
        gate = AcceptGate(0, lambda: None)
        ours = ListeningReactor(reactor, gate, 50)
        port: Any = ours.listenTCP(0, Factory.forProtocol(Plain), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        client = await self.connect_by(
            TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        )
        client.send(b"STARTTLS\n")
        await client.until(lambda: client.raw == b"go ahead\n")
        start_tls(client.tcp, Trusts())
        self.assertIs(type(client.tcp), TLSClient)
        client.send(b"hello")
        await client.until(lambda: client.raw.endswith(b"HELLO"))
        client.tcp.loseConnection()
        await client.closed()
