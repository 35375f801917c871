"""Dialling a server that speaks TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import error, ssl
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import DeadlinePassed
from httpx_tw.transport.tls_client import TLSClient, connect_tls
from httpx_tw.transport.tls_port import listen_tls
from tests.server.live import LiveTestCase, RawClient, reactor
from tests.transport.test_tls_port import Echo
from tests.transport.tls_pair import Serves, Trusts, pem

if TYPE_CHECKING:
    from OpenSSL import SSL


class Dials(ClientFactory[Any]):
    """Makes one client, and knows what became of it."""

    noisy = False

    def __init__(self, client: Any) -> None:
        self.client = client
        self.connected: Deferred[Any] = Deferred()
        self.lost: Deferred[Any] = Deferred()

    def buildProtocol(self, addr: object) -> Any:
        if self.client is None:
            self.connected.callback(None)
        else:
            self.client.connectionMade = lambda: self.connected.callback(self.client)
        return self.client

    def clientConnectionFailed(self, connector: object, reason: Any) -> None:  # noqa: N802  # Twisted's
        self.connected.errback(reason)

    def clientConnectionLost(self, connector: object, reason: Any) -> None:  # noqa: N802  # Twisted's
        self.lost.callback(reason.value)


class LiveClients(LiveTestCase):
    """Over real sockets."""

    async def listen(self) -> int:
        port: Any = listen_tls(
            reactor, 0, Factory.forProtocol(Echo), Serves(), interface="127.0.0.1"
        )
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def dial(self, port: int, creator: Any = None, **options: Any) -> Dials:
        factory = Dials(RawClient())
        connect_tls(
            reactor, "127.0.0.1", port, creator or Trusts(), factory, 5, **options
        )
        return factory

    async def test_it_talks(self) -> None:
        factory = self.dial(await self.listen())
        client = await factory.connected
        client.send(b"hello ")
        data = b"x" * 1_000_000
        client.send(data)
        await client.until(lambda: client.count == len(data) + 6)
        self.assertIs(type(client.transport), TLSClient)
        self.assertEqual(client.transport.negotiatedProtocol, b"http/1.1")
        self.assertIsNotNone(client.transport.getPeerCertificate())
        self.assertIn("client", client.transport.logPrefix())
        client.send(b"the end\n")
        await client.closed()
        self.assertEqual(client.raw[-8:], b"the end\n")
        await factory.lost

    async def test_the_name_is_verified(self) -> None:
        trust = ssl.Certificate.loadPEM(pem()[0])
        port = await self.listen()
        for name, is_right in (("localhost", True), ("other.example", False)):
            creator = ssl.optionsForClientTLS(name, trustRoot=trust)
            factory = self.dial(port, creator)
            client = await factory.connected
            client.send(b"the end\n")
            await client.closed()
            self.assertEqual(client.raw, b"the end\n" if is_right else b"")
            reason = await factory.lost
            self.assertEqual("VerificationError" in repr(reason), not is_right)
        self.flushWarnings()

    async def test_who_does_not_shake_hands_is_given_up(self) -> None:
        silent: Any = reactor.listenTCP(
            0, Factory.forProtocol(RawClient), interface="127.0.0.1"
        )
        self.addCleanup(silent.stopListening)
        factory = self.dial(silent.getHost().port, handshake_timeout=0.05)
        client = await factory.connected
        await client.closed()
        self.assertIsInstance(await factory.lost, DeadlinePassed)

    async def test_who_does_not_listen_is_a_failed_connection(self) -> None:
        port: Any = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        factory = self.dial(number)
        with self.assertRaises(error.ConnectionRefusedError):
            await factory.connected

    async def test_a_creator_that_fails_is_a_failed_connection(self) -> None:
        class Broken(Trusts):
            def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803  # Twisted's
                raise RuntimeError("no client certificate")

        factory = self.dial(await self.listen(), Broken())
        with self.assertRaises(RuntimeError):
            await factory.connected

    async def test_a_factory_that_wants_none_gets_none(self) -> None:
        factory = Dials(None)
        connect_tls(reactor, "127.0.0.1", await self.listen(), Trusts(), factory)
        self.assertIsNone(await factory.connected)
        await factory.lost


class OtherReactors(SynchronousTestCase):
    def test_another_reactor_gets_twisted_s_own(self) -> None:
        asked: list[Any] = []

        class Noting:
            def seconds(self) -> float:
                return 0.0

            def connectTCP(self, *arguments: Any) -> str:  # noqa: N802  # Twisted's
                asked.extend(arguments)
                return "a connector"

        factory = Dials(None)
        answer: Any = connect_tls(Noting(), "192.0.2.1", 443, Trusts(), factory, 7)
        self.assertEqual(answer, "a connector")
        host, port, wrapped, timeout, bound = asked
        self.assertEqual((host, port, timeout, bound), ("192.0.2.1", 443, 7, None))
        self.assertIs(type(wrapped), TLSMemoryBIOFactory)
        self.assertIs(wrapped.wrappedFactory, factory)
