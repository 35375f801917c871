"""Ports whose connections speak TLS, with real clients, and Twisted's own tests."""

# ruff: noqa: N802  # Twisted's names

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import Any

import pytest
from twisted.internet import ssl, tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.transport import openssl
from httpx_tw.transport.tls_port import TLSPort, TLSServer, is_direct, listen_tls
from tests.server.live import LiveTestCase, RawClient, reactor
from tests.transport.tls_pair import Serves, Trusts, pem
from tests.transport.tls_suite import outcome_over_direct_tls


class Echo(Protocol):
    """Sends back what it gets, and ends after "end"."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)
        if data.endswith(b"end\n"):
            self.transport.loseConnection()


class Asking(ProcessProtocol):
    """Answers what a process says with what *answers* has for it, once each."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self.answers = answers
        self.said = b""
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.said += data
        for heard in list(self.answers)[:1]:
            if heard in self.said:
                assert self.transport is not None
                self.transport.write(self.answers.pop(heard))

    errReceived = outReceived  # noqa: N815  # Twisted's name

    def processEnded(self, reason: object) -> None:
        self.ended.callback(None)


class NotingReactor:
    """A reactor without descriptors, that notes what it is asked."""

    def listenTCP(self, *arguments: Any) -> Any:
        self.asked = arguments
        return "a port"

    def seconds(self) -> float:
        return 0.0


class LivePorts(LiveTestCase):
    """Over real sockets."""

    async def listen(
        self, creator: Any = None, protocol: type[Echo] = Echo, **options: Any
    ) -> int:
        factory = Factory.forProtocol(protocol)
        port: Any = listen_tls(
            reactor,
            0,
            factory,
            creator or Serves(),
            interface="127.0.0.1",
            **options,
        )
        self.port = port
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def dial(self, port: int) -> RawClient:
        plain = HostnameEndpoint(reactor, "127.0.0.1", port)
        return await self.connect_by(wrapClientTLS(Trusts(), plain))

    async def test_twisted_s_client_talks_to_it(self) -> None:
        client = await self.dial(await self.listen())
        self.assertIsInstance(self.port, TLSPort)
        data = bytes(range(256)) * 4000
        client.send(data)
        await client.until(lambda: client.count == len(data))
        self.assertEqual(client.raw, data)
        client.send(b"end\n")
        await client.closed()

    async def test_certificate_options_will_do(self) -> None:
        certificate = ssl.PrivateCertificate.loadPEM(b"".join(pem()))
        port = await self.listen(certificate.options())
        # Twisted's own, about its own use of pyOpenSSL.
        self.flushWarnings()
        trust: Any = ssl.CertificateOptions()  # which offers no protocol by ALPN
        plain = HostnameEndpoint(reactor, "127.0.0.1", port)
        client = await self.connect_by(wrapClientTLS(trust, plain))
        client.send(b"the end\n")
        await client.closed()
        self.assertEqual(client.raw, b"the end\n")
        self.flushWarnings()

    async def test_its_timeouts_are_its_connections(self) -> None:
        made: list[Any] = []
        port = await self.listen(handshake_timeout=0.05, close_timeout=0.0)
        built = self.port.factory.buildProtocol

        def build(addr: Any) -> Any:
            made.append(built(addr))
            return made[-1]

        self.port.factory.buildProtocol = build
        client = await self.connect(f"tcp:127.0.0.1:{port}")
        await client.closed()
        self.assertEqual(made[0].transport.close_timeout, 0.0)

    async def test_openssl_s_own_client_changes_keys(self) -> None:
        openssl_tool = shutil.which("openssl")
        if openssl_tool is None:
            self.skipTest("no openssl to run")
        client = Asking({b"verify return:1": b"one\n", b"KEYUPDATE": b"end\n"})

        class Asks(Echo):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                if data == b"one\n":
                    assert client.transport is not None
                    client.transport.write(b"K\n")  # what it calls a key update

        port = await self.listen(protocol=Asks)
        command = [openssl_tool, "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3"]
        reactor.spawnProcess(client, openssl_tool, command, {})
        await client.ended
        self.assertIn(b"end\n", client.said)
        self.assertEqual(client.answers, {})

    async def test_a_peer_that_breaks_off_ends_it_quietly(self) -> None:
        # The signal that a write to nobody raises must be ignored, as Python does.
        if hasattr(signal, "SIGPIPE"):
            self.assertIs(signal.getsignal(signal.SIGPIPE), signal.SIG_IGN)
        port = await self.listen()
        client = await self.dial(port)
        client.keeps = False
        for _ in range(20):
            client.send(b"x" * 100_000)
        client.tcp.abortConnection()
        await client.closed()
        again = await self.dial(port)
        again.send(b"end\n")
        await again.closed()
        assert again.reason is not None
        self.assertTrue(again.reason.check(ConnectionClosed))


class Ways(SynchronousTestCase):
    """Where there is no direct transport, Twisted's own is taken."""

    def wrapped(self, kind: type[TLSMemoryBIOFactory] = TLSMemoryBIOFactory) -> Any:
        return kind(Serves(), False, Factory(), clock=reactor)

    def test_who_is_left_alone(self) -> None:
        class Other(TLSMemoryBIOFactory):
            pass

        if not IReactorFDSet.providedBy(reactor):
            self.skipTest("no descriptors")
        self.assertTrue(is_direct(self.wrapped(), reactor))
        self.assertFalse(is_direct(self.wrapped(Other), reactor))
        plain: Any = Factory()
        self.assertFalse(is_direct(plain, reactor))
        self.assertFalse(is_direct(self.wrapped(), NotingReactor()))
        strange = self.wrapped()
        strange.protocol = Protocol
        self.assertFalse(is_direct(strange, reactor))
        old = self.wrapped()
        old._creatorCallable = None
        self.assertFalse(is_direct(old, reactor))
        self.patch(openssl, "_CAN_ATTACH", False)
        self.assertFalse(is_direct(self.wrapped(), reactor))

    def test_another_reactor_gets_twisted_s_own(self) -> None:
        noting = NotingReactor()
        factory: Any = Factory()
        listening: Any = listen_tls(noting, 443, factory, Serves(), 7, "192.0.2.1")
        self.assertEqual(listening, "a port")
        port, wrapped, backlog, interface = noting.asked
        self.assertEqual((port, backlog, interface), (443, 7, "192.0.2.1"))
        self.assertIs(type(wrapped), TLSMemoryBIOFactory)
        self.assertIs(wrapped.wrappedFactory, factory)

    def test_its_transports_are_servers_of_tcp(self) -> None:
        self.assertTrue(issubclass(TLSServer, tcp.Server))


@pytest.mark.parametrize(
    ("stock", "direct"),
    [
        ("EPollReactor", "DirectEpoll"),
        ("PollReactor", "DirectPoll"),
        ("SelectReactor", "DirectSelect"),
        ("EPollReactor", "DirectLean"),
    ],
)
def test_twisted_s_own_tests_pass(stock: str, direct: str) -> None:
    try:
        outcome = outcome_over_direct_tls(stock, direct)
    except subprocess.TimeoutExpired:
        pytest.fail("a test of Twisted's hung")
    assert outcome.failed == []
    assert outcome.ran > 20
